//! Programs: where they are, and how they ended.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// What a program's name may end with, where the system does not say.
const ENDINGS: &str = ".COM;.EXE;.BAT;.CMD";

/// The program that a command names, if there is one.
pub(crate) fn find(command: &OsStr) -> Option<PathBuf> {
    let named = Path::new(command);
    // With a folder or a drive, it says itself where it is.
    if named.components().count() > 1 || named.is_absolute() {
        return with_ending(named);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).find_map(|folder| with_ending(&folder.join(named)))
}

/// That file, if its name ends as a program's does, or else one whose name goes on so.
fn with_ending(path: &Path) -> Option<PathBuf> {
    let endings = env::var("PATHEXT").unwrap_or_else(|_| ENDINGS.into());
    let endings = || endings.split(';').filter(|ending| ending.len() > 1);
    let has = |ending: &str| path.extension().is_some_and(|own| own.eq_ignore_ascii_case(&ending[1..]));
    if endings().any(has) && path.is_file() {
        return Some(path.to_owned());
    }
    let longer = |ending: &str| {
        let mut name = OsString::from(path);
        name.push(ending);
        PathBuf::from(name)
    };
    endings().map(longer).find(|path| path.is_file())
}

/// How it ended, in words.
pub(crate) fn ended(status: ExitStatus) -> String {
    match status.code() {
        // The system's own, as when it was ended for an access violation, are known by this form.
        Some(code) if code < 0 => format!("exit status {code:#X}"),
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}
