//! Plain shared memory: views anywhere, of a segment whose header was scribbled over.

use std::sync::atomic::Ordering::SeqCst;

use handover::zerocopy::{FromBytes, Immutable, IntoBytes};
use handover::{Error, Queue, ReadOnlyMemory, SharedMemory};

use super::body::Body;
use super::life::{Place, User};

/// A segment's whole time.
pub fn memory(user: &mut User) {
    let place = Place::any(&mut user.choices);
    let bytes = user.choices.of(&[1, 2, 63, 64, 4095, 4096, 10_000]);
    let made = match &place {
        Place::Named(name) => SharedMemory::create(name, bytes),
        Place::Path(path) => SharedMemory::create_at(path, bytes),
        Place::Anonymous => SharedMemory::anonymous(bytes),
    };
    let made = made.expect("a new name");
    let share = || made.share().expect("what is open can be shared");
    let body = Body::of(share());
    user.tally.segments += 1;
    for _ in 0..1 + user.choices.below(6) {
        body.scribble(&mut user.choices);
        body.scribble_header(&mut user.choices);
        user.tally.edits += 2;
        let opened = match &place {
            Place::Named(name) => SharedMemory::open(name),
            Place::Path(path) => SharedMemory::open_at(path),
            Place::Anonymous => SharedMemory::from_fd(share()),
        };
        if let Some(memory) = user.open(opened) {
            use_memory(user, &memory);
        }
        let opened = match &place {
            Place::Named(name) => ReadOnlyMemory::open(name),
            Place::Path(path) => ReadOnlyMemory::open_at(path),
            Place::Anonymous => ReadOnlyMemory::from_fd(share()),
        };
        if let Some(memory) = user.open(opened) {
            read_memory(user, &memory);
        }
        // A header of plain memory can be forged into a queue's; that is then one of nobody's messages.
        user.open(Queue::<u64>::from_fd(share()));
        body.restore_header();
        use_memory(user, &made);
        body.check_beyond();
        if user.choices.over() {
            break;
        }
    }
}

fn range(user: &mut User, length: usize) -> (usize, usize) {
    let near = |user: &mut User| match user.choices.below(3) {
        0 => user.choices.number() as usize,
        1 => length.wrapping_sub(user.choices.below(40) as usize),
        _ => user.choices.below(length as u64 + 1) as usize,
    };
    (near(user), near(user))
}

/// Whether a range lies inside, counted so that nothing can overflow.
fn inside<T>(offset: usize, count: usize, length: usize) -> bool {
    offset as u128 + count as u128 * size_of::<T>() as u128 <= length as u128
}

/// Views of all kinds, and atomic words.
pub fn use_memory(user: &mut User, memory: &SharedMemory) {
    for _ in 0..8 {
        match user.choices.below(6) {
            0 => write::<u8>(user, memory),
            1 => write::<u32>(user, memory),
            2 => write::<u128>(user, memory),
            3 => write::<[u16; 7]>(user, memory),
            4 => write::<()>(user, memory),
            _ => {
                let (offset, _) = range(user, memory.len());
                let word = memory.atomic_u64(offset).map(|word| word.fetch_add(1, SeqCst));
                judge(user, word.is_ok(), word.err(), inside::<u64>(offset, 1, memory.len()));
                let word = memory.atomic_u32(offset).map(|word| word.fetch_xor(1, SeqCst));
                judge(user, word.is_ok(), word.err(), inside::<u32>(offset, 1, memory.len()));
            }
        }
    }
}

/// What lies inside may still be refused, for its alignment; what does not must be.
fn judge(user: &mut User, had: bool, error: Option<Error>, inside: bool) {
    user.watch.beat();
    user.tally.calls += 1;
    user.tally.messages += u64::from(had);
    assert!(inside || !had, "a view past the end");
    assert!(matches!(error, None | Some(Error::OutOfBounds { .. })), "{error:?}");
}

fn write<T: FromBytes + IntoBytes + Immutable + Clone>(user: &mut User, memory: &SharedMemory) {
    let (offset, count) = range(user, memory.len());
    let view = memory.view_slice::<T>(offset, count);
    judge(
        user,
        view.is_ok(),
        view.as_ref().err().map(|_| Error::OutOfBounds { why: String::new() }),
        inside::<T>(offset, count, memory.len()),
    );
    if let Ok(view) = view
        && count > 0
    {
        assert_eq!(view.len(), count);
        let index = user.choices.below(count as u64) as usize;
        let value = view.get(index);
        view.set(count - 1, &value);
        if size_of::<T>() > 0 {
            let mut all = vec![value; count];
            view.read_into(&mut all);
            view.write_from(&all);
        }
    }
}

fn read_memory(user: &mut User, memory: &ReadOnlyMemory) {
    let (offset, count) = range(user, memory.len());
    let view = memory.view_slice::<u16>(offset, count);
    let inside = inside::<u16>(offset, count, memory.len());
    judge(user, view.is_ok(), None, inside);
    if let Ok(view) = view
        && count > 0
    {
        std::hint::black_box((view.get(0), view.get(count - 1)));
    }
}
