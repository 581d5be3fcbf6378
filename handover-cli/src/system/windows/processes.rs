//! What the system tells of a process, for people to read.

use winsafe::{HPROCESSLIST, co};

pub(crate) use crate::system::process::{Process, State};

pub(crate) fn process(pid: u32) -> Option<Process> {
    let mut all = HPROCESSLIST::CreateToolhelp32Snapshot(co::TH32CS::SNAPPROCESS, None).ok()?;
    let command = all.iter_processes().filter_map(Result::ok).find_map(|process| {
        let this = process.th32ProcessID == pid;
        this.then(|| process.szExeFile())
    })?;
    // Which of its threads run is a longer story.
    Some(Process { command, state: State::Unknown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let found = process(std::process::id()).unwrap();
        assert!(found.command.ends_with(".exe"), "{found:?}");
    }
}
