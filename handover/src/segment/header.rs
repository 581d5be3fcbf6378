//! The first bytes of every segment: what it is, for whom, and how it is laid out.
//!
//! Written once, before the segment has a name, and never again. Whoever opens a segment copies the header out,
//! validates the copy and believes the copy alone.

use std::fmt;
use std::mem::{offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Place;
use crate::Error;

const MAGIC: [u8; 8] = *b"HANDOVER";
pub(crate) const VERSION: u32 = 1;
const BYTE_ORDER: u32 = 0x0102_0304;

/// The feature bit of a segment that is removed when its last user leaves. The other bits belong to the kind.
pub(super) const GOES_WITH_LAST_USER: u32 = 1 << 31;

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Kind {
    /// Memory without any queue in it: [`SharedMemory`](crate::SharedMemory).
    Memory = 0,
    /// A [`Queue`](crate::Queue).
    Queue = 1,
    /// A [`Broadcast`](crate::Broadcast).
    Broadcast = 2,
    /// A queue of tasks: [`Tasks`](crate::Tasks).
    Tasks = 3,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Kind {
    pub(crate) fn decode(number: u32) -> Option<Kind> {
        [Kind::Memory, Kind::Queue, Kind::Broadcast, Kind::Tasks].into_iter().find(|kind| *kind as u32 == number)
    }

    /// As users are told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Memory => "plain memory",
            Kind::Queue => "queue",
            Kind::Broadcast => "broadcast",
            Kind::Tasks => "task queue",
        }
    }
}

/// Numbers are in the byte order of the machine that made the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) byte_order: u32,
    pub(crate) kind: u32,
    /// Bits whose meaning belongs to the kind, but for `GOES_WITH_LAST_USER`.
    pub(crate) features: u32,
    pub(crate) capacity: u64,
    pub(crate) message_size: u64,
    pub(crate) message_align: u64,
    /// Of the message type.
    pub(crate) fingerprint: u64,
    /// How many entries the roster has.
    pub(crate) members: u32,
    pub(crate) reserved: u32,
    pub(crate) slot_stride: u64,
    pub(crate) body_offset: u64,
    /// Of the segment, header included.
    pub(crate) total_size: u64,
    pub(crate) checksum: u64,
}

const _: () = {
    assert!(size_of::<Header>() == 96);
    assert!(offset_of!(Header, version) == 8);
    assert!(offset_of!(Header, byte_order) == 12);
    assert!(offset_of!(Header, kind) == 16);
    assert!(offset_of!(Header, features) == 20);
    assert!(offset_of!(Header, capacity) == 24);
    assert!(offset_of!(Header, message_size) == 32);
    assert!(offset_of!(Header, message_align) == 40);
    assert!(offset_of!(Header, fingerprint) == 48);
    assert!(offset_of!(Header, members) == 56);
    assert!(offset_of!(Header, slot_stride) == 64);
    assert!(offset_of!(Header, body_offset) == 72);
    assert!(offset_of!(Header, total_size) == 80);
    assert!(offset_of!(Header, checksum) == 88);
    assert!(size_of::<Header>() <= Header::BODY_OFFSET);
};

/// Of plain memory without a body. `Segment::create` fills in the constants and the checksum, whatever stands there.
impl Default for Header {
    fn default() -> Header {
        Header {
            magic: MAGIC,
            version: VERSION,
            byte_order: BYTE_ORDER,
            kind: Kind::Memory as u32,
            features: 0,
            capacity: 0,
            message_size: 0,
            message_align: 0,
            fingerprint: 0,
            members: 0,
            reserved: 0,
            slot_stride: 0,
            body_offset: Header::BODY_OFFSET as u64,
            total_size: Header::BODY_OFFSET as u64,
            checksum: 0,
        }
    }
}

impl Header {
    /// Where the body begins, whatever the header grows to: at the size of the smallest page there is. Where pages are
    /// larger, header and body share one; they are mapped together, so nothing asks for more.
    pub(crate) const BODY_OFFSET: usize = 4096;

    /// Of a segment with a body of that many bytes. All that the kind does not use stays 0.
    pub(crate) fn new(kind: Kind, body_length: u64) -> Result<Header, Error> {
        let total_size = body_length.checked_add(Header::BODY_OFFSET as u64).filter(|total| fits(*total));
        let Some(total_size) = total_size else {
            return Err(Error::Unfit {
                why: format!("{body_length} bytes are more than this machine can address; ask for less"),
            });
        };
        Ok(Header { kind: kind as u32, total_size, ..Header::default() })
    }

    /// With its constants and checksum, ready to be written.
    pub(super) fn sealed(self) -> Result<Header, Error> {
        if !fits(self.total_size) {
            return Err(Error::Unfit {
                why: format!("a segment of {} bytes can't be had; ask for less", self.total_size),
            });
        }
        let Header { magic, version, byte_order, body_offset, .. } = Header::default();
        let mut header = Header { magic, version, byte_order, body_offset, ..self };
        header.checksum = header.sum();
        Ok(header)
    }

    /// What kind of segment this is.
    pub(crate) fn kind(&self) -> Kind {
        Kind::decode(self.kind).expect("made from a kind, or validated")
    }

    /// Size and alignment of a message.
    pub(crate) fn message(&self) -> Result<(usize, usize), String> {
        let size = usize::try_from(self.message_size).map_err(|_| "messages too large")?;
        let align = usize::try_from(self.message_align).map_err(|_| "alignment too large")?;
        Ok((size, align))
    }

    pub(crate) fn goes_with_last_user(&self) -> bool {
        self.features & GOES_WITH_LAST_USER != 0
    }

    /// FNV-1a of all bytes before the checksum. It finds scribbles, not forgeries.
    fn sum(&self) -> u64 {
        self.as_bytes()[..offset_of!(Header, checksum)]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// The header that `beginning` holds, the first bytes of a file of that length.
    pub(super) fn validated(beginning: &[u8], file_length: u64, place: &Place) -> Result<Header, Error> {
        let not_one = |why: &str| Error::NotASegment { place: place.to_string(), why: why.to_owned() };
        let corrupt = |why: String| Error::CorruptHeader { place: place.to_string(), why };
        let truncated = |needed| Error::Truncated { place: place.to_string(), found: file_length, needed };

        let begun = &beginning[..beginning.len().min(MAGIC.len())];
        if begun.is_empty() {
            return Err(not_one("it is empty"));
        }
        if !MAGIC.starts_with(begun) {
            return Err(not_one("it does not begin with the word HANDOVER"));
        }
        let Ok((header, _)) = Header::read_from_prefix(beginning) else {
            return Err(truncated(size_of::<Header>() as u64));
        };
        // Before all other numbers, which can't be read in the wrong order.
        if header.byte_order == BYTE_ORDER.swap_bytes() {
            return Err(Error::ByteOrder { place: place.to_string() });
        }
        if header.byte_order != BYTE_ORDER {
            return Err(corrupt(format!("{:#x} as its byte order", header.byte_order)));
        }
        // Before the checksum, which another version may compute otherwise.
        if header.version != VERSION {
            return Err(Error::Version { place: place.to_string(), found: header.version, supported: VERSION });
        }
        if header.checksum != header.sum() {
            return Err(corrupt("the checksum does not match".to_owned()));
        }
        if Kind::decode(header.kind).is_none() {
            return Err(corrupt(format!("kind {} is unknown", header.kind)));
        }
        if header.body_offset != Header::BODY_OFFSET as u64 {
            return Err(corrupt(format!("a body at {}", header.body_offset)));
        }
        if !fits(header.total_size) {
            return Err(corrupt(format!("a size of {} bytes", header.total_size)));
        }
        if header.total_size > file_length {
            return Err(truncated(header.total_size));
        }
        Ok(header)
    }
}

/// Whether a segment can have that many bytes: the body begins inside, and one mapping holds them all.
fn fits(total_size: u64) -> bool {
    total_size >= Header::BODY_OFFSET as u64 && isize::try_from(total_size).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], file_length: u64) -> Result<Header, Error> {
        Header::validated(bytes, file_length, &Place::Anonymous)
    }

    fn good() -> Header {
        Header::new(Kind::Queue, 1000).unwrap().sealed().unwrap()
    }

    /// A header with one number changed and a checksum that is right again.
    fn with(change: impl FnOnce(&mut Header)) -> Result<Header, Error> {
        let mut header = good();
        change(&mut header);
        header.checksum = header.sum();
        read(header.as_bytes(), 5096)
    }

    #[test]
    fn a_good_header_is_read_back() {
        let header = read(good().as_bytes(), 5096).unwrap();
        assert_eq!(header, good());
        assert_eq!(header.kind(), Kind::Queue);
        assert_eq!(header.total_size, 5096);
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        // Written out once more, as another implementation would from the format's description.
        let mut header = good();
        let mut sum: u64 = 0xcbf29ce484222325;
        for byte in &header.as_bytes()[..88] {
            sum ^= *byte as u64;
            sum = sum.wrapping_mul(1_099_511_628_211);
        }
        assert_eq!(header.checksum, sum);
        header.checksum = 1;
        assert_eq!(header.sealed().unwrap().checksum, sum);
    }

    #[test]
    fn every_bit_of_the_header_counts() {
        for bit in 0..size_of::<Header>() * 8 {
            let mut bytes = good().as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes, 5096).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn any_length_of_a_good_beginning_is_truncated() {
        for length in 1..size_of::<Header>() {
            let result = read(&good().as_bytes()[..length], length as u64);
            assert!(matches!(result, Err(Error::Truncated { needed: 96, .. })), "{length}");
        }
        assert!(matches!(read(good().as_bytes(), 5095), Err(Error::Truncated { found: 5095, needed: 5096, .. })));
        assert!(matches!(read(b"", 0), Err(Error::NotASegment { .. })));
        assert!(matches!(read(b"HANDS", 5), Err(Error::NotASegment { .. })));
    }

    #[test]
    fn each_number_is_bounded_though_the_checksum_is_right() {
        assert!(matches!(with(|h| h.kind = 4), Err(Error::CorruptHeader { .. })));
        assert!(matches!(with(|h| h.body_offset = 96), Err(Error::CorruptHeader { .. })));
        for size in [0, 95, 4095, u64::MAX, isize::MAX as u64 + 1] {
            assert!(matches!(with(|h| h.total_size = size), Err(Error::CorruptHeader { .. })), "{size}");
        }
        assert!(matches!(with(|h| h.total_size = 5097), Err(Error::Truncated { .. })));
        assert!(matches!(with(|h| h.byte_order = 7), Err(Error::CorruptHeader { .. })));
        assert!(matches!(with(|h| h.version = 2), Err(Error::Version { found: 2, supported: 1, .. })));
    }

    #[test]
    fn the_byte_order_is_told_before_the_version() {
        let foreign = with(|h| (h.byte_order, h.version) = (h.byte_order.swap_bytes(), 1_u32.swap_bytes()));
        assert!(matches!(foreign, Err(Error::ByteOrder { .. })));
    }

    #[test]
    fn a_body_that_can_not_be_addressed_is_refused() {
        for bytes in [u64::MAX, u64::MAX - 4095, isize::MAX as u64] {
            assert!(matches!(Header::new(Kind::Memory, bytes), Err(Error::Unfit { .. })), "{bytes}");
        }
    }
}
