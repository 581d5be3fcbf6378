//! Positions, tickets and stamps, and how they are packed into 64 bits.

/// The most messages in one claim.
pub(crate) const RUN_MAX: u32 = 64;
/// The most members of one ring: their number has ten bits.
pub(crate) const MAX_MEMBERS: u32 = 1023;
/// The most slots of one ring.
pub(crate) const MAX_CAPACITY: u64 = 1 << 31;

const POSITION_BITS: u32 = 44;
const POSITION: u64 = (1 << POSITION_BITS) - 1;
const OWNER_BITS: u32 = 10;
const OWNER: u64 = (1 << OWNER_BITS) - 1;

/// A member's number in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) u16);

/// A slot and the lap it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// As it stands in words: above the bits of the index, which are zero. So it needs no shifting.
    pub(crate) lap: u64,
    pub(crate) index: u32,
}

/// The arithmetic of positions. Laps are counted modulo a power of two, so that everything wraps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) capacity: u32,
    /// The bits of the index: as many as the capacity needs.
    index_mask: u64,
}

impl Geometry {
    /// For `1..=MAX_CAPACITY` slots.
    pub(crate) fn new(capacity: u32) -> Geometry {
        assert!(capacity >= 1 && u64::from(capacity) <= MAX_CAPACITY);
        Geometry { capacity, index_mask: u64::from(capacity).next_power_of_two() - 1 }
    }

    #[inline(always)]
    fn pack(&self, position: Position) -> u64 {
        position.lap | u64::from(position.index)
    }

    /// The position in a ticket. `None` if the index is out of the ring: no correct member writes that.
    #[inline(always)]
    pub(crate) fn unpack(&self, bits: u64) -> Option<Position> {
        let index = (bits & self.index_mask) as u32;
        let lap = bits & POSITION & !self.index_mask;
        if index < self.capacity { Some(Position { lap, index }) } else { None }
    }

    /// The position `count` (at most the capacity) further on.
    #[inline(always)]
    pub(crate) fn after(&self, position: Position, count: u32) -> Position {
        // No overflow: both are at most 2^31.
        let index = position.index + count;
        if index < self.capacity {
            Position { lap: position.lap, index }
        } else {
            Position { lap: self.next_lap(position.lap), index: index - self.capacity }
        }
    }

    /// The position `count` (at most the capacity) before.
    #[inline(always)]
    pub(crate) fn before(&self, position: Position, count: u32) -> Position {
        match position.index.checked_sub(count) {
            Some(index) => Position { lap: position.lap, index },
            None => Position { lap: self.last_lap(position.lap), index: position.index + (self.capacity - count) },
        }
    }

    #[inline(always)]
    pub(crate) fn next_lap(&self, lap: u64) -> u64 {
        (lap + self.index_mask + 1) & POSITION
    }

    #[inline(always)]
    pub(crate) fn last_lap(&self, lap: u64) -> u64 {
        lap.wrapping_sub(self.index_mask + 1) & POSITION
    }

    /// Whether a lap that was read from memory is one.
    pub(crate) fn is_lap(&self, lap: u64) -> bool {
        lap & self.index_mask == 0
    }

    /// How many positions lie between; `None` if more than the ring has.
    #[inline]
    pub(crate) fn distance(&self, from: Position, to: Position) -> Option<u32> {
        if to.lap == from.lap {
            to.index.checked_sub(from.index)
        } else if to.lap == self.next_lap(from.lap) && to.index <= from.index {
            Some(self.capacity - (from.index - to.index))
        } else {
            None
        }
    }
}

/// The next position to claim, and the claim made last: whose it was and how long.
///
/// ```text
/// 63       62..61   60..54   53..44   43..0
/// closed   0        count    owner    position: lap, then as many bits of index as the capacity needs
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) closed: bool,
    pub(crate) count: u32,
    pub(crate) owner: Owner,
    pub(crate) position: Position,
}

const OWNER_AT: u32 = POSITION_BITS;
const COUNT_AT: u32 = OWNER_AT + OWNER_BITS;

impl Ticket {
    pub(crate) const CLOSED: u64 = 1 << 63;

    /// The owner in a packed ticket.
    #[inline(always)]
    pub(crate) fn owner_of(bits: u64) -> Owner {
        Owner((bits >> OWNER_AT & OWNER) as u16)
    }

    #[inline(always)]
    pub(crate) fn pack(self, geometry: &Geometry) -> u64 {
        (if self.closed { Self::CLOSED } else { 0 })
            | u64::from(self.count) << COUNT_AT
            | u64::from(self.owner.0) << OWNER_AT
            | geometry.pack(self.position)
    }

    /// `None` for numbers that no correct member writes.
    #[inline]
    pub(crate) fn unpack(bits: u64, geometry: &Geometry) -> Option<Ticket> {
        let count = (bits >> COUNT_AT & 0x7f) as u32;
        let position = geometry.unpack(bits)?;
        let ticket = Ticket { closed: bits & Self::CLOSED != 0, count, owner: Ticket::owner_of(bits), position };
        // Packed again it has to be what it was: a compare-and-swap from it would else fail for ever.
        (count <= RUN_MAX && count <= geometry.capacity && ticket.pack(geometry) == bits).then_some(ticket)
    }
}

/// What a slot is.
///
/// ```text
///            claim by push              publish             claim by pop               release
/// Free(lap) ---------------> Writing ------------> Full ----------------> Reading ---------------> Free(lap + 1)
///                               |                                            |  (a run: Releasing)
///                  holder dead, |                               holder dead, |
///                loan dropped   v                           receipt dropped  v        take
///                             Void ---> Free(lap + 1)                     Orphan <----------> Rereading ---> Free(lap + 1)
/// ```
///
/// `Writing` and `Reading` are written only where somebody else must be able to know the holder; see [`super::many`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Free = 0,
    Writing = 1,
    Full = 2,
    Reading = 3,
    /// A run whose messages have all been copied out: it only remains to free its slots.
    Releasing = 4,
    /// A push that came to nothing. Readers step over it.
    Void = 5,
    /// A message that was handed out and not finished.
    Orphan = 6,
    /// An orphan, handed out again.
    Rereading = 7,
}

/// The state of one slot, of which lap, and who holds it.
///
/// ```text
/// 63..60   59..54                                  53..44   43..0
/// state    count - 1 (a run's first slot), or      owner    lap (where it stands in a position)
///          deliveries so far (Orphan, Rereading)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) const MOST_DELIVERIES: u32 = 63;

    #[inline(always)]
    pub(crate) const fn new(state: State, lap: u64) -> Stamp {
        Stamp((state as u64) << 60 | lap)
    }

    /// `number` is the length of a run (1..=RUN_MAX).
    #[inline]
    pub(crate) fn run(state: State, lap: u64, owner: Owner, count: u32) -> Stamp {
        Stamp::new(state, lap).with(owner, count - 1)
    }

    /// `deliveries` is how often the message was handed out and not finished.
    #[inline]
    pub(crate) fn delivered(state: State, lap: u64, owner: Owner, deliveries: u32) -> Stamp {
        Stamp::new(state, lap).with(owner, deliveries.min(Self::MOST_DELIVERIES))
    }

    #[inline]
    fn with(self, owner: Owner, number: u32) -> Stamp {
        Stamp(self.0 | u64::from(number) << COUNT_AT | u64::from(owner.0) << OWNER_AT)
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Stamp {
        Stamp(bits)
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// `None` for a number that no correct member writes.
    #[inline]
    pub(crate) fn state(self) -> Option<State> {
        Some(match self.0 >> 60 {
            0 => State::Free,
            1 => State::Writing,
            2 => State::Full,
            3 => State::Reading,
            4 => State::Releasing,
            5 => State::Void,
            6 => State::Orphan,
            7 => State::Rereading,
            _ => return None,
        })
    }

    /// The state, if nothing stands beside it where nothing belongs: a compare-and-swap from the plain stamp would
    /// else fail for ever.
    #[inline]
    pub(crate) fn plain_or_held(self) -> Option<State> {
        let state = self.state()?;
        let plain = matches!(state, State::Free | State::Full | State::Void);
        (!plain || self == Stamp::new(state, self.lap())).then_some(state)
    }

    #[inline]
    pub(crate) fn lap(self) -> u64 {
        self.0 & POSITION
    }

    #[inline]
    pub(crate) fn owner(self) -> Owner {
        Owner((self.0 >> OWNER_AT & OWNER) as u16)
    }

    /// The length of the run that begins here.
    #[inline]
    pub(crate) fn count(self) -> u32 {
        (self.0 >> COUNT_AT & 63) as u32 + 1
    }

    #[inline]
    pub(crate) fn deliveries(self) -> u32 {
        (self.0 >> COUNT_AT & 63) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_step_forward_and_back_over_the_end_and_over_the_last_lap() {
        for capacity in [1, 2, 3, 5, 64, 1000, 1 << 31] {
            let geometry = Geometry::new(capacity);
            let last = Position { lap: geometry.last_lap(0), index: capacity - 1 };
            for start in [
                Position { lap: 0, index: 0 },
                Position { lap: geometry.next_lap(geometry.next_lap(0)), index: capacity / 2 },
                last,
            ] {
                for count in [0, 1, capacity.min(RUN_MAX), capacity] {
                    let end = geometry.after(start, count);
                    assert_eq!(geometry.before(end, count), start);
                    assert_eq!(geometry.distance(start, end), Some(count));
                    assert_eq!(geometry.unpack(geometry.pack(end)), Some(end));
                }
            }
        }
    }

    #[test]
    fn tickets_and_stamps_come_back_as_they_were_packed() {
        let geometry = Geometry::new(1000);
        let ticket =
            Ticket { closed: true, count: 64, owner: Owner(1022), position: Position { lap: 123 << 10, index: 999 } };
        assert_eq!(Ticket::unpack(ticket.pack(&geometry), &geometry), Some(ticket));
        let stamp = Stamp::run(State::Reading, POSITION, Owner(1022), 64);
        assert_eq!(
            (stamp.state(), stamp.lap(), stamp.owner(), stamp.count()),
            (Some(State::Reading), POSITION, Owner(1022), 64)
        );
        assert_eq!(Stamp::delivered(State::Orphan, 0, Owner(0), 1000).deliveries(), 63);
    }

    #[test]
    fn numbers_that_nobody_writes_decode_to_nothing() {
        let geometry = Geometry::new(1000);
        assert_eq!(Ticket::unpack(1000, &geometry), None, "an index past the end");
        assert_eq!(Ticket::unpack(65 << COUNT_AT, &geometry), None, "a run longer than any");
        assert_eq!(Stamp::from_bits(u64::MAX).state(), None);
    }
}
