//! What is tried with queues of tasks.

use super::scenes::{Operation, State};
use super::{Play, Scene};
use crate::kills::Spacing;
use crate::kills::way::Way;

/// Most of the way through what attaches a member is looking through tables, in loops.
const ATTACHING: Spacing = Spacing { every: 100, stride: 7 };

/// Whether it attaches a member.
fn attaches(operation: Operation) -> bool {
    use Operation::*;
    matches!(operation, Requeue | Purge | Grow | Shrink | AttachSubmitter | AttachWorker)
}

/// The rows for operations among the living.
pub fn scenes(short: bool) -> Vec<Scene> {
    use Operation::*;
    use State::*;
    let table: &[(Operation, &[(usize, State)])] = &[
        (Submit, &[(1, Empty), (2, One), (3, OneShort), (4, Empty), (3, Letter)]),
        (SubmitKey, &[(1, Empty), (3, One), (3, Letter)]),
        (SubmitDelayed, &[(1, Empty), (3, OneShort)]),
        (SubmitBatch, &[(4, Empty), (4, One)]),
        (Request, &[(1, Empty), (3, OneShort)]),
        (Collect, &[(1, Empty), (3, One)]),
        (GiveUp, &[(1, Empty), (3, Empty), (3, One)]),
        (SubmitBlocked, &[(1, Full), (3, Full)]),
        (Take, &[(1, Full), (2, One), (3, OneShort), (3, Full), (3, Letter), (3, Late), (3, Expired)]),
        (TakeBlocked, &[(1, Empty), (3, Empty)]),
        (RingAlarms, &[(1, Due), (3, Due), (1, Late), (3, Over)]),
        (Done, &[(1, Full), (3, One), (3, Full), (3, Letter)]),
        (DoneWith, &[(1, One), (3, One)]),
        (Fail, &[(1, Full), (3, Full)]),
        (FailLast, &[(1, One), (3, One)]),
        (DropLease, &[(1, Full), (3, Full)]),
        (Extend, &[(1, Full), (3, Full)]),
        (Requeue, &[(1, Letter), (3, Letter), (3, Expired)]),
        (Purge, &[(1, Letter), (3, Letter), (3, Expired)]),
        (Grow, &[(1, Empty), (3, Full)]),
        (Shrink, &[(2, Empty), (3, OneShort), (4, One)]),
        (Close, &[(1, Full), (3, Empty), (3, One)]),
        (AttachSubmitter, &[(3, Empty), (3, Full)]),
        (AttachWorker, &[(3, Empty), (3, Due), (3, Late)]),
        (DetachSubmitter, &[(3, One)]),
        (DetachWorker, &[(3, One), (1, Full)]),
    ];
    let row = |operation, capacity, state| {
        let spacing = if attaches(operation) { ATTACHING } else { Spacing::EVERY };
        Scene { spacing, ..Scene::new(operation, capacity, state) }
    };
    let mut scenes = Vec::new();
    for (operation, states) in table {
        scenes.extend(states.iter().map(|(capacity, state)| row(*operation, *capacity, *state)));
    }
    scenes.extend([row(Take, 3, Full).timed(), row(Take, 3, Late).timed(), row(Done, 3, Full).timed()]);
    if short {
        let wanted = [(SubmitKey, 3, One), (Collect, 1, Empty), (Take, 3, Full), (Done, 3, Full), (Fail, 1, Full)];
        scenes
            .retain(|scene| wanted.contains(&(scene.operation, scene.made.capacity, scene.state)) && !scene.made.timed);
    }
    scenes
}

/// The instructions of an operation that change the shared memory.
fn changes_of(scene: &Scene) -> Vec<u64> {
    Way::of(|| Play::set(scene)).changes
}

/// The rows for those who find a killed one and are killed themselves. Where the first is killed: before it has begun, if
/// it holds a lease, and after each instruction that changes the shared memory.
pub fn reapers() -> Vec<Scene> {
    use Operation::*;
    let mut scenes = Vec::new();
    for (operation, state) in [
        (Submit, State::One),
        (Take, State::Full),
        (Done, State::Full),
        (Fail, State::Full),
        (Collect, State::Empty),
        (Shrink, State::One),
    ] {
        let first = Scene::new(operation, 3, state);
        let mut changes = changes_of(&first);
        if attaches(operation) {
            // Those in between are its own place's.
            changes.retain(|at| at % 3 == 0);
        }
        if operation.holds() {
            changes.insert(0, 0);
        }
        let middle = changes[changes.len() / 2];
        for at in changes {
            let behind = |reaper| Scene { before: vec![(operation, at)], ..Scene::new(reaper, 3, state) };
            let reaper = Scene { spacing: Spacing { every: 0, stride: 29 }, ..behind(AttachWorker) };
            if operation.holds() || operation == Take {
                scenes.push(Scene { spacing: Spacing { every: 0, stride: 3 }, ..behind(Take) });
            }
            if at == middle {
                // The reaper is killed, too, wherever it has just changed something, and the next as well.
                for reaped in changes_of(&reaper).into_iter().step_by(3) {
                    let before = vec![(operation, at), (AttachWorker, reaped)];
                    scenes.push(Scene { before, spacing: Spacing { every: 0, stride: 199 }, ..reaper.clone() });
                }
            }
            scenes.push(reaper);
        }
    }
    scenes
}
