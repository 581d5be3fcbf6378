//! Messages that are kept, seen by one who is no reader.

use std::path::Path;

use super::core::{Core, Measures};
use crate::error::Error;
use crate::peek::{Looker, Peeked};
use crate::places::ways_to_look;
use crate::segment::{Place, Segment};

ways_to_look! {
    /// The newest messages that the broadcast of that name keeps, at most so many, the oldest of them first. It takes the
    /// permission to read, and no other.
    peek, peek_at(most: usize) -> Vec<Peeked>: seen
}

fn seen(segment: Segment, most: usize) -> Result<Vec<Peeked>, Error> {
    let measures = Measures::of(&segment)?;
    let looker = Looker::new(segment.header(), measures.size);
    let core = Core::new(segment, measures);
    let end = core.fan.published();
    let mut reading = core.fan.begin(core.fan.oldest().max(end.saturating_sub(most as u64)));
    let mut seen = Vec::new();
    while reading.position < end && core.fan.look(&mut reading, &[]).is_ok() {
        // SAFETY: the ring's slots are so long, and are written by atomics only.
        let bytes = unsafe { looker.copy(core.fan.next_slot(&reading)) };
        match core.fan.check(None, &mut reading) {
            Some(number) => seen.push(Peeked { number: Some(number), deliveries: 0, bytes }),
            // It was overwritten meanwhile: those before it are gone, too.
            None => {
                seen.clear();
                core.fan.skip(None, &mut reading);
            }
        }
    }
    Ok(seen)
}
