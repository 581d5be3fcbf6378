//! What is tried with broadcasts.

use super::scenes::{Operation, State};
use super::{Before, Play, Scene};
use crate::kills::Spacing;
use crate::kills::way::Way;

/// The rows for operations among the living.
pub fn scenes(short: bool) -> Vec<Scene> {
    use Operation::*;
    use State::*;
    let table: &[(Operation, &[(usize, State)])] = &[
        (Publish, &[(1, Fresh), (3, Fresh), (3, Partly), (3, Wrapping), (3, Full), (16, Full)]),
        (PublishBatch, &[(4, Fresh), (4, Wrapping), (4, Full), (16, Wrapping)]),
        (LoanPublish, &[(3, Fresh), (3, Wrapping), (3, Full)]),
        (LoanDrop, &[(3, Fresh), (3, Full)]),
        (PublishBlocked, &[(1, Full), (3, Full)]),
        (Close, &[(1, Full), (3, Fresh), (3, Partly)]),
        (AttachWriter, &[(3, Fresh), (3, Full)]),
        (DetachWriter, &[(3, Partly)]),
        (Next, &[(1, Full), (3, Partly), (3, Wrapping), (3, Full), (3, Overtaken)]),
        (NextBatch, &[(4, Partly), (4, Wrapping), (4, Full), (4, Overtaken)]),
        (ReadInPlace, &[(3, Partly), (3, Wrapping), (3, Full), (3, Overtaken)]),
        (NextBlocked, &[(1, Fresh), (3, Fresh)]),
        (AttachReader, &[(3, Fresh), (3, Full)]),
        (DetachReader, &[(3, Partly), (3, Full)]),
    ];
    let mut scenes = Vec::new();
    for (operation, states) in table {
        for gating in [false, true] {
            for (capacity, state) in *states {
                // Nobody overtakes a gating reader; and nobody else is waited for.
                if gating && *state == Overtaken || !gating && *operation == PublishBlocked {
                    continue;
                }
                scenes.push(Scene::new(*operation, *capacity, *state, gating));
            }
        }
    }
    let asleep = [
        (Publish, 3, Fresh, false),
        (LoanPublish, 3, Fresh, false),
        (PublishBatch, 4, Full, false),
        (Close, 3, Partly, false),
        (Next, 3, Full, true),
        (NextBatch, 4, Full, true),
        (DetachReader, 3, Full, true),
    ];
    if short {
        let wanted = [
            (Publish, 3, Full, true),
            (PublishBatch, 4, Wrapping, false),
            (LoanPublish, 3, Full, false),
            (Next, 3, Full, true),
            (NextBatch, 4, Overtaken, false),
            (ReadInPlace, 3, Wrapping, true),
        ];
        scenes.retain(|scene| wanted.contains(&(scene.operation, scene.capacity, scene.state, scene.gating)));
    } else {
        scenes.extend(asleep.map(|(operation, capacity, state, gating)| Scene {
            asleep: true,
            ..Scene::new(operation, capacity, state, gating)
        }));
    }
    scenes
}

/// The rows for those who come after a killed one, and are killed themselves. Where the first is killed: after each
/// instruction that changes the shared memory, among them those that write its message, and a gating reader also when
/// it has only attached.
pub fn successors() -> Vec<Scene> {
    use Operation::*;
    let mut scenes = Vec::new();
    for (operation, gating) in [(Publish, false), (LoanPublish, false), (Next, true)] {
        let first = Scene::new(operation, 3, State::Full, gating);
        let mut changes = Way::of(|| Play::set(&first)).changes;
        if operation == Next {
            changes.insert(0, 0);
        }
        for at in changes {
            let before = Some(Before { operation, at, gating });
            let behind = |operation| Scene { before: before.clone(), ..Scene::new(operation, 3, State::Full, false) };
            // Most of it is looking through a table, in loops.
            let attaches = if operation == Next { AttachReader } else { AttachWriter };
            scenes.push(Scene { spacing: Spacing { every: 100, stride: 5 }, ..behind(attaches) });
            scenes.push(behind(Publish));
        }
    }
    scenes
}
