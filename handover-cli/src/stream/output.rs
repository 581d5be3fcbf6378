//! Messages to standard output.

use std::io::{self, Stdout};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Framing;
use crate::interrupt::{Interrupt, LOOK};
use crate::trouble::Trouble;

/// What a pipe takes without blocking once it says that it takes anything.
const PIECE: usize = 4096;

/// Standard output, written without ever being stuck in it. Nothing is kept back: what was written is the reader's.
pub(crate) struct Output {
    out: Stdout,
    framing: Framing,
    interrupt: Interrupt,
    framed: Vec<u8>,
}

impl Output {
    pub(crate) fn standard(framing: Framing, interrupt: &Interrupt) -> Output {
        Output { out: io::stdout(), framing, interrupt: interrupt.clone(), framed: Vec::new() }
    }

    /// Writes a message. If it fails, the reader has at most the beginning of it.
    pub(crate) fn write(&mut self, message: &[u8], standing: &'static str) -> Result<(), Trouble> {
        self.framed.clear();
        match self.framing.end() {
            Some(end) => {
                self.framed.extend_from_slice(message);
                self.framed.push(end);
            }
            None => {
                let length = u32::try_from(message.len()).expect("the library has no longer messages");
                self.framed.extend_from_slice(&length.to_le_bytes());
                self.framed.extend_from_slice(message);
            }
        }
        let mut rest = &self.framed[..];
        while !rest.is_empty() {
            if self.interrupt.asked() {
                return Err(Trouble::Interrupted(standing));
            }
            if !self.takes(LOOK.as_nanos() as i64)? {
                continue;
            }
            match rustix::io::write(&self.out, &rest[..rest.len().min(PIECE)]) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::PIPE) => return Err(Errno::PIPE.into()),
                Err(error) => {
                    let why = format!("standard output takes nothing: {error}; what was not written is still there");
                    return Err(Trouble::Failed(why));
                }
            }
        }
        Ok(())
    }

    /// Fails if whoever read has gone: it would be found out by the next message only, and none may come.
    pub(crate) fn look(&self) -> Result<(), Trouble> {
        self.takes(0).map(drop)
    }

    /// Whether it takes something, within so many nanoseconds.
    fn takes(&self, time: i64) -> Result<bool, Trouble> {
        let time = Timespec { tv_sec: 0, tv_nsec: time as _ };
        let descriptor = self.out.as_fd();
        let mut asked = [PollFd::new(&descriptor, PollFlags::OUT)];
        match poll(&mut asked, Some(&time)) {
            Err(Errno::INTR) => return Ok(false),
            other => other?,
        };
        let told = asked[0].revents();
        if told.contains(PollFlags::ERR) {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        Ok(!told.is_empty())
    }
}
