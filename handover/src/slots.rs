//! Where the slots lie in a body, and which measures are refused, whatever ring they belong to.

use crate::message::Shape;
use crate::ring::MAX_CAPACITY;
use crate::roster::SOLE;
use crate::segment::{Header, Kind};

/// The slots of a body, behind everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    /// From each slot to the next.
    pub(crate) stride: usize,
    /// Of the first slot.
    pub(crate) offset: usize,
    /// Of the whole body.
    pub(crate) length: usize,
}

/// The largest alignment a message may ask for: a mapping begins on a page, which is no smaller, and the body so far behind.
const MAX_ALIGN: usize = 4096;

/// The capacity, if something can be made of it and of messages aligned so.
pub(crate) fn checked(kind: Kind, capacity: u64, align: usize) -> Result<u32, String> {
    if capacity == 0 {
        return Err(format!("a {} of capacity 0 can hold nothing; make it at least 1", kind.name()));
    }
    if capacity > MAX_CAPACITY {
        return Err(format!("a capacity of {capacity} is more than the largest, {MAX_CAPACITY}; make it smaller"));
    }
    if !align.is_power_of_two() || align > MAX_ALIGN {
        return Err(format!("messages aligned to {align} can't be placed; the largest alignment is {MAX_ALIGN}"));
    }
    Ok(capacity as u32)
}

impl Slots {
    /// So many slots, that far from each other, behind the first `head` bytes. Sizes that overflow are nobody's.
    pub(crate) fn behind(
        head: usize,
        (count, stride): (usize, Option<usize>),
        (size, align): (usize, usize),
    ) -> Result<Slots, String> {
        let offset = head.next_multiple_of(align);
        let slots = stride.and_then(|stride| stride.checked_mul(count));
        // Half of the address space is as much as can ever be mapped.
        let length = slots.and_then(|slots| slots.checked_add(offset)).filter(|n| *n < isize::MAX as usize / 2);
        match (stride, length) {
            (Some(stride), Some(length)) => Ok(Slots { stride, offset, length }),
            _ => {
                Err(format!("{count} messages of {size} bytes are more than this machine can address; make it smaller"))
            }
        }
    }

    /// Of a segment with these slots, and a roster of so many entries.
    pub(crate) fn header(&self, kind: Kind, features: u32, capacity: u32, shape: &Shape, entries: u32) -> Header {
        Header {
            kind: kind as u32,
            features,
            capacity: u64::from(capacity),
            message_size: shape.size as u64,
            message_align: shape.align as u64,
            fingerprint: shape.fingerprint,
            members: entries - SOLE,
            slot_stride: self.stride as u64,
            total_size: self.total_size(),
            ..Header::default()
        }
    }

    /// Whether that is the header of a segment with these slots, which were measured from its other numbers.
    pub(crate) fn agree_with(&self, header: &Header) -> Result<(), String> {
        let agree = header.slot_stride == self.stride as u64 && header.total_size == self.total_size();
        if agree && header.members != 0 { Ok(()) } else { Err("its sizes contradict each other".into()) }
    }

    fn total_size(&self) -> u64 {
        (Header::BODY_OFFSET + self.length) as u64
    }
}
