//! What the system tells of a process, for people to read.

use std::fs;

pub(crate) use crate::system::process::{Process, State};

pub(crate) fn process(pid: u32) -> Option<Process> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parsed(&String::from_utf8_lossy(&line))
}

/// `pid (command) S …`, and the command may have anything in it, brackets, too.
fn parsed(line: &str) -> Option<Process> {
    let (_, rest) = line.split_once('(')?;
    let (command, rest) = rest.rsplit_once(')')?;
    let state = match rest.trim_start().chars().next()? {
        'R' => State::Runs,
        'T' | 't' => State::Stopped,
        'Z' | 'X' => State::Zombie,
        _ => State::Sleeps,
    };
    Some(Process { command: command.to_owned(), state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_have_brackets_in_it() {
        let found = parsed("7 (a) b (c) T 1 2 3\n").unwrap();
        assert_eq!(found, Process { command: "a) b (c".into(), state: State::Stopped });
        for odd in ["", "7", "7 (", "7 (x", "7 (x)"] {
            assert_eq!(parsed(odd), None, "{odd}");
        }
    }

    #[test]
    fn this_process_is_known() {
        let found = process(std::process::id()).unwrap();
        assert!(!found.command.is_empty() && found.state != State::Zombie, "{found:?}");
    }
}
