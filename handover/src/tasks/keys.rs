//! Which tasks have a key: so that a second one of the same key is refused while the first waits.
//!
//! Keys fall into buckets. A bucket is a list of blocks, through their links, under a latch that names its holder. A
//! block stays in its list when its task is taken, and is found there to be of no interest; whoever puts another task
//! into it takes it out of the list first. The list can always be made anew from the blocks, and is, if the latch's
//! holder died.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, fence};
use std::time::Duration;

use super::block::State;
use super::core::Core;
use super::latch::Latch;
use crate::error::Error;
use crate::gate::Limit;
use crate::message::fingerprint;
use crate::ring::Owner;

/// The first block of a list, as its number plus one, and the latch on it.
#[repr(C)]
pub(super) struct Bucket {
    pub(super) latch: Latch,
    first: AtomicU32,
    reserved: AtomicU32,
}

/// A block's place in a list.
#[repr(C)]
pub(super) struct Link {
    hash: AtomicU32,
    /// The next block's number plus one.
    next: AtomicU32,
    /// The bucket's number plus one; 0: in no list.
    bucket: AtomicU32,
    reserved: AtomicU32,
}

/// How long one waits for a latch whose holder was stopped, if it may not block.
const PATIENCE: Duration = Duration::from_millis(1);

/// Whether a task in that state keeps others of its key out.
fn keeps_out(state: Option<State>) -> bool {
    matches!(state, Some(State::Waiting | State::Delayed | State::Requeued))
}

/// Whether a task in that state may yet come to keep others out.
fn may_wait_again(state: Option<State>) -> bool {
    keeps_out(state) || matches!(state, Some(State::Leased | State::Busy | State::Dead | State::Expired))
}

impl Core {
    fn bucket_of(&self, hash: u32) -> u32 {
        hash & (self.measures.buckets - 1)
    }

    /// Runs `commit`, which lets the block's task wait, unless another of the same key waits already. The block is the
    /// caller's, and its key is written.
    pub(super) fn with_key(
        &self,
        me: Owner,
        block: u32,
        key: &[u8],
        limit: Limit,
        commit: impl FnOnce(),
    ) -> Result<(), Error> {
        let limit = if matches!(limit, Limit::Never) { Limit::after(PATIENCE) } else { limit };
        let link = self.link(block);
        // It may still be in the list of a key that it had before.
        if let Some(old) = link.bucket.load(Acquire).checked_sub(1) {
            let old = old & (self.measures.buckets - 1);
            self.latched(me, old, limit, || {
                self.unlink(old, |listed| listed == block);
                link.bucket.store(0, Release);
                Ok(())
            })?;
        }
        let hash = fingerprint(&[key]) as u32;
        let bucket = self.bucket_of(hash);
        self.latched(me, bucket, limit, || {
            let mut taken = false;
            self.unlink(bucket, |listed| {
                let word = self.word(listed);
                if keeps_out(word.state()) && self.link(listed).hash.load(Relaxed) == hash {
                    // Read while it may change: it counts only if the word says that it did not.
                    let same = self.tail(listed).key(self.head(listed)) == key;
                    fence(Acquire);
                    taken |= same && self.word(listed) == word;
                }
                !may_wait_again(word.state())
            });
            if taken {
                return Err(Error::Duplicate { key: String::from_utf8_lossy(key).into_owned() });
            }
            link.hash.store(hash, Relaxed);
            link.next.store(self.bucket(bucket).first.load(Relaxed), Relaxed);
            link.bucket.store(bucket + 1, Release);
            self.bucket(bucket).first.store(block + 1, Release);
            commit();
            Ok(())
        })
    }

    fn latched<R>(
        &self,
        me: Owner,
        bucket: u32,
        limit: Limit,
        run: impl FnOnce() -> Result<R, Error>,
    ) -> Result<R, Error> {
        let latch = &self.bucket(bucket).latch;
        if latch.take(self, me, limit)? {
            self.rebuild(bucket);
        }
        let result = run();
        latch.leave();
        result
    }

    /// Leaves the latches that a dead member held. Whether it is still dead, as far as it held any.
    pub(super) fn leave_latches_of(&self, dead: Owner, me: Owner, is_dead: &dyn Fn(Owner) -> bool) -> bool {
        let mut all = true;
        for number in 0..self.measures.buckets {
            let latch = &self.bucket(number).latch;
            let held = latch.held();
            if held.by() != Some(dead) {
                continue;
            }
            if !is_dead(dead) {
                all = false;
            } else if latch.change(held, me) {
                self.rebuild(number);
                latch.leave();
            }
        }
        all
    }

    /// Takes those blocks out of a list for which `goes` says so.
    fn unlink(&self, bucket: u32, mut goes: impl FnMut(u32) -> bool) {
        let mut place = &self.bucket(bucket).first;
        // A list that was scribbled over may go in circles.
        for _ in 0..self.measures.blocks {
            let Some(listed) = place.load(Relaxed).checked_sub(1).filter(|block| *block < self.measures.blocks) else {
                return;
            };
            let link = self.link(listed);
            if goes(listed) {
                place.store(link.next.load(Relaxed), Relaxed);
                link.bucket.store(0, Release);
            } else {
                place = &link.next;
            }
        }
    }

    /// The latch's holder died: the list is made anew from what the links say.
    fn rebuild(&self, bucket: u32) {
        let first = &self.bucket(bucket).first;
        first.store(0, Relaxed);
        for block in 0..self.measures.blocks {
            let link = self.link(block);
            if link.bucket.load(Relaxed) == bucket + 1 {
                link.next.store(first.load(Relaxed), Relaxed);
                first.store(block + 1, Relaxed);
            }
        }
    }
}
