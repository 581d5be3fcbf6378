//! Programs: where they are, and how they ended.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::paths::is_path;

/// The program that a command names, if there is one.
pub(crate) fn find(command: &OsStr) -> Option<PathBuf> {
    let runs =
        |path: &Path| path.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0);
    let named = Path::new(command);
    if is_path(command.as_encoded_bytes()) {
        return Some(named.to_owned()).filter(|path| runs(path));
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).map(|folder| folder.join(named)).find(|path| runs(path))
}

/// How it ended, in words.
pub(crate) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
