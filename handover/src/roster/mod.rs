//! Who is attached, and who of them is dead.
//!
//! Every handle that pushes or pops is a *member*. Among threads the roster only counts. Among processes it is a table
//! in the segment, and a member holds a kernel lock on its entry's byte of the segment's file: the kernel lets go of it
//! when the process dies, whatever the cause, and tells anybody who asks whether it is held. That answer is the only
//! evidence of death; the pid in the entry is for people.
//!
//! What a dead member left in the ring is the ring's business: the roster calls back with its number.
//!
//! The lock orders everything here. An entry is taken only under its lock, so a number belongs to one living member at
//! most. An entry is freed by a compare-and-swap from the state that was read before the kernel was asked: a reaper
//! that was stopped in between finds the next owner's state and changes nothing.

mod pulse;
mod search;

use std::process;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub(crate) use self::pulse::Pulse;
pub(crate) use self::search::{ALONE, Search, Searches};
use crate::error::Error;
use crate::ring::Owner;
use crate::segment::Segment;

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It pushes.
    Producer,
    /// It pops.
    Consumer,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
        }
    }
}

/// What a member, or a queue as a whole, has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages pushed.
    pub pushed: u64,
    /// Messages popped, or received and finished.
    pub popped: u64,
    /// Times a push found no room and had to wait.
    pub blocked_full: u64,
    /// Times a pop found no message and had to wait.
    pub blocked_empty: u64,
    /// Messages delivered that had been handed out before and not finished.
    pub redelivered: u64,
    /// Pushes of dead members that came to nothing.
    pub voided: u64,
    /// Deaths noticed.
    pub deaths: u64,
}

/// The counters in memory. Only the member itself writes them, with plain loads and stores.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) pushed: AtomicU64,
    pub(crate) popped: AtomicU64,
    pub(crate) blocked_full: AtomicU64,
    pub(crate) blocked_empty: AtomicU64,
    pub(crate) redelivered: AtomicU64,
    pub(crate) voided: AtomicU64,
    pub(crate) deaths: AtomicU64,
}

#[inline(always)]
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

impl Counters {
    fn read(&self) -> Counts {
        Counts {
            pushed: self.pushed.load(Relaxed),
            popped: self.popped.load(Relaxed),
            blocked_full: self.blocked_full.load(Relaxed),
            blocked_empty: self.blocked_empty.load(Relaxed),
            redelivered: self.redelivered.load(Relaxed),
            voided: self.voided.load(Relaxed),
            deaths: self.deaths.load(Relaxed),
        }
    }

    fn write(&self, counts: Counts) {
        self.pushed.store(counts.pushed, Relaxed);
        self.popped.store(counts.popped, Relaxed);
        self.blocked_full.store(counts.blocked_full, Relaxed);
        self.blocked_empty.store(counts.blocked_empty, Relaxed);
        self.redelivered.store(counts.redelivered, Relaxed);
        self.voided.store(counts.voided, Relaxed);
        self.deaths.store(counts.deaths, Relaxed);
    }
}

impl Counts {
    fn combine(self, other: Counts, with: fn(u64, u64) -> u64) -> Counts {
        Counts {
            pushed: with(self.pushed, other.pushed),
            popped: with(self.popped, other.popped),
            blocked_full: with(self.blocked_full, other.blocked_full),
            blocked_empty: with(self.blocked_empty, other.blocked_empty),
            redelivered: with(self.redelivered, other.redelivered),
            voided: with(self.voided, other.voided),
            deaths: with(self.deaths, other.deaths),
        }
    }
}

/// One member's place in the table. All zero is a free one.
#[repr(C, align(128))]
#[derive(Default)]
pub(crate) struct Entry {
    /// Generation, then one byte: 0 free, 1 a producer's, 2 a consumer's.
    state: AtomicU64,
    pid: AtomicU32,
    reserved: AtomicU32,
    /// What the counters said when this member came: they are never reset, so that their sum over the table is the
    /// queue's, whoever dies.
    before: Counters,
    pub(crate) counters: Counters,
}

const _: () = assert!(size_of::<Entry>() == 128);

/// The entries kept for the one producer and the one consumer of queues that have only one.
pub(crate) const SOLE: u32 = 2;

/// A member as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number in the roster.
    pub number: u32,
    /// What it may do.
    pub role: Role,
    /// The process that attached it, for people to read.
    pub pid: u32,
    /// Whether it lives. The kernel says so.
    pub alive: bool,
    /// What it has done.
    pub counts: Counts,
}

impl Member {
    /// Its counts where the ring counts the messages: what stands in them is where that stood when the member came.
    pub(crate) fn count_from(&mut self, pushed: u64, popped: u64) {
        match self.role {
            Role::Producer => self.counts.pushed = pushed.wrapping_sub(self.counts.pushed),
            Role::Consumer => self.counts.popped = popped.wrapping_sub(self.counts.popped),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) enum Roster {
    Threads(Threads),
    Processes(Processes),
}

/// A handle's place in the roster.
pub(crate) struct Membership {
    pub(crate) owner: Owner,
    entry: *const Entry,
    /// Keeps a thread's entry alive.
    _kept: Option<Arc<Entry>>,
}

// SAFETY: the entry is atomics, in the segment or kept by the `Arc`.
unsafe impl Send for Membership {}
// SAFETY: as above.
unsafe impl Sync for Membership {}

impl Membership {
    #[inline(always)]
    pub(crate) fn counters(&self) -> &Counters {
        // SAFETY: the handle that holds the membership holds the queue's memory, too.
        unsafe { &(*self.entry).counters }
    }

    /// In a ring that counts its messages itself, where it stood when this member came.
    pub(crate) fn begin_at(&self, role: Role, pushed: u64, popped: u64) {
        // SAFETY: as above.
        let Entry { before, counters, .. } = unsafe { &*self.entry };
        let (before, counter, began) = match role {
            Role::Producer => (&before.pushed, &counters.pushed, pushed),
            Role::Consumer => (&before.popped, &counters.popped, popped),
        };
        before.store(0, Relaxed);
        counter.store(began, Relaxed);
    }
}

/// Among threads: a list, and what those who left have done.
#[derive(Default)]
pub(crate) struct Threads {
    list: Mutex<ThreadList>,
}

#[derive(Default)]
struct ThreadList {
    next: u32,
    present: Vec<(u32, Role, Arc<Entry>)>,
    left: Counts,
}

/// Among processes: the table.
pub(crate) struct Processes {
    entries: *const Entry,
    length: u32,
    segment: Arc<Segment>,
    /// Which entries this open segment holds: the kernel does not show us our own locks.
    mine: Box<[AtomicBool]>,
    /// Attaching and detaching are done one at a time within a process.
    attaching: Mutex<()>,
}

// SAFETY: the entries are atomics in the segment, which is kept.
unsafe impl Send for Processes {}
// SAFETY: as above.
unsafe impl Sync for Processes {}

/// Called with the number of a member that is dead and its process, before its entry is freed, and with the counters that
/// the caller may write: once more if its reaper died. Returns whether all that the dead one held is settled.
pub(crate) type Reap<'a> = &'a mut dyn FnMut(Owner, u32, &Counters) -> bool;

impl Roster {
    /// Attaches a member; `sole` if only one of its role is let in.
    pub(crate) fn attach(&self, role: Role, sole: bool, reap: Reap<'_>) -> Result<Membership, Error> {
        match self {
            Roster::Threads(threads) => threads.attach(role, sole),
            Roster::Processes(processes) => processes.attach(role, sole, reap),
        }
    }

    pub(crate) fn detach(&self, membership: &Membership) {
        match self {
            Roster::Threads(threads) => threads.detach(membership),
            Roster::Processes(processes) => processes.detach(membership),
        }
    }

    /// Everybody there is, the dead that nobody has reaped yet included.
    pub(crate) fn members(&self) -> Vec<Member> {
        match self {
            Roster::Threads(threads) => threads.members(),
            Roster::Processes(processes) => processes.members(),
        }
    }

    /// What all members did, those who left or died included.
    pub(crate) fn counts(&self) -> Counts {
        match self {
            Roster::Threads(threads) => {
                let list = locked(&threads.list);
                list.present
                    .iter()
                    .fold(list.left, |sum, (_, _, entry)| sum.combine(entry.counters.read(), u64::wrapping_add))
            }
            Roster::Processes(processes) => (0..processes.length)
                .map(|number| processes.entry(number).counters.read())
                .fold(Counts::default(), |sum, counts| sum.combine(counts, u64::wrapping_add)),
        }
    }
}

impl Threads {
    fn attach(&self, role: Role, sole: bool) -> Result<Membership, Error> {
        let mut list = locked(&self.list);
        if sole && list.present.iter().any(|(_, present, _)| *present == role) {
            return Err(Error::Taken { place: "queue between threads".into(), role: role.word(), pid: process::id() });
        }
        let entry = Arc::new(Entry::default());
        let number = list.next;
        list.next = list.next.wrapping_add(1);
        list.present.push((number, role, Arc::clone(&entry)));
        // Threads' claims need no owner: the ring keeps no records of the immortal.
        Ok(Membership { owner: Owner(0), entry: &raw const *entry, _kept: Some(entry) })
    }

    fn detach(&self, membership: &Membership) {
        let mut list = locked(&self.list);
        if let Some(at) =
            list.present.iter().position(|(_, _, entry)| std::ptr::eq(&raw const **entry, membership.entry))
        {
            let (_, _, entry) = list.present.swap_remove(at);
            list.left = list.left.combine(entry.counters.read(), u64::wrapping_add);
        }
    }

    fn members(&self) -> Vec<Member> {
        let list = locked(&self.list);
        let member = |(number, role, entry): &(u32, Role, Arc<Entry>)| Member {
            number: *number,
            role: *role,
            pid: process::id(),
            alive: true,
            counts: entry.counters.read(),
        };
        list.present.iter().map(member).collect()
    }
}

const ROLE: u64 = 0xff;

fn role_of(state: u64) -> Option<Role> {
    match state & ROLE {
        1 => Some(Role::Producer),
        2 => Some(Role::Consumer),
        _ => None,
    }
}

impl Processes {
    /// # Safety
    /// `entries` are `length` entries in the segment, used as a roster only.
    pub(crate) unsafe fn new(entries: *const Entry, length: u32, segment: Arc<Segment>) -> Processes {
        let mine = (0..length).map(|_| AtomicBool::new(false)).collect();
        Processes { entries, length, segment, mine, attaching: Mutex::new(()) }
    }

    fn entry(&self, number: u32) -> &Entry {
        assert!(number < self.length);
        // SAFETY: within the table, by the contract of `new`.
        unsafe { &*self.entries.add(number as usize) }
    }

    /// The byte of the segment's file that a member's lock is on. Byte 0 is every user's.
    fn byte(number: u32) -> u64 {
        1 + u64::from(number)
    }

    fn attach(&self, role: Role, sole: bool, reap: Reap<'_>) -> Result<Membership, Error> {
        let _alone = locked(&self.attaching);
        let numbers = match (sole, role) {
            (true, Role::Producer) => 0..1,
            (true, Role::Consumer) => 1..2,
            (false, _) => SOLE..self.length,
        };
        for number in numbers {
            if let Some(membership) = self.take(number, role, sole, reap)? {
                return Ok(membership);
            }
        }
        let place = self.segment.place().to_string();
        Err(if sole {
            let number = if role == Role::Producer { 0 } else { 1 };
            Error::Taken { place, role: role.word(), pid: self.entry(number).pid.load(Relaxed) }
        } else {
            Error::TooManyMembers { place, max: self.length - SOLE }
        })
    }

    /// Takes an entry if nobody living has it.
    fn take(&self, number: u32, role: Role, sole: bool, reap: Reap<'_>) -> Result<Option<Membership>, Error> {
        let entry = self.entry(number);
        let mine = &self.mine[number as usize];
        let lock = || {
            let system = |source| Error::System { doing: "lock a member's entry".into(), source };
            self.segment.lock_file().try_lock(Self::byte(number)).map_err(system)
        };
        if mine.load(Acquire) {
            return Ok(None);
        }
        let mut got = lock()?;
        // One that is just leaving has freed its entry and still has the lock for a moment.
        for _ in 0..if sole { 100 } else { 0 } {
            if got || role_of(entry.state.load(Acquire)).is_some() {
                break;
            }
            thread::sleep(Duration::from_micros(50));
            got = lock()?;
        }
        if !got {
            return Ok(None);
        }
        mine.store(true, Release);
        let pid = entry.pid.swap(process::id(), Relaxed);
        entry.before.write(entry.counters.read());
        let role = if role == Role::Producer { 1 } else { 2 };
        let mut state = entry.state.load(Acquire);
        let next = |state: u64| (state & !ROLE).wrapping_add(1 << 8) | role;
        // SeqCst: a sleeper looks at the entries after it read its gate's sequence, which is moved on after this. By
        // compare-and-swap: whoever has just reaped the last one may be about to say so.
        while let Err(now) = entry.state.compare_exchange(state, next(state), SeqCst, Acquire) {
            state = now;
        }
        if role_of(state).is_some() {
            // We have its lock, so it is dead and nobody can attach here; others may be settling it, too. Of what is ours
            // nothing is left unsettled. The entry says already that it is ours: if we die in this, all of it is left to
            // whoever reaps us.
            count(&entry.counters.deaths, 1);
            reap(Owner(number as u16), pid, &entry.counters);
        }
        Ok(Some(Membership { owner: Owner(number as u16), entry, _kept: None }))
    }

    fn detach(&self, membership: &Membership) {
        let number = u32::from(membership.owner.0);
        let entry = self.entry(number);
        entry.state.store(entry.state.load(Relaxed) & !ROLE, Release);
        let _alone = locked(&self.attaching);
        self.mine[number as usize].store(false, Release);
        // If this fails the entry counts as a living member's until the segment is closed: nothing is robbed.
        let _ = self.segment.lock_file().unlock(Self::byte(number));
    }

    /// Whether nobody living has this number. Numbers outside of the table are nobody's.
    pub(crate) fn is_dead(&self, owner: Owner) -> bool {
        let number = u32::from(owner.0);
        if number >= self.length {
            return true;
        }
        if self.mine[number as usize].load(Acquire) {
            return false;
        }
        // Where the kernel can't be asked, nobody is declared dead.
        matches!(self.segment.lock_file().is_locked_elsewhere(Self::byte(number)), Ok(false))
    }

    /// The process that attached a member, for people to read. 0 for numbers outside of the table.
    pub(crate) fn pid(&self, owner: Owner) -> u32 {
        let number = u32::from(owner.0);
        if number < self.length { self.entry(number).pid.load(Relaxed) } else { 0 }
    }

    /// Whether any member is there that this process's death would leave behind: one that can die while we wait.
    pub(crate) fn others(&self) -> bool {
        (0..self.length).any(|number| {
            role_of(self.entry(number).state.load(SeqCst)).is_some() && !self.mine[number as usize].load(Acquire)
        })
    }

    /// Frees the entry of a dead member that was reaped, unless somebody else has. Who does it counts the death.
    fn free(&self, entry: &Entry, state: u64, counters: &Counters) {
        if entry.state.compare_exchange(state, state & !ROLE, AcqRel, Relaxed).is_ok() {
            count(&counters.deaths, 1);
        }
    }

    /// Looks for dead members, has each settled and frees its entry. `counters` are the caller's.
    pub(crate) fn sweep(&self, counters: &Counters, reap: Reap<'_>) {
        for number in 0..self.length {
            let entry = self.entry(number);
            // Read before the kernel is asked: if it is still the same when we free it, it is the dead one's.
            let state = entry.state.load(Acquire);
            let owner = Owner(number as u16);
            if role_of(state).is_none() || !self.is_dead(owner) {
                continue;
            }
            // If something is left, somebody has taken the lock since. That one reaps, too, if it finds the entry not yet
            // free; freed now, what the dead one held would be taken for its successor's.
            if reap(owner, entry.pid.load(Relaxed), counters) {
                self.free(entry, state, counters);
            }
        }
    }

    fn members(&self) -> Vec<Member> {
        let member = |number| {
            let entry = self.entry(number);
            let role = role_of(entry.state.load(Acquire))?;
            Some(Member {
                number,
                role,
                pid: entry.pid.load(Relaxed),
                alive: !self.is_dead(Owner(number as u16)),
                counts: entry.counters.read().combine(entry.before.read(), u64::wrapping_sub),
            })
        };
        (0..self.length).filter_map(member).collect()
    }
}
