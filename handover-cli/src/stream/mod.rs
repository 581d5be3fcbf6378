//! Standard input and output as streams of messages: by lines, NULs, or lengths.

mod input;
mod output;
mod progress;

use clap::Args;

pub(crate) use input::Input;
pub(crate) use output::{Output, look};
pub(crate) use progress::Progress;

/// Where a message ends and the next begins.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Framing {
    /// Messages end with a NUL, not with the line.
    #[arg(long, short = '0', conflicts_with = "binary")]
    null: bool,
    /// Each message comes after its length, four bytes, the lowest first: for any bytes at all.
    #[arg(long)]
    binary: bool,
}

impl Framing {
    /// The byte that ends a message; none where its length comes before it.
    fn end(self) -> Option<u8> {
        match self {
            Framing { binary: true, .. } => None,
            Framing { null: true, .. } => Some(0),
            _ => Some(b'\n'),
        }
    }

    /// How many bytes a message is in the stream.
    pub(crate) fn length(self, message: &[u8]) -> u64 {
        message.len() as u64 + if self.binary { 4 } else { 1 }
    }
}
