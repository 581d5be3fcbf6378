//! Who may open what is made here: the user alone, unless asked otherwise.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::object::{Wide, owned};

/// A security descriptor that names all who are let in, and inherits nobody.
pub(super) struct Security(PSECURITY_DESCRIPTOR);

impl Security {
    /// For memory and files. Of the mode's bits, the user's are the user's and those of others are everybody's. Windows
    /// has no counterpart to the group, whose bits say nothing.
    pub(super) fn of_memory(mode: u32) -> io::Result<Security> {
        // To remove it is nobody's to forbid to the one who made it.
        Security::new(&format!("SD{}", rights(mode >> 6)), rights(mode))
    }

    /// For names, locks, and what is slept on: whoever may open the memory at all must be able to use all of them.
    pub(super) fn of_objects(mode: u32) -> io::Result<Security> {
        Security::new("GA", if mode & 0o006 == 0 { "" } else { "GRGWGX" })
    }

    fn new(users: &str, everybodys: &str) -> io::Result<Security> {
        let entry = |rights: &str, whose: &str| match rights {
            "" => String::new(),
            rights => format!("(A;;{rights};;;{whose})"),
        };
        let text = Wide::new(format!("D:P{}{}", entry(users, user()?), entry(everybodys, "WD")));
        let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
        // SAFETY: the text ends with a zero, and the descriptor is put where we say.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if made == 0 { Err(io::Error::last_os_error()) } else { Ok(Security(descriptor)) }
    }

    /// For a call that makes something, while `self` lives. No child inherits what is made.
    pub(super) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Security {
    fn drop(&mut self) {
        // SAFETY: the system made it for us to free.
        unsafe { LocalFree(self.0.cast::<c_void>()) };
    }
}

/// What three bits of a mode allow.
fn rights(bits: u32) -> &'static str {
    match bits & 0o6 {
        0o6 => "GA",
        0o4 => "GR",
        0o2 => "GW",
        _ => "",
    }
}

#[cfg(test)]
mod tests;

/// This process's user, as descriptors write it.
fn user() -> io::Result<&'static str> {
    static USER: OnceLock<String> = OnceLock::new();
    if let Some(known) = USER.get() {
        return Ok(known);
    }
    let found = find_user()?;
    Ok(USER.get_or_init(|| found))
}

fn find_user() -> io::Result<String> {
    let mut token = ptr::null_mut();
    // SAFETY: the process's own handle, which need not be closed; the token is put where we say.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is ours to close.
    let token = unsafe { owned(token) }?;
    // A user's record and the longest identifier take less than a fifth of it.
    let mut record = [0_u64; 64];
    let mut length = 0;
    // SAFETY: fills in at most as many bytes as there are.
    let got = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            record.as_mut_ptr().cast(),
            size_of_val(&record) as u32,
            &raw mut length,
        )
    };
    if got == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the record begins with this, which points into itself; the array is aligned for it.
    let identifier = unsafe { (*record.as_ptr().cast::<TOKEN_USER>()).User.Sid };
    let mut text = ptr::null_mut();
    // SAFETY: a valid identifier; the text is put where we say.
    if unsafe { ConvertSidToStringSidW(identifier, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a text of the system's that ends with a zero and is ours to free.
    unsafe {
        let length = (0..).take_while(|at| *text.add(*at) != 0).count();
        let user = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast::<c_void>());
        Ok(user)
    }
}
