//! What the documents say of the code is true: the README's programs are the examples, word for word, and run; the tests
//! that GUARANTEES.md names exist; links lead somewhere.
#![cfg(unix)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn run_example(name: &str) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["run", "--quiet", "--package", "handover", "--example", name]).output().unwrap()
}

#[test]
fn the_readme_quotes_the_examples_word_for_word() {
    let readme = read("README.md");
    for example in ["threads", "processes"] {
        let file = read(&format!("handover/examples/{example}.rs"));
        let (_, program) = file.split_once("\n\n").expect("a line of documentation comes first");
        assert!(readme.contains(&format!("```rust\n{program}```\n")), "README.md differs from examples/{example}.rs");
    }
}

#[test]
fn the_examples_do_what_they_are_for() {
    let quotes = "10000 quotes seen or known to be missed, last prices [19999, 19997, 19998]\n";
    for (name, expected) in [
        ("threads", "message 0\nmessage 1\nmessage 2\n"),
        ("processes", "0\n1\n2\n"),
        ("market", &quotes.repeat(2)),
        ("pipeline", "1000 journalled, largest 1000, 500500 executed\n"),
        (
            "tasks_submit",
            "a task with the key \"rebuild\" waits already; leave it at that, or use another key\nthe answer is 42\n\
             dead: never works, after 2 tries: as its name says\n",
        ),
    ] {
        let output = run_example(name);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out == expected, "{name}: {out}\n{err}");
    }
}

#[test]
fn the_example_of_a_killed_worker_ends_with_its_task_done_by_another() {
    let output = run_example("tasks_work");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.starts_with("task 1, try 1\n") && out.ends_with("3 done\n"), "{out}");
    for line in ["task 1, try 2", "task 2, try 1", "task 3, try 1"] {
        assert!(out.lines().any(|printed| printed == line), "{line}: {out}");
    }
}

#[test]
fn the_session_from_a_terminal_goes_as_written() {
    let readme = read("README.md");
    let (_, session) = readme.split_once("```console\n").expect("a session");
    let (session, _) = session.split_once("```\n").expect("its end");
    // Under names that nobody else has.
    let own = [("lines", common::Name::new()), ("chores", common::Name::new())];
    let renamed = |line: &str| {
        let words = line.split(' ').map(|word| own.iter().find(|(name, _)| *name == word).map_or(word, |(_, own)| own));
        words.collect::<Vec<_>>().join(" ")
    };
    let mut lines = session.lines().peekable();
    while let Some(line) = lines.next() {
        let command = renamed(line.strip_prefix("$ ").expect("a command"));
        let mut expected = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            expected += &format!("{line}\n");
        }
        let output = common::shell(&format!("{{ {command}; }} 2>&1"));
        assert_eq!(common::text(&output.stdout), expected, "{command}");
        assert!(output.status.success(), "{command}");
    }
    for (_, name) in &own {
        common::fails(&["stat", name], 3, "does not exist");
    }
}

/// All Rust sources below a folder, one after the other.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let folders =
        ["handover/src", "handover/tests", "handover-cli/src", "handover-cli/tests", "proof/src", "proof/tests"];
    let sources: String = folders.iter().map(|folder| sources(&root().join(folder))).collect();
    let guarantees = read("docs/GUARANTEES.md");
    // Tests are named as sentences: whatever is quoted and has that many words is one, but for these.
    let others = ["goes_with_last_user"];
    let quoted = guarantees.split('`').skip(1).step_by(2);
    let named: Vec<&str> = quoted.filter(|word| word.matches('_').count() >= 3 && !others.contains(word)).collect();
    assert!(named.len() > 30, "{named:?}");
    for test in named {
        assert!(sources.contains(&format!("fn {test}()")), "{test}");
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let documents =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md", "docs/FORMAT.md", "docs/GUARANTEES.md"];
    for document in documents {
        let text = read(document);
        for link in text.split("](").skip(1).map(|rest| &rest[..rest.find(')').expect("closed")]) {
            let target = root().join(document).parent().unwrap().join(link);
            assert!(link.starts_with("https://") || target.exists(), "{document}: {link}");
        }
    }
}
