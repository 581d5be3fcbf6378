//! What the system tells of a process, for people to read.

use std::fs;

/// A process of this machine, if its number means the same one here: it may live in a container with numbers of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// The name of its program, which may be cut short.
    pub(crate) command: String,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Runs,
    Sleeps,
    /// By a signal or a debugger: it keeps what it holds.
    Stopped,
    /// Dead, and not yet collected by its parent.
    Zombie,
}

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
