//! Tasks that wait, seen without taking them.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;
use std::time::Duration;

use super::TaskId;
use super::block::State;
use super::core::{Core, Measures};
use super::hand::terms;
use crate::error::Error;
use crate::os;
use crate::peek::Looker;
use crate::places::ways_to_look;
use crate::segment::{Place, Segment};

/// A task that waits, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peeked {
    /// The task's number.
    pub id: TaskId,
    /// Its priority.
    pub priority: usize,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// How often it was tried.
    pub tries: u32,
    /// For how long it has waited for a worker.
    pub waited: Duration,
    /// In what time it will be ready, if it waits for that.
    pub due: Option<Duration>,
    /// The task, where it is bytes; else all of its place, as it lies there.
    pub bytes: Vec<u8>,
}

ways_to_look! {
    /// The tasks that wait in the task queue of that name, at most so many, about in the order in which they will be
    /// taken: those that are ready, by priority, then those that wait for their time. They stay where they are. It takes
    /// the permission to read, and no other.
    peek, peek_at(most: usize) -> Vec<Peeked>: seen
}

fn seen(segment: Segment, most: usize) -> Result<Vec<Peeked>, Error> {
    let measures = Measures::of(&segment)?;
    let looker = Looker::new(segment.header(), measures.size);
    let core = Core::new(segment, measures);
    let now = os::now();
    let mut order = Vec::new();
    for (block, word) in core.blocks() {
        let head = core.head(block);
        let due = match word.state() {
            Some(State::Waiting | State::Requeued) => None,
            Some(State::Delayed) => Some(core.alarm(block).load(Relaxed)),
            _ => continue,
        };
        let (priority, _) = terms(head.terms.load(Relaxed));
        order.push((due, Reverse(priority), head.submitted.load(Relaxed), block, word));
    }
    order.sort_unstable_by_key(|(due, priority, since, ..)| (*due, *priority, *since));
    let mut seen = Vec::new();
    for (due, Reverse(priority), since, block, word) in order {
        if seen.len() == most {
            break;
        }
        let (head, tail) = (core.head(block), core.tail(block));
        let id = TaskId(head.id.load(Relaxed));
        let key = tail.key(head);
        // SAFETY: the block's message is so long, and is written by atomics only.
        let bytes = unsafe { looker.copy(core.message(block)) };
        fence(Acquire);
        // It counts only if the block is still in the same state.
        if core.word(block) == word {
            seen.push(Peeked {
                id,
                priority,
                key: (!key.is_empty()).then_some(key),
                tries: word.tries().into(),
                waited: Duration::from_nanos(now.saturating_sub(since)),
                due: due.map(|due| Duration::from_nanos(due.saturating_sub(now))),
                bytes,
            });
        }
    }
    Ok(seen)
}
