//! `completions` and `man`: made from what the command understands, and understood by those who read them.

mod common;

use std::fs;
use std::process::Command;

#[cfg(unix)]
use common::shell;
use common::{commands, run, text, well};

#[test]
fn each_shell_gets_a_script_that_knows_every_command_and_nothing_hidden() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = well(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        assert!(script.contains("message-size") && !script.contains("demo-process"), "{shell}");
    }
    assert_eq!(run(&["completions", "tcsh"]).status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_and_options() {
    let output = shell(
        "source <(handover completions bash)
        complete() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _handover handover \"${@: -1}\" \"${@: -2:1}\"; echo ${COMPREPLY[*]}; }
        complete handover cre; complete handover create --ki; complete handover create --kind ta; complete handover bec",
    );
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("create\n--kind\ntasks\n\n".into(), String::new()));
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
    let mut child = common::handover(&["man", command]).spawn().unwrap();
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
