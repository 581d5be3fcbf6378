//! Messages to standard output.

use std::io::{self, Stdout};

use super::Framing;
use crate::interrupt::{Interrupt, LOOK};
use crate::system::standard;
use crate::trouble::Trouble;

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
            match standard::write(&self.out, rest, LOOK) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error.into()),
                Err(error) => {
                    let why = format!("standard output takes nothing: {error}; what was not written is still there");
                    return Err(Trouble::Failed(why));
                }
            }
        }
        Ok(())
    }
}

/// Fails if whoever reads standard output has gone: it would be found out by what is written next only, and that may be
/// nothing.
pub(crate) fn look() -> Result<(), Trouble> {
    Ok(standard::is_read(&io::stdout())?)
}
