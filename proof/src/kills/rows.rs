//! What is tried with queues: operations, rings and states.

use super::Spacing;
use super::named::NamedScene;
use super::queue::{Play, Scene};
use super::way::Way;
use crate::scenes::{Operation, Ring, State};

/// The rows for the operations on a queue that is there.
pub fn scenes(short: bool) -> Vec<Scene> {
    use Operation::*;
    use State::*;
    let mut scenes = Vec::new();
    let pushes: &[(usize, State)] =
        &[(1, Empty), (2, Single), (3, Empty), (3, AlmostFull), (3, Wrapping), (3, Orphan), (3, Void), (2, Voids)];
    let pops: &[(usize, State)] =
        &[(1, Full), (2, Single), (3, AlmostFull), (3, Full), (3, Wrapping), (1, Orphan), (3, Orphan), (3, Void)];
    let batches: &[(usize, State)] = &[(4, Empty), (4, Wrapping), (4, AlmostFull), (4, Orphan), (4, Void), (3, Voids)];
    let batches_out: &[(usize, State)] = &[(1, Full), (4, Single), (4, Full), (4, Wrapping), (4, Orphan), (4, Void)];
    let table: &[(Operation, &[(usize, State)])] = &[
        (Push, pushes),
        (Pop, pops),
        (PushBatch, batches),
        (PopBatch, batches_out),
        (LoanSend, pushes),
        (LoanDrop, pushes),
        (ReceiveDone, pops),
        (ReceiveDrop, pops),
        (PushBlocked, &[(1, Full), (3, Full)]),
        (PopBlocked, &[(1, Empty), (3, Empty)]),
        (Close, &[(1, Full), (3, Empty), (3, Single), (3, Orphan)]),
        (FirstPush, &[(3, Single)]),
        (FirstPop, &[(3, Single)]),
        (AttachProducer, &[(3, Empty), (3, Full)]),
        (AttachConsumer, &[(3, Empty), (3, Orphan)]),
        (DetachProducer, &[(3, Single)]),
        (DetachConsumer, &[(3, Single)]),
    ];
    for (operation, states) in table {
        for ring in Ring::ALL {
            for (capacity, state) in *states {
                // One to one has no voids: what is not published is written over.
                let voids = matches!(state, Void | Voids);
                // The first operation of a new handle is like any other.
                let first = matches!(operation, FirstPush | FirstPop);
                if *ring == Ring::One && (voids || first) {
                    continue;
                }
                scenes.push(Scene::new(*operation, *ring, *capacity, *state));
            }
        }
    }
    for (operation, capacity, state) in
        [(Push, 3, Empty), (LoanSend, 3, Empty), (PushBatch, 4, Empty), (Pop, 3, Full), (PopBatch, 4, Full)]
    {
        for ring in Ring::ALL {
            scenes.push(Scene { asleep: true, ..Scene::new(operation, *ring, capacity, state) });
        }
    }
    if short {
        let wanted: &[(Operation, usize, State)] = &[
            (Push, 1, Empty),
            (Push, 3, Wrapping),
            (Push, 2, Voids),
            (Pop, 1, Full),
            (Pop, 3, Orphan),
            (PushBatch, 4, Wrapping),
            (PopBatch, 4, Wrapping),
            (LoanSend, 3, AlmostFull),
            (ReceiveDone, 3, Single),
            (ReceiveDrop, 1, Full),
        ];
        scenes.retain(|scene| wanted.contains(&(scene.operation, scene.capacity, scene.state)) && !scene.asleep);
    }
    scenes
}

/// The instructions of an operation that change the shared memory.
fn changes_of(scene: &Scene) -> Vec<u64> {
    Way::of(|| Play::set(scene)).changes
}

/// The rows for those who find a killed one and are killed themselves. Where the first is killed: after each
/// instruction that changes the shared memory, but those after which nothing is left to be done.
pub fn reapers() -> Vec<Scene> {
    use Operation::*;
    let mut scenes = Vec::new();
    let firsts = [
        (Push, 3, State::Empty),
        (PushBatch, 4, State::Wrapping),
        (Pop, 3, State::Full),
        (PopBatch, 4, State::Full),
        (ReceiveDone, 3, State::Orphan),
    ];
    for (operation, capacity, state) in firsts {
        let mut changes = changes_of(&Scene::new(operation, Ring::Many, capacity, state));
        // At the last ones the message is there, or gone, and only counters are written.
        changes.truncate(changes.len().saturating_sub(1).max(1));
        let claimed = changes[0];
        for at in changes {
            let reaper = |reaper, behind| {
                let before = vec![(operation, at)];
                Scene { before, behind, ..Scene::new(reaper, Ring::Many, capacity, state) }
            };
            let room = state == State::Empty || state == State::Wrapping && operation == Push;
            // Most of it is looking through a table, in loops.
            scenes.push(Scene { spacing: Spacing { every: 100, stride: 5 }, ..reaper(AttachConsumer, false) });
            scenes.push(reaper(Pop, room));
            if at == claimed {
                // The reaper is killed, too, wherever it has just changed something, and the next as well.
                let first = reaper(AttachConsumer, false);
                for reaped in changes_of(&first) {
                    let before = vec![(operation, at), (AttachConsumer, reaped)];
                    scenes.push(Scene { before, spacing: Spacing { every: 0, stride: 23 }, ..first.clone() });
                }
            }
        }
    }
    scenes
}

/// The rows for queues with names. Most of their way is in the standard library and touches nothing that is shared: all of
/// the beginning, each system call from both sides, and now and then one between.
pub fn named() -> Vec<NamedScene> {
    use Operation::*;
    let rows = [
        (Create, State::Empty),
        (Open, State::Single),
        (OpenOrCreate, State::Empty),
        (OpenOrCreate, State::Single),
        (Leave, State::Single),
    ];
    rows.map(|(operation, state)| NamedScene { operation, state }).to_vec()
}
