//! Messages as somebody sees them who takes none: as bytes, of whatever type they are.

use crate::message;
use crate::segment::{Header, copy};

/// A message that was seen where it is, and left there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peeked {
    /// Of a broadcast's: its number.
    pub number: Option<u64>,
    /// Of a queue's: how often it was handed out and not finished.
    pub deliveries: u32,
    /// The message, where it is bytes; else all of its slot, as it lies there.
    pub bytes: Vec<u8>,
}

/// How the messages of a segment lie in their slots.
pub(crate) struct Looker {
    size: usize,
    are_bytes: bool,
}

impl Looker {
    pub(crate) fn new(header: &Header, size: usize) -> Looker {
        // As who opens it for bytes would find: what a header says of its messages need not fit its slots.
        let are_bytes = header.message().is_ok_and(|message| message::check::<[u8]>(header, message, "").is_ok());
        Looker { size, are_bytes }
    }

    /// What lies there. What a length says that can't be is no reason to fail: then the slot is shown.
    ///
    /// # Safety
    /// `slot` is valid for the segment's messages, in memory that this process has mapped for itself: others may write it
    /// meanwhile.
    pub(crate) unsafe fn copy(&self, slot: *const u8) -> Vec<u8> {
        if self.are_bytes
            // SAFETY: by the caller's contract.
            && let Ok(message) = unsafe { <[u8] as message::Shareable>::snapshot(slot, message::max_in(self.size)) }
        {
            return message;
        }
        let mut bytes = vec![0; self.size];
        // SAFETY: by the caller's contract.
        copy::copy_out(unsafe { copy::as_shared(slot, self.size) }, &mut bytes);
        bytes
    }
}
