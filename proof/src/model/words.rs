//! What stands in the shared words of the model: the protocol's, without the packing.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// The most slots of a modelled ring.
pub const SLOTS: usize = 2;
/// The most members, the one that looks at the end included.
pub const MEMBERS: usize = 5;
/// The most messages of a run of the model, those of the look at the end included.
pub const MESSAGES: usize = 8;
/// The most frames that a member has before it.
const DEPTH: usize = 14;

/// Consumers sleep here.
pub const NOT_EMPTY: u8 = 0;
/// Producers sleep here.
pub const NOT_FULL: u8 = 1;

/// Which of the two tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Side {
    /// The tail.
    #[default]
    Push,
    /// The head.
    Pop,
}

/// A ticket: the next position, and whose claim was the last. Positions are counted without end: no run of the model
/// comes near the 2^44 after which they come round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ticket {
    /// The next position to claim.
    pub position: u8,
    /// Who made the last claim.
    pub owner: u8,
    /// How long that was; zero before the first.
    pub count: u8,
    /// The tail's bit.
    pub closed: bool,
}

/// The eight states of a stamp, with what stands beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Slot {
    /// Room for a message of this lap.
    #[default]
    Free,
    /// A recorded push: whose, how long.
    Writing(u8, u8),
    /// A message.
    Full,
    /// A recorded pop: whose, how long.
    Reading(u8, u8),
    /// A run that is being freed: whose, how long.
    Releasing(u8, u8),
    /// A push that came to nothing.
    Void,
    /// A message that was handed out and not finished: how often.
    Orphan(u8),
    /// An orphan handed out again: to whom, how often before.
    Rereading(u8, u8),
}

impl Slot {
    /// Whom the stamp names.
    pub fn holder(self) -> Option<u8> {
        match self {
            Slot::Writing(owner, _) | Slot::Reading(owner, _) | Slot::Releasing(owner, _) => Some(owner),
            Slot::Rereading(owner, _) => Some(owner),
            Slot::Free | Slot::Full | Slot::Void | Slot::Orphan(_) => None,
        }
    }

    /// How many slots the stamp speaks for.
    pub fn run(self) -> u8 {
        match self {
            Slot::Writing(_, count) | Slot::Reading(_, count) | Slot::Releasing(_, count) => count,
            _ => 1,
        }
    }
}

/// A slot's stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stamp {
    /// Of the position whose message the slot is for.
    pub lap: u8,
    /// What the slot is.
    pub slot: Slot,
}

/// Why a claim was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Refusal {
    /// No room, or no message.
    #[default]
    Nothing,
    /// The next slot is somebody's.
    Held,
    /// Closed, and something may yet be handed back.
    Draining,
}

/// The run that a member has claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Run {
    /// Its first position.
    pub first: u8,
    /// Its length.
    pub count: u8,
    /// How often its message was handed out before.
    pub deliveries: u8,
}

/// A gate's two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Gate {
    /// Moves on with every wake-up.
    pub sequence: u8,
    /// Somebody may be asleep.
    pub note: bool,
}

/// A place in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Entry {
    /// Its role is not 0.
    pub taken: bool,
    /// How many members it has had.
    pub generation: u8,
    /// The kernel's lock, and who has it.
    pub lock: Option<u8>,
}

/// What a member is about to do, each one access to shared memory or one question to the kernel. The names are those of
/// `ring/many.rs`, `roster/mod.rs`, `gate/mod.rs` and `queue/wait.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "each frame is described where it is carried out")]
pub enum Frame {
    #[default]
    Nothing,

    // try_claim of a consumer: look_for_orphans, claim_orphan
    Notice,
    NoticeAgain,
    OrphanTail {
        notice: u8,
    },
    OrphanStamp {
        notice: u8,
        start: u8,
        nth: u8,
    },
    OrphanSwap {
        notice: u8,
        start: u8,
        nth: u8,
        stamp: Stamp,
    },

    // claim_push, claim_pop
    ClosedApart,
    LoadTicket,
    LoadStamp {
        ticket: Ticket,
        nth: u8,
    },
    ClaimSwap {
        ticket: Ticket,
        count: u8,
    },
    RecordLoad {
        ticket: Ticket,
        side: Side,
    },
    RecordSwap {
        ticket: Ticket,
        side: Side,
    },
    FreeVoid {
        position: u8,
    },

    // refuse_push, refuse_pop, step_over
    RefuseStamp {
        ticket: Ticket,
    },
    RefuseOther {
        ticket: Ticket,
        stamp: Stamp,
    },
    RefuseAgain {
        ticket: Ticket,
        stamp: Stamp,
        other: Ticket,
    },
    RefuseLook {
        stamp: Stamp,
        index: u8,
    },
    AnythingLeft {
        index: u8,
    },
    StepSwap {
        head: Ticket,
    },

    // with a claim
    RecordOwn,
    Write {
        nth: u8,
    },
    Publish {
        nth: u8,
        give_up: bool,
    },
    Read {
        nth: u8,
    },
    Release,
    FreeSlot {
        nth: u8,
    },
    HandBack,
    HandBackNotice,

    // queue/wait.rs and gate/mod.rs
    Idle,
    Announce,
    Note {
        sequence: u8,
    },
    FutexWait {
        sequence: u8,
    },
    /// Not carried out: woken, or over by itself. In a closed queue that is being drained always the latter.
    Asleep {
        draining: bool,
    },
    PassNote,
    PassNotice,
    PassHead,
    PassTail {
        head: u8,
    },
    LookNote {
        gate: u8,
    },
    RoomHead,
    RoomTail {
        head: u8,
    },
    TakeNote {
        gate: u8,
    },
    MoveSequence {
        gate: u8,
    },
    FutexWake {
        gate: u8,
    },
    AllNote {
        gate: u8,
    },
    AllSequence {
        gate: u8,
    },
    AllWake {
        gate: u8,
    },
    SetClosed,

    // settle_tail, settle_head, settle_all, settle
    HolderTail,
    HolderHead {
        tail: Ticket,
    },
    SettleLoad {
        index: u8,
        mine: bool,
        all: bool,
    },
    SettleAsk {
        index: u8,
        stamp: Stamp,
        mine: bool,
        all: bool,
    },
    SettleRecheck {
        index: u8,
        stamp: Stamp,
    },
    SettleRest {
        index: u8,
        stamp: Stamp,
        nth: u8,
        second: bool,
    },
    SettleFirst {
        index: u8,
        stamp: Stamp,
    },
    SettleNotice,
    /// Local: what was settled is told.
    Settled,

    // roster/mod.rs
    SweepLoad {
        number: u8,
    },
    SweepAsk {
        number: u8,
        generation: u8,
    },
    ReapTail {
        number: u8,
        mine: bool,
    },
    ReapHead {
        number: u8,
        mine: bool,
        tail: Ticket,
    },
    ReapSlot {
        number: u8,
        mine: bool,
        index: u8,
    },
    ReapNotice,
    FreeEntry {
        number: u8,
        generation: u8,
    },
    TakeNumber,
    AttachLoad,
    AttachStore {
        generation: u8,
    },
    AttachNotice,
    DetachStore,
    DetachUnlock,
}

/// A state that is hashed in one piece: piece by piece that takes most of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gathered<S>(pub S);

impl<S: Hash> Hash for Gathered<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut gather = Gather { bytes: [0; 2048], length: 0 };
        self.0.hash(&mut gather);
        hasher.write(&gather.bytes[..gather.length]);
    }
}

impl<S> Deref for Gathered<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S> DerefMut for Gathered<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0
    }
}

/// The bytes that tell a value from all others of its type.
struct Gather {
    bytes: [u8; 2048],
    length: usize,
}

impl Hasher for Gather {
    fn finish(&self) -> u64 {
        unreachable!("only gathered")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn write_u8(&mut self, number: u8) {
        self.bytes[self.length] = number;
        self.length += 1;
    }

    // Which variant of an enum: there are less than 256 of each. Lengths of arrays: as little.
    fn write_isize(&mut self, number: isize) {
        self.write_u8(number as u8);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u8(number as u8);
    }
}

/// What a member still has to do; the last frame comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stack {
    frames: [Frame; DEPTH],
    length: u8,
}

impl Hash for Stack {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.frames[..usize::from(self.length)].hash(hasher);
    }
}

impl Stack {
    /// Does this before all the rest.
    pub fn push(&mut self, frame: Frame) {
        self.frames[usize::from(self.length)] = frame;
        self.length += 1;
    }

    /// Takes the next thing to do.
    pub fn pop(&mut self) -> Frame {
        self.length -= 1;
        // What was taken is wiped out, so that equal stacks are equal.
        std::mem::take(&mut self.frames[usize::from(self.length)])
    }

    /// The next thing to do.
    pub fn top(&self) -> Option<Frame> {
        self.frames[..usize::from(self.length)].last().copied()
    }

    /// Whether nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}
