//! What the system's error numbers mean for users.

use std::io;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_BAD_NETPATH, ERROR_COMMITMENT_LIMIT, ERROR_DIRECTORY,
    ERROR_DISK_FULL, ERROR_FILE_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_FILE_TOO_LARGE, ERROR_HANDLE_DISK_FULL,
    ERROR_INVALID_HANDLE, ERROR_INVALID_NAME, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY,
    ERROR_PATH_NOT_FOUND, ERROR_PRIVILEGE_NOT_HELD, ERROR_SHARING_VIOLATION, ERROR_WRITE_PROTECT,
};

use crate::os::Refusal;

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        match error.raw_os_error().map(|number| number as u32) {
            Some(
                ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND | ERROR_INVALID_NAME | ERROR_BAD_NETPATH | ERROR_DIRECTORY,
            ) => Refusal::Missing,
            Some(ERROR_ALREADY_EXISTS | ERROR_FILE_EXISTS) => Refusal::Exists,
            Some(ERROR_ACCESS_DENIED | ERROR_PRIVILEGE_NOT_HELD | ERROR_WRITE_PROTECT | ERROR_SHARING_VIOLATION) => {
                Refusal::NotPermitted
            }
            Some(
                ERROR_DISK_FULL
                | ERROR_HANDLE_DISK_FULL
                | ERROR_NOT_ENOUGH_MEMORY
                | ERROR_OUTOFMEMORY
                | ERROR_COMMITMENT_LIMIT
                | ERROR_NO_SYSTEM_RESOURCES
                | ERROR_FILE_TOO_LARGE,
            ) => Refusal::NoRoom,
            // What the calls that take a name say when it is the name of something else.
            Some(ERROR_INVALID_HANDLE) => Refusal::NotRegular("it is not shared memory"),
            _ => Refusal::Other(error),
        }
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        match refusal {
            Refusal::Other(error) => error,
            other => io::Error::other(format!("{other:?}")),
        }
    }
}

/// Why the call before failed.
pub(super) fn last() -> Refusal {
    io::Error::last_os_error().into()
}
