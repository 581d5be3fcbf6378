//! Operations on queues with names, by one who is alone with them.

use std::fs::File;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use handover::{Error, Queue};

use super::way::{Walk, Way};
use super::{Deed, Outcome, Point, Row, Spacing};
use crate::children;
use crate::scenes::{Content, Operation, Ring, State, Wide, options};
use crate::step::Stepped;
use crate::survivors::{Broken, Discovery, HOLD_UP, Stage};

/// One row: an operation, and what there is of that name before.
#[derive(Debug, Clone)]
pub struct NamedScene {
    /// What the stepped process does.
    pub operation: Operation,
    /// Whether there is a queue.
    pub state: State,
}

const RING: Ring = Ring::Many;
const CAPACITY: usize = 3;

impl Row for NamedScene {
    fn cells(&self) -> [String; 4] {
        [self.operation.to_string(), RING.to_string(), CAPACITY.to_string(), self.state.to_string()]
    }

    fn spacing(&self) -> Spacing {
        Spacing { every: 100, stride: 499 }
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn can_be_stopped(&self) -> bool {
        false
    }

    fn discoveries(&self) -> &[Discovery] {
        &[Discovery::Old]
    }

    fn way(&self) -> Way {
        Way::of(|| NamedPlay::set(self))
    }

    fn attempt(&self, _: Deed, point: &Point, _: &mut Outcome) -> Option<Result<(), Broken>> {
        let mut play = NamedPlay::set(self);
        point.reach(&mut play).then(|| play.kill_and_check(point.messages))
    }
}

/// A queue with a name, and a process that is killed while it creates, opens or leaves it.
struct NamedPlay<'a> {
    scene: &'a NamedScene,
    name: String,
    /// Keeps a queue that was there before.
    before: Option<Stage>,
    victim: Stepped,
}

impl<'a> NamedPlay<'a> {
    fn set(scene: &'a NamedScene) -> NamedPlay<'a> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Of one length always: a name is copied byte by byte.
        let name = format!("proof-{:08}-{:08}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let mut before = (scene.state != State::Empty).then(|| {
            let options = options(RING, CAPACITY);
            let options = if scene.operation == Operation::Leave { options.goes_with_last_user() } else { options };
            let queue = options.create::<Wide>(&name).expect("a new queue");
            let mut stage = Stage::over(queue, RING, CAPACITY);
            stage.push_one();
            stage
        });
        let words = ["step", scene.operation.word(), RING.word(), &CAPACITY.to_string(), "0", &name];
        let nothing = File::open("/dev/null").expect("nothing");
        let victim = Stepped::start(children::command(&words), nothing.into());
        if scene.operation == Operation::Leave {
            before = None;
        }
        NamedPlay { scene, name, before, victim }
    }

    /// Kills it. What is there of that name then is whole, or nothing is.
    fn kill_and_check(&mut self, messages: usize) -> Result<(), Broken> {
        let operation = self.scene.operation;
        self.victim.kill();
        let creates = self.before.is_none() && operation != Operation::Leave;
        let returned = self.victim.returned();
        if let Some(mut stage) = self.before.take() {
            let content = vec![stage.content.clone()];
            stage.check(&content, Discovery::Old, messages)?;
        }
        let begun = Instant::now();
        let mut content = Content::default();
        let queue = match Queue::<Wide>::open(&self.name) {
            Ok(_) if returned && operation == Operation::Leave => {
                return Err(Broken::Promise("the last user has left, and the queue is still there".into()));
            }
            Ok(queue) => {
                if operation == Operation::Leave {
                    content.waiting.push_back((Stage::FIRST, 0));
                }
                queue
            }
            Err(Error::NotFound { .. }) if operation == Operation::Leave || creates && !returned => {
                let created = options(RING, CAPACITY).open_or_create::<Wide>(&self.name);
                created.map_err(|error| Broken::Promise(format!("it can't be created after that: {error}")))?
            }
            Err(error) => return Err(Broken::Promise(format!("what is there can't be opened: {error}"))),
        };
        let took = begun.elapsed();
        Stage::over(queue, RING, CAPACITY).check(&[content], Discovery::Newcomer, messages)?;
        if took > HOLD_UP { Err(Broken::Late(format!("opening took {took:?}"))) } else { Ok(()) }
    }
}

impl Walk for NamedPlay<'_> {
    fn walker(&self) -> &Stepped {
        &self.victim
    }

    fn walker_mut(&mut self) -> &mut Stepped {
        &mut self.victim
    }

    fn notes_calls(&self) -> bool {
        true
    }
}

impl Drop for NamedPlay<'_> {
    fn drop(&mut self) {
        self.victim.kill();
        let _ = handover::remove(&self.name);
    }
}
