//! A `/dev/shm` of our own, small enough to be filled.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use handover::{Error, Options};

use super::ledger::Message;

/// What it holds.
const BYTES: u64 = 64 << 20;

fn checked(done: i32) -> io::Result<()> {
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives this process, and those it will begin, a `/dev/shm` that nobody else sees, and that is gone with the last of them.
/// The process must have one thread.
pub(super) fn own() -> io::Result<()> {
    let text = |text: &str| CString::new(text).expect("no zero in it");
    let (none, root, shm, tmpfs) = (text("none"), text("/"), text("/dev/shm"), text("tmpfs"));
    let size = text(&format!("size={BYTES},mode=1777"));
    // SAFETY: asks for numbers; and for namespaces, which this process alone is moved to.
    unsafe {
        let (user, group) = (libc::getuid(), libc::getgid());
        if user == 0 {
            checked(libc::unshare(libc::CLONE_NEWNS))?;
        } else {
            checked(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS))?;
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
            fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
        }
    }
    // SAFETY: the strings live as long as the calls; the mounts are of our own namespace.
    unsafe {
        let nothing = std::ptr::null();
        checked(libc::mount(none.as_ptr(), root.as_ptr(), nothing, libc::MS_REC | libc::MS_PRIVATE, nothing.cast()))?;
        checked(libc::mount(tmpfs.as_ptr(), shm.as_ptr(), tmpfs.as_ptr(), 0, size.as_ptr().cast()))
    }
}

/// Fills all there is for a moment: who makes a queue meanwhile is told so, and who has one goes on.
pub(super) fn fill_for_a_moment(time: Duration) -> Result<(), String> {
    let path = "/dev/shm/filler";
    let filled = fill(path).and_then(|()| {
        let end = Instant::now() + time;
        loop {
            let name = format!("torture-full-{}", std::process::id());
            match Options::new(100_000).create::<Message>(&name) {
                Err(Error::NoMemory { .. }) => {}
                Ok(_) => {
                    let _ = handover::remove(&name);
                    return Err("a queue was made in a full /dev/shm".into());
                }
                Err(error) => {
                    return Err(format!("in a full /dev/shm, instead of being told that it is full: {error}"));
                }
            }
            if Instant::now() > end {
                return Ok(());
            }
        }
    });
    let _ = fs::remove_file(path);
    filled
}

fn fill(path: &str) -> Result<(), String> {
    let file = File::create(path).map_err(|error| format!("the filler: {error}"))?;
    let mut length = 0;
    // Ever smaller pieces, to the last page.
    for piece in [1 << 20, 1 << 16, 1 << 12] {
        // SAFETY: reserves room in a file of our own.
        while length < 2 * BYTES && unsafe { libc::posix_fallocate(file.as_raw_fd(), length as i64, piece) } == 0 {
            length += piece as u64;
        }
    }
    if length < 2 * BYTES { Ok(()) } else { Err("/dev/shm is not our own".into()) }
}
