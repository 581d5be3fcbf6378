//! Names of kernel objects, and the numbers they are made of.

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::Cryptography::{BCRYPT_USE_SYSTEM_PREFERRED_RNG, BCryptGenRandom};

use super::security::Security;

/// A name as the system takes it: 16 bits at a time, with a zero at the end.
pub(super) struct Wide(Vec<u16>);

impl Wide {
    pub(super) fn new(name: impl AsRef<OsStr>) -> Wide {
        Wide(name.as_ref().encode_wide().chain([0]).collect())
    }

    /// Of an absolute path, however long it is.
    pub(super) fn path(path: &Path) -> Wide {
        const VERBATIM: &str = r"\\?\";
        let text = path.as_os_str();
        if text.as_encoded_bytes().starts_with(br"\\") {
            return Wide::new(text);
        }
        let mut verbatim = std::ffi::OsString::from(VERBATIM);
        verbatim.push(text);
        Wide::new(verbatim)
    }

    pub(super) fn as_ptr(&self) -> *const u16 {
        self.0.as_ptr()
    }

    /// Without the zero.
    pub(super) fn units(&self) -> &[u16] {
        &self.0[..self.0.len() - 1]
    }
}

/// What a call that makes or opens an object returned: a handle that is ours from now on, or null.
///
/// # Safety
/// `handle` is null or a new handle that nobody else closes.
pub(super) unsafe fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: by the caller's contract.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// A number that nobody else has and nobody can guess. Never 0.
pub(super) fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    loop {
        // SAFETY: fills eight bytes of ours.
        let status = unsafe {
            BCryptGenRandom(ptr::null_mut(), bytes.as_mut_ptr(), bytes.len() as u32, BCRYPT_USE_SYSTEM_PREFERRED_RNG)
        };
        if status != 0 {
            return Err(io::Error::other(format!("no random number can be had (status {status:#x})")));
        }
        let number = u64::from_ne_bytes(bytes);
        if number != 0 {
            return Ok(number);
        }
    }
}

/// What the names of a segment's objects are made of, and who may open them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Drawn when the segment was made; it stands in the first page of it.
    pub(super) id: u64,
    /// Of one in a file: volume and number. A copy of the file has the same id, and is another segment.
    pub(super) file: Option<(u64, u64)>,
    pub(super) mode: u32,
}

/// Where in the first page, far behind the header, id and mode stand: eight bytes, then four.
pub(super) const ID_OFFSET: usize = 4032;
pub(super) const MODE_OFFSET: usize = 4040;
/// The page.
pub(super) const PAGE: usize = 4096;

impl Key {
    /// That of the segment whose first page begins with these bytes: whatever stands there is the beginning of a name.
    pub(super) fn of(page: &[u8], file: Option<(u64, u64)>) -> Key {
        let word = |at: usize, bytes: usize| {
            let field = page.get(at..at + bytes).unwrap_or_default();
            field.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
        };
        Key { id: word(ID_OFFSET, 8), file, mode: word(MODE_OFFSET, 4) as u32 & 0o777 }
    }

    /// The name of an object of that segment. All sessions of the machine share these: the segment may be a file, or have
    /// been handed over, and the id tells it from every other.
    fn name(&self, what: &str, number: u64) -> Wide {
        let id = self.id;
        Wide::new(match self.file {
            None => format!(r"Global\handover-{what}.{id:016x}.{number}"),
            Some((volume, file)) => format!(r"Global\handover-{what}.{id:016x}.{volume:x}.{file:x}.{number}"),
        })
    }

    /// The name of the lock with that number.
    pub(super) fn lock(&self, number: u64) -> Wide {
        self.name("lock", number)
    }

    /// The name of what is slept on at the word that many bytes from the segment's beginning.
    pub(super) fn gate(&self, offset: usize) -> Wide {
        self.name("gate", offset as u64)
    }

    /// Lets in whom the segment lets in.
    pub(super) fn security(&self) -> io::Result<Security> {
        Security::of_objects(self.mode)
    }
}
