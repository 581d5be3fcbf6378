//! Locks that die with the process that took them, and with nothing less.
//!
//! A lock is a named object, and to hold it is to have a handle of that. It is taken by making the object, which only
//! one can: a mutex for a lock that one has alone, an event for one that many share, of the same name, so that either keeps
//! the other out. The kernel closes a process's handles when its *last* thread is gone. It calls a mutex abandoned when
//! the *one* thread that waited for it is gone, which is too early: while a process is being ended others of its threads
//! may still run for a moment, and write. So nobody here waits for a mutex; its being there is the lock.
//!
//! To ask is not to touch: the object is opened as a third kind, which fails for one reason if there is none of that name
//! and for another if there is.

use std::collections::BTreeMap;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{CloseHandle, ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE};
use windows_sys::Win32::Foundation::{GetLastError, SetLastError};
use windows_sys::Win32::System::Threading::{
    CreateEventExW, CreateMutexExW, OpenSemaphoreW, SYNCHRONIZATION_SYNCHRONIZE,
};

use super::object::owned;
use super::storage::Storage;
use crate::os::Refusal;

/// Differs from an earlier answer if this process is a forked child: there is no such thing.
#[inline]
pub(crate) fn forks() -> u64 {
    0
}

enum Lock {
    /// Its handle is kept for what its end means.
    Alone {
        _mutex: OwnedHandle,
    },
    Shared {
        _event: OwnedHandle,
    },
}

/// An open segment that carries locks, each with a number.
pub(crate) struct LockFile {
    held: Mutex<BTreeMap<u64, Lock>>,
    storage: Storage,
}

impl LockFile {
    /// Takes the segment that `open` opens.
    pub(crate) fn new(mut open: impl FnMut() -> Result<Storage, Refusal>) -> Result<LockFile, Refusal> {
        Ok(LockFile { held: Mutex::default(), storage: open()? })
    }

    /// Whether this process is a forked child of the one that opened it.
    pub(crate) fn forked(&self) -> bool {
        false
    }

    /// Lends the open segment.
    pub(crate) fn lend<R>(&self, f: impl FnOnce(&Storage) -> R) -> Result<R, Refusal> {
        Ok(f(&self.storage))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, Lock>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock for this open segment alone. False if another has it in any way. One that is shared by this one is
    /// given up in any case.
    pub(crate) fn try_lock(&self, number: u64) -> io::Result<bool> {
        let mut held = self.held();
        match held.get(&number) {
            Some(Lock::Alone { .. }) => return Ok(true),
            Some(Lock::Shared { .. }) => drop(held.remove(&number)),
            None => {}
        }
        // Without a handle of it, which would keep it there a moment longer than its holder.
        if is_locked(&self.storage, number)? {
            return Ok(false);
        }
        let name = self.storage.key().lock(number);
        let security = self.storage.key().security()?;
        // SAFETY: all that is pointed to lives until the call returns. What the call before left must not be taken for
        // what this one says of the name.
        let (handle, error) = unsafe {
            SetLastError(0);
            let handle = CreateMutexExW(&security.attributes(), name.as_ptr(), 0, SYNCHRONIZATION_SYNCHRONIZE);
            (handle, GetLastError())
        };
        match (handle.is_null(), error) {
            (false, ERROR_ALREADY_EXISTS) => {
                // SAFETY: the handle is ours. Another was faster.
                unsafe { CloseHandle(handle) };
                Ok(false)
            }
            (false, _) => {
                // SAFETY: as above.
                held.insert(number, Lock::Alone { _mutex: unsafe { owned(handle) }? });
                Ok(true)
            }
            (true, ERROR_INVALID_HANDLE) => Ok(false),
            (true, error) => Err(io::Error::from_raw_os_error(error as i32)),
        }
    }

    /// Takes the lock together with others. False if another open segment has it alone.
    pub(crate) fn try_lock_shared(&self, number: u64) -> io::Result<bool> {
        let mut held = self.held();
        match held.get(&number) {
            Some(Lock::Shared { .. }) => return Ok(true),
            Some(Lock::Alone { .. }) => drop(held.remove(&number)),
            None => {}
        }
        let name = self.storage.key().lock(number);
        let security = self.storage.key().security()?;
        // SAFETY: all that is pointed to lives until the call returns, and the handle is ours.
        let event =
            unsafe { owned(CreateEventExW(&security.attributes(), name.as_ptr(), 0, SYNCHRONIZATION_SYNCHRONIZE)) };
        match event {
            Ok(event) => {
                held.insert(number, Lock::Shared { _event: event });
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(ERROR_INVALID_HANDLE as i32) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the lock up, if this open segment has it.
    pub(crate) fn unlock(&self, number: u64) -> io::Result<()> {
        drop(self.held().remove(&number));
        Ok(())
    }

    /// Whether any other open segment has the lock. Asked of locks that are had alone.
    pub(crate) fn is_locked_elsewhere(&self, number: u64) -> io::Result<bool> {
        let mine = self.held().contains_key(&number);
        Ok(!mine && is_locked(&self.storage, number)?)
    }
}

impl std::fmt::Debug for LockFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LockFile").field(self.storage.key()).finish()
    }
}

/// Whether any open segment has the lock.
pub(crate) fn is_locked(storage: &Storage, number: u64) -> io::Result<bool> {
    let name = storage.key().lock(number);
    // SAFETY: the name lives until the call returns.
    let semaphore = unsafe { owned(OpenSemaphoreW(SYNCHRONIZATION_SYNCHRONIZE, 0, name.as_ptr())) };
    // A semaphore, or one that may not be opened: somebody means something by it, and nobody is declared dead for that.
    Ok(!matches!(semaphore, Err(error) if error.raw_os_error() == Some(ERROR_FILE_NOT_FOUND as i32)))
}

#[cfg(test)]
mod tests;
