//! What is put right by somebody who came to see whether all is well, and not because it held them up.

use std::path::Path;

use crate::error::Error;
use crate::segment::{Kind, Place, Segment, remove_unused};
use crate::{broadcast, queue, tasks};

/// Settles what dead members of the queue, broadcast or task queue of that name have left, and says how many they were.
///
/// Its members do that by themselves as soon as one is held up, or comes; so it is never needed, but where nobody is there
/// to do it, dead members stay in the list, and what they held is not handed out.
///
/// ```
/// # let name = format!("doc-reap-{}", std::process::id());
/// let _queue = handover::Options::new(8).create::<u64>(&name)?;
/// assert_eq!(handover::reap(&name)?, 0);
/// handover::remove(&name)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub fn reap(name: &str) -> Result<usize, Error> {
    reap_in(&Place::Named(name.into()))
}

/// As [`reap`], in that file.
pub fn reap_at(path: impl AsRef<Path>) -> Result<usize, Error> {
    reap_in(&Place::Path(path.as_ref().into()))
}

fn reap_in(place: &Place) -> Result<usize, Error> {
    let segment = Segment::open(place)?;
    match segment.header().kind() {
        Kind::Memory => Ok(0),
        Kind::Queue => queue::reap(segment),
        Kind::Broadcast => broadcast::reap(segment),
        Kind::Tasks => tasks::reap(segment),
    }
}

/// Removes the segment of that name if nobody has it open and nobody can miss it: it was to go with its last user, and
/// those were all killed; or it is closed, and nothing is left in it. Says whether it did.
///
/// It is safe beside those who come at this very moment: they have it, and it stays, or they find that it does not exist.
/// What is in use, holds anything, or may be waiting for its next user stays. Of a broadcast that is closed something is
/// left if anything was ever published, for a reader may yet come for it.
///
/// ```
/// # let name = format!("doc-stale-{}", std::process::id());
/// let queue = handover::Options::new(8).create::<u64>(&name)?;
/// queue.close();
/// assert!(!handover::remove_if_stale(&name)?); // it is open here
/// drop(queue);
/// assert!(handover::remove_if_stale(&name)?);
/// # Ok::<(), handover::Error>(())
/// ```
pub fn remove_if_stale(name: &str) -> Result<bool, Error> {
    remove_unused(&Place::Named(name.into()), is_stale)
}

/// As [`remove_if_stale`], for the segment in that file.
pub fn remove_if_stale_at(path: impl AsRef<Path>) -> Result<bool, Error> {
    remove_unused(&Place::Path(path.as_ref().into()), is_stale)
}

/// Of a segment that nobody uses.
fn is_stale(segment: Segment) -> Result<bool, Error> {
    if segment.header().goes_with_last_user() {
        return Ok(true);
    }
    match segment.header().kind() {
        // Nobody says of plain memory that it is done with.
        Kind::Memory => Ok(false),
        Kind::Queue => queue::is_finished(segment),
        Kind::Broadcast => broadcast::is_finished(segment),
        Kind::Tasks => tasks::is_finished(segment),
    }
}
