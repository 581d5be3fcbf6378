//! Standard input and output, without ever being stuck in them.

use std::fs::File;
use std::io::{self, Stdin, Stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Whether lines may end in a carriage return and a line feed: here that is part of the line.
pub(crate) const LINES_END_IN_TWO: bool = false;

/// What a pipe takes without blocking once it says that it takes anything.
const PIECE: usize = 4096;

/// Reads what there is, or comes within that time: `None` if nothing does.
pub(crate) fn read(input: &Stdin, buffer: &mut [u8], within: Duration) -> io::Result<Option<usize>> {
    if ready(input, PollFlags::IN, within)?.is_empty() {
        return Ok(None);
    }
    match rustix::io::read(input, buffer) {
        Err(Errno::INTR | Errno::AGAIN) => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// Writes as much as is taken within that time, which may be nothing.
pub(crate) fn write(out: &Stdout, bytes: &[u8], within: Duration) -> io::Result<usize> {
    if !takes(out, within)? {
        return Ok(0);
    }
    match rustix::io::write(out, &bytes[..bytes.len().min(PIECE)]) {
        Err(Errno::INTR | Errno::AGAIN) => Ok(0),
        other => Ok(other?),
    }
}

/// Fails if whoever read has gone: it would be found out by the next message only, and none may come.
pub(crate) fn is_read(out: &Stdout) -> io::Result<()> {
    takes(out, Duration::ZERO).map(drop)
}

/// The file of a file system that it is, if it is one.
pub(crate) fn file(stream: &impl AsFd) -> Option<File> {
    let file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
    file.metadata().is_ok_and(|facts| facts.is_file()).then_some(file)
}

fn takes(out: &Stdout, within: Duration) -> io::Result<bool> {
    let told = ready(out, PollFlags::OUT, within)?;
    if told.contains(PollFlags::ERR) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(!told.is_empty())
}

fn ready(of: &impl AsFd, what: PollFlags, within: Duration) -> io::Result<PollFlags> {
    let time = Timespec { tv_sec: within.as_secs() as _, tv_nsec: within.subsec_nanos() as _ };
    let mut asked = [PollFd::new(of, what)];
    match poll(&mut asked, Some(&time)) {
        Err(Errno::INTR) => Ok(PollFlags::empty()),
        other => other.map(|_| asked[0].revents()).map_err(Into::into),
    }
}
