//! Messages that wait, seen without taking them.

use std::path::Path;

use super::core::{Core, Measures, Ring};
use crate::error::Error;
use crate::peek::{Looker, Peeked};
use crate::places::ways_to_look;
use crate::segment::{Place, Segment};

ways_to_look! {
    /// The messages that wait in the queue of that name, at most so many, in the order in which they will be handed out.
    /// They stay where they are, and nobody notices; others may take them meanwhile. It takes the permission to read, and
    /// no other.
    ///
    /// What is being written, or is in a consumer's hands, is not seen.
    ///
    /// ```
    /// use handover::{Options, peek};
    ///
    /// # let name = format!("doc-peek-{}", std::process::id());
    /// let lines = Options::new(8).create::<[u8]>(&name)?;
    /// lines.producer()?.push(b"hello")?;
    /// assert_eq!(peek(&name, 10)?[0].bytes, b"hello");
    /// assert_eq!(lines.len(), 1);
    /// handover::remove(&name)?;
    /// # Ok::<(), handover::Error>(())
    /// ```
    peek, peek_at(most: usize) -> Vec<Peeked>: seen
}

/// The segment was mapped for this look alone, also where this process uses the queue: so what is read while others write
/// plainly is, like what another process would read, no memory of theirs.
fn seen(segment: Segment, most: usize) -> Result<Vec<Peeked>, Error> {
    let measures = Measures::of(&segment)?;
    let looker = Looker::new(segment.header(), measures.size);
    let core = Core::in_segment(segment, measures);
    // SAFETY: the ring's slots are so long, and nobody else has this mapping.
    let look = &mut |slot| unsafe { looker.copy(slot) };
    let seen = match &core.ring {
        Ring::Many(many) => many.peek(most, look),
        Ring::One(one) => one.peek(most, look),
    };
    let seen = seen.map_err(|refusal| core.refused(refusal, false))?;
    Ok(seen.into_iter().map(|(bytes, deliveries)| Peeked { number: None, deliveries, bytes }).collect())
}
