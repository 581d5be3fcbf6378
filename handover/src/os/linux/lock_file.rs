//! A file whose locks die with the process that took them, and with nothing less.
//!
//! The locks belong to an *open file description*, which the kernel gives up when the last descriptor of it is
//! closed: at death, whatever the cause. A forked child inherits the descriptor, and would keep its parent's locks
//! alive. So every descriptor that carries locks stands in a static list, and a handler that runs in each child,
//! before anything else there, closes them all.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering, fence};
use std::time::Duration;

use crate::os::Refusal;

const VACANT: RawFd = -1;

/// A place for one descriptor. Nodes are used again and never freed, so that the handler can walk the list without a
/// lock: a lock might be held by a thread that the child does not have.
struct Node {
    descriptor: AtomicI32,
    next: *const Node,
}

// SAFETY: `next` is written before the node is published and never after; nodes live forever.
unsafe impl Sync for Node {}

static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

/// How many forks lie between the first process and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// How many forks this process has begun, and how many of those are over.
static FORKS_BEGUN: AtomicU64 = AtomicU64::new(0);
static FORKS_ENDED: AtomicU64 = AtomicU64::new(0);

/// Differs from an earlier answer if, and only if, this process is a forked child of the one that asked then.
#[inline]
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// All nodes there are.
fn nodes() -> impl Iterator<Item = &'static Node> {
    // SAFETY: a pointer in the list is null or a leaked node, published with Release.
    let mut next = unsafe { NODES.load(Ordering::Acquire).as_ref() };
    std::iter::from_fn(move || {
        let node = next?;
        // SAFETY: as above; older nodes were published before newer ones.
        next = unsafe { node.next.as_ref() };
        Some(node)
    })
}

/// Runs in the parent before each fork.
extern "C" fn before_fork() {
    FORKS_BEGUN.fetch_add(1, Ordering::SeqCst);
}

/// Runs in the parent after each fork, be it that it failed.
extern "C" fn after_fork() {
    FORKS_ENDED.fetch_add(1, Ordering::SeqCst);
}

/// Runs in each child before `fork` returns there. Only what a signal handler may do is allowed here.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    for node in nodes() {
        close(node.descriptor.swap(VACANT, Ordering::SeqCst));
    }
    // The forks that other threads of the parent had begun never end here.
    FORKS_ENDED.store(FORKS_BEGUN.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Waits until no other thread is in the midst of a fork, and says how many forks there have been.
fn between_forks() -> u64 {
    loop {
        // In this order: if as many had ended as have been begun a moment later, none was under way at the first look.
        let ended = FORKS_ENDED.load(Ordering::SeqCst);
        let begun = forks_begun();
        if ended >= begun {
            return begun;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// If this is still the same as before a write, a fork that begins later copies what was written.
fn forks_begun() -> u64 {
    // The write first, the look after it. The other side counts first and copies memory then.
    fence(Ordering::SeqCst);
    FORKS_BEGUN.load(Ordering::SeqCst)
}

fn close(descriptor: RawFd) {
    if descriptor != VACANT {
        // SAFETY: the descriptor was put into its node by `register`, which owned it, and was swapped out, so that
        // nobody else closes it. In a child it may not be open, for the kernel copies descriptors before memory: then
        // nothing is closed, as no other code has run there that could have opened one.
        unsafe { libc::close(descriptor) };
    }
}

/// Makes `in_child` run in every child of a fork from now on.
fn watch_forks() -> io::Result<()> {
    // Not a once-cell: a fork while another thread fills one leaves the child with a cell that never gets full. Two
    // threads may both register, which does no harm: the handlers may run twice. One thing is not seen: a fork that is
    // under way in another thread at the very moment when a process opens its first file.
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.load(Ordering::Acquire) {
        // SAFETY: the handlers are async-signal-safe: atomics and `close`, no locks and no memory.
        match unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) } {
            0 => WATCHED.store(true, Ordering::Release),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
    Ok(())
}

fn register(file: OwnedFd) -> &'static Node {
    let descriptor = file.into_raw_fd();
    loop {
        for node in nodes() {
            if node.descriptor.compare_exchange(VACANT, descriptor, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                return node;
            }
        }
        add_node();
    }
}

/// Makes the list longer by a vacant node.
fn add_node() {
    let node = Box::leak(Box::new(Node { descriptor: AtomicI32::new(VACANT), next: ptr::null() }));
    loop {
        let newest = NODES.load(Ordering::Acquire);
        node.next = newest;
        // A fork copies page after page while other threads go on. One that copied the node before it was filled in
        // must not copy the list's head after it was set.
        between_forks();
        if NODES.compare_exchange(newest, node, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// An open file that carries locks on single bytes, which need not exist in the file.
///
/// In a forked child it is gone: every method fails there, and dropping it does nothing.
pub(crate) struct LockFile {
    node: &'static Node,
    forks: u64,
}

impl LockFile {
    /// Takes the descriptor that `open` makes, which must be the only one of its open file description.
    /// `open` may be called more than once.
    pub(crate) fn new(mut open: impl FnMut() -> Result<OwnedFd, Refusal>) -> Result<LockFile, Refusal> {
        watch_forks().map_err(Refusal::Other)?;
        loop {
            let begun = between_forks();
            let file = LockFile { node: register(open()?), forks: forks() };
            // A child that another thread forked between `open` and `register` has a descriptor that its handler did
            // not find. That open file must never get locks: leave it to the child and open another. A child forked
            // later has the node in its copy of the memory.
            if forks_begun() == begun {
                return Ok(file);
            }
        }
    }

    /// Whether this process is a forked child of the one that opened the file.
    pub(crate) fn forked(&self) -> bool {
        self.forks != forks()
    }

    /// Lends the open file.
    pub(crate) fn lend<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> Result<R, Refusal> {
        // The node may hold another file's descriptor in a child.
        if self.forked() {
            return Err(Refusal::Forked);
        }
        let descriptor = self.node.descriptor.load(Ordering::Relaxed);
        // SAFETY: in the process that opened it, the descriptor is closed by `drop` alone, and `self` is borrowed.
        Ok(f(unsafe { BorrowedFd::borrow_raw(descriptor) }))
    }

    /// Locks the byte for this file alone. False if another open file has it locked in any way.
    pub(crate) fn try_lock(&self, byte: u64) -> io::Result<bool> {
        self.set(libc::F_WRLCK as _, byte, 1)
    }

    /// Locks the byte together with others. False if another open file has it locked alone.
    pub(crate) fn try_lock_shared(&self, byte: u64) -> io::Result<bool> {
        self.set(libc::F_RDLCK as _, byte, 1)
    }

    /// Gives the byte up, if it is locked by this file.
    pub(crate) fn unlock(&self, byte: u64) -> io::Result<()> {
        self.set(libc::F_UNLCK as _, byte, 1).map(drop)
    }

    /// Whether any other open file has a lock on the byte; locks of this one don't count.
    pub(crate) fn is_locked_elsewhere(&self, byte: u64) -> io::Result<bool> {
        self.lend(|file| is_locked(file, byte))?
    }

    fn set(&self, kind: libc::c_short, byte: u64, bytes: u64) -> io::Result<bool> {
        self.lend(|file| {
            let mut lock = Lock::new(kind, byte, bytes)?;
            match lock.control(file, libc::F_OFD_SETLK) {
                Ok(()) => Ok(true),
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
                Err(error) => Err(error),
            }
        })?
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.forked() {
            return;
        }
        // Unlock by hand, and before the node is given up: a child forked between that and the close has the
        // descriptor and does not know it, and must not keep the locks with it.
        let unlocked = self.set(libc::F_UNLCK as _, 0, 0);
        debug_assert!(unlocked.is_ok());
        close(self.node.descriptor.swap(VACANT, Ordering::SeqCst));
    }
}

impl std::fmt::Debug for LockFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LockFile").field(&self.lend(|file| file.as_raw_fd()).ok()).finish()
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        match refusal {
            Refusal::Other(error) => error,
            Refusal::Forked => io::Error::other("the file was opened before a fork and belongs to the parent process"),
            other => io::Error::other(format!("{other:?}")),
        }
    }
}

/// Whether any open file but this one has a lock on the byte.
pub(crate) fn is_locked(file: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
    let mut lock = Lock::new(libc::F_WRLCK as _, byte, 1)?;
    lock.control(file, libc::F_OFD_GETLK)?;
    Ok(lock.0.l_type != libc::F_UNLCK as libc::c_short)
}

// These locks always use the record with 64-bit offsets.
#[cfg(target_pointer_width = "64")]
type Record = libc::flock;
#[cfg(not(target_pointer_width = "64"))]
type Record = libc::flock64;

struct Lock(Record);

impl Lock {
    /// `bytes` 0 means all from `start` on.
    fn new(kind: libc::c_short, start: u64, bytes: u64) -> io::Result<Lock> {
        let too_far = |_| io::Error::from(io::ErrorKind::InvalidInput);
        // SAFETY: the record is plain integers, for which all zeroes is a value; the kernel wants `l_pid` to be 0.
        let mut record: Record = unsafe { std::mem::zeroed() };
        record.l_type = kind;
        record.l_whence = libc::SEEK_SET as libc::c_short;
        record.l_start = start.try_into().map_err(too_far)?;
        record.l_len = bytes.try_into().map_err(too_far)?;
        Ok(Lock(record))
    }

    fn control(&mut self, file: BorrowedFd<'_>, command: libc::c_int) -> io::Result<()> {
        #[cfg(target_pointer_width = "64")]
        // SAFETY: the descriptor is open, and the command takes a pointer to one record, which it may fill in.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut self.0) };
        // Past the C library, whose 32-bit `fcntl` has taken either record for these commands over the years.
        #[cfg(not(target_pointer_width = "64"))]
        // SAFETY: as above.
        let result = unsafe { libc::syscall(libc::SYS_fcntl64, file.as_raw_fd(), command, &raw mut self.0) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
