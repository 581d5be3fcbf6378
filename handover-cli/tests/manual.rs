//! `completions` and `man`: made from what the command understands, and understood by those who read them.

mod common;

use std::fs;
use std::process::Command;

#[cfg(unix)]
use common::shell;
use common::{Name, commands, handover, refused, run, text, well};

#[test]
fn each_shell_gets_a_script_that_asks_the_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = well(&["completions", shell]);
        assert!(script.contains("handover") && script.contains("HANDOVER_COMPLETE"), "{shell}: {script}");
        let completed = completed(shell, &[""]);
        for command in commands() {
            assert!(completed.contains(&command), "{shell}, {command}: {completed}");
        }
        assert!(!completed.contains("demo-process"), "{shell}");
    }
    assert_eq!(run(&["completions", "tcsh"]).status.code(), Some(2));
    let asked = handover(&["--", "handover", ""]).env("HANDOVER_COMPLETE", "tcsh").output().unwrap();
    refused(&asked, 2, "unknown shell `tcsh`");
}

/// What that shell is told of how the last word may go on.
fn completed(shell: &str, words: &[&str]) -> String {
    let mut command = handover(&[&["--", "handover"], words].concat());
    let index = words.len().to_string();
    let output = command.env("HANDOVER_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", index).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn names_of_queues_are_completed_where_their_kind_fits() {
    let [queue, broadcast, tasks] = ["queue", "broadcast", "tasks"].map(|kind| Name::created(&["--kind", kind]));
    for (command, fits) in [
        ("push", vec![&queue, &tasks]),
        ("publish", vec![&broadcast]),
        ("work", vec![&tasks]),
        ("stat", vec![&queue, &broadcast, &tasks]),
        ("doctor", vec![&queue, &broadcast, &tasks]),
        ("create", vec![]),
    ] {
        let completed = completed("fish", &[command, "cli-test-"]);
        for name in [&queue, &broadcast, &tasks] {
            let there = completed.lines().any(|line| line == &**name);
            assert_eq!(there, fits.iter().any(|fit| fit.0 == name.0), "{command} {}: {completed}", &**name);
        }
    }
    // As a part of a line these would do something.
    let evil = Name(format!("cli-test-{}$(touch evil)", std::process::id()));
    common::create(&["create", &evil]);
    assert!(!completed("bash", &["stat", "cli-test-"]).contains("evil"));
    let folder = std::env::temp_dir().join(format!("handover-completed-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    for name in ["good", "$(touch evil)"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let begun = folder.join("").to_str().unwrap().to_owned();
    for words in [&["stat", &begun][..], &["create", "--file", &begun], &["man", "--all", &begun]] {
        let completed = completed("bash", words);
        assert!(!completed.contains("evil") && completed.contains("good"), "{completed}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_options_names_and_paths() {
    let name = Name::created(&[]);
    let output = shell(&format!(
        "source <(handover completions bash)
        complete() {{ COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _clap_complete_handover handover \"${{@: -1}}\" \"${{@: -2:1}}\"; echo ${{COMPREPLY[*]}}; }}
        complete handover cre; complete handover create --ki; complete handover create --kind ta; complete handover bec
        complete handover stat {}; complete handover pop ./Cargo.to",
        &name[..name.len() - 1]
    ));
    let expected = format!("create\n--kind\ntasks\n\n{}\n./Cargo.toml\n", &*name);
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(text(&output.stdout).replace(&format!("{} ", &*name), ""), expected);
    let parsed = Command::new("bash").args(["-n", "-c", &well(&["completions", "bash"])]).output().unwrap();
    assert!(parsed.status.success() && parsed.stderr.is_empty(), "{parsed:?}");
}

#[test]
fn every_command_has_a_page_that_man_shows() {
    let folder = std::env::temp_dir().join(format!("handover-man-{}", std::process::id()));
    let all = folder.join("man1");
    well(&["man", "--all", all.to_str().unwrap()]);
    let mut names: Vec<String> =
        fs::read_dir(&all).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let visible = commands().into_iter();
    let mut expected: Vec<String> =
        visible.map(|name| format!("handover-{name}.1")).chain(["handover.1".into()]).collect();
    expected.sort();
    assert_eq!(names, expected);
    for name in &names {
        let page = fs::read_to_string(all.join(name)).unwrap();
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH EXAMPLES\n.nf\n", ".SH \"EXIT STATUS\""] {
            assert!(page.contains(section), "{name}: {section}\n{page}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
    // Where there is no man, the sections above say what can be said.
    let Ok(shown) = Command::new("man").args(["--warnings", "-l", "-"]).stdin(page_of("work")).output() else { return };
    let (shown, complaints) = (text(&shown.stdout), text(&shown.stderr));
    assert!(
        complaints.is_empty() && shown.contains("handover work jobs --jobs 8 -- ./resize-picture"),
        "{shown}{complaints}"
    );
}

fn page_of(command: &str) -> std::process::Stdio {
    let mut child = handover(&["man", command]).spawn().unwrap();
    let page = child.stdout.take().unwrap();
    std::thread::spawn(move || child.wait());
    page.into()
}

#[cfg(unix)]
#[test]
fn a_page_is_printed_by_the_name_of_its_command() {
    assert!(well(&["man", "list"]).contains("handover\\-ls"), "{}", well(&["man", "list"]));
    assert!(well(&["man"]).contains(".SH SUBCOMMANDS"));
    common::fails(&["man", "nonsense"], 2, "there is no command nonsense");
    common::fails(&["man", "--all", "/dev/null/pages"], 1, "can't be written");
    assert!(common::fed(&["man"], b"").status.success());
}
