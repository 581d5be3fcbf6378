//! Operations on a broadcast, with other members there.

pub mod rows;
pub mod scenes;
mod survivors;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use self::scenes::{Operation, State};
use self::survivors::{Stage, slots};
use super::way::{Walk, Way};
use super::{Deed, Outcome, Point, Row, Spacing};
use crate::children;
use crate::step::{Shared, Stepped};
use crate::survivors::{Broken, broken, shared_state};

/// One who is killed before: in what, and after how many instructions.
#[derive(Debug, Clone)]
struct Before {
    operation: Operation,
    at: u64,
    gating: bool,
}

/// One row: an operation, in a ring of that capacity, in a state.
#[derive(Debug, Clone)]
pub struct Scene {
    operation: Operation,
    capacity: usize,
    state: State,
    /// The reader that is stepped is a gating one; or where it is a writer, there is such a reader.
    gating: bool,
    before: Option<Before>,
    /// A survivor sleeps meanwhile: the writer, or a reader.
    asleep: bool,
    spacing: Spacing,
}

impl Scene {
    fn new(operation: Operation, capacity: usize, state: State, gating: bool) -> Scene {
        Scene { operation, capacity, state, gating, before: None, asleep: false, spacing: Spacing::EVERY }
    }

    fn slots(&self) -> usize {
        slots(self.capacity)
    }

    fn stated(&self) -> String {
        let mut state = self.state.word().to_string();
        if let Some(Before { operation, at, gating }) = &self.before {
            let gating = if *gating { "gating " } else { "" };
            state += &format!(", {gating}{operation} killed at {at}");
        }
        if self.gating {
            state += ", gating reader";
        }
        if self.asleep {
            state += if self.operation.writes() { ", reader asleep" } else { ", writer asleep" };
        }
        state
    }
}

impl Row for Scene {
    fn cells(&self) -> [String; 4] {
        [self.operation.to_string(), "broadcast".into(), self.capacity.to_string(), self.stated()]
    }

    fn spacing(&self) -> Spacing {
        self.spacing
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn can_be_stopped(&self) -> bool {
        self.before.is_none() && !self.asleep
    }

    fn way(&self) -> Way {
        Way::of(|| Play::set(self))
    }

    fn attempt(&self, deed: Deed, point: &Point, outcome: &mut Outcome) -> Option<Result<(), Broken>> {
        let mut play = Play::set(self);
        if !point.reach(&mut play) {
            return None;
        }
        let begun = Instant::now();
        let result = match deed {
            Deed::Kill => {
                play.victim.kill();
                outcome.states.insert(shared_state(&play.memory));
                play.check(point)
            }
            Deed::Stop => play.go_on_from_stop(point),
        };
        if result.is_ok() {
            let longest = if deed == Deed::Kill { play.stage.longest } else { begun.elapsed() };
            outcome.longest = outcome.longest.max(longest);
        }
        Some(result)
    }
}

/// The number in the victim's first message, and in that of who was killed before.
const FIRST: [u64; 2] = [1_000_000, 2_000_000];

/// A broadcast, and a stepped process at the beginning of its operation.
struct Play<'a> {
    scene: &'a Scene,
    stage: Stage,
    /// The broadcast's memory, to tell its states apart.
    memory: Shared,
    victim: Stepped,
    /// One that was killed before stays a zombie.
    _before: Option<Stepped>,
    /// What the victim's operation publishes.
    next: Vec<u64>,
    woken: bool,
}

impl<'a> Play<'a> {
    /// Everybody is there, and who is killed before is dead.
    fn set(scene: &'a Scene) -> Play<'a> {
        let mut stage = Stage::new(scene.capacity, scene.operation.writes() && scene.gating);
        let memory = Shared::whole(stage.descriptor());
        let published = scene.state.published(scene.slots());
        let mut before = None;
        // A writer that is killed before publishes what the state wants; a reader is there before that is published.
        let mut left = published;
        if let Some(Before { operation, at, gating }) = &scene.before {
            let first = if operation.writes() { std::mem::take(&mut left) } else { 0 };
            let mut dead = start(*operation, *gating, first, FIRST[1], &stage);
            stage.contents.extend((FIRST[1]..).take(first));
            if operation.writes() {
                dead.advance(*at);
                dead.kill();
                // At its last instructions its message is there.
                let all = (FIRST[1]..).take(first + operation.publishes());
                stage.contents = all.take(stage.published()).collect();
            }
            before = Some(dead);
        }
        // Who writes publishes by itself, before its operation; for others a survivor does, mostly when a reader is there.
        let own = if scene.operation.writes() && scene.operation != Operation::AttachWriter { left } else { 0 };
        let others = left - own;
        let (ahead, behind) = match (scene.operation, scene.state) {
            (Operation::AttachReader | Operation::AttachWriter, _) => (others, 0),
            (_, State::Wrapping) if !scene.operation.writes() => (others, 2),
            _ => (0, others),
        };
        if !scene.operation.writes() || others > 0 {
            stage.publish_first(ahead);
        }
        if scene.operation.writes() {
            stage.writer = None;
        }
        let victim = start(scene.operation, scene.gating, own, FIRST[0], &stage);
        stage.contents.extend((FIRST[0]..).take(own));
        if behind > 0 {
            stage.publish_first(behind);
        }
        if let (Some(dead), Some(Before { operation, at, .. })) = (&mut before, &scene.before)
            && !operation.writes()
        {
            dead.advance(*at);
            dead.kill();
        }
        // Else it is in the way, as it is meant to be.
        if scene.operation != Operation::PublishBlocked {
            stage.read_gating().expect("all is there");
        }
        let next: Vec<u64> = (FIRST[0] + own as u64..).take(scene.operation.publishes()).collect();
        if scene.asleep {
            stage.put_to_sleep(&next);
        }
        Play { scene, stage, memory, victim, _before: before, next, woken: false }
    }

    /// The victim was killed.
    fn check(&mut self, point: &Point) -> Result<(), Broken> {
        let returned = self.victim.returned();
        let allowed = if returned { self.next.len() } else { 0 }..=self.next.len();
        let closes: &[bool] = match self.scene.operation {
            Operation::Close if returned => &[true],
            Operation::Close => &[false, true],
            _ => &[false],
        };
        self.stage.check(&self.next, &allowed, closes, point.discovery, point.messages)
    }

    fn go_on_from_stop(&mut self, point: &Point) -> Result<(), Broken> {
        let Scene { operation, gating, .. } = *self.scene;
        // A reader is done with what it was given when it asks for more: so it holds all that it was not given before.
        let began = if self.scene.state == State::Wrapping { self.scene.slots() - 1 } else { 0 };
        if operation.writes() {
            self.stage.go_on_beside_writer(&self.next, !operation.comes_or_goes())?;
        } else {
            let holds = (gating && !operation.comes_or_goes()).then_some(began as u64);
            self.stage.go_on_beside_reader(holds, gating)?;
        }
        if !self.victim.finish() {
            return broken("the stopped process does not finish");
        }
        let page = self.victim.page();
        if page.refused.load(SeqCst) != 0 {
            return broken("the stopped process was refused");
        }
        let pairs = page.messages.chunks(2).take(page.count.load(SeqCst) as usize);
        let told: Vec<(u64, u64)> = pairs.map(|pair| (pair[0].load(SeqCst), pair[1].load(SeqCst))).collect();
        if operation.writes() {
            let first = self.stage.contents.len() as u64;
            let expected: Vec<(u64, u64)> = (first..).zip(self.next.iter().copied()).collect();
            if told != expected {
                return broken(format!("the stopped process published {told:?}, and not {expected:?}"));
            }
        } else if operation != Operation::DetachReader {
            let missed = page.missed.load(SeqCst);
            if gating && missed > 0 {
                return broken(format!("a gating reader missed {missed}"));
            }
            let began = (operation != Operation::AttachReader).then_some(began as u64);
            self.stage.compare(began, &told, missed)?;
        }
        self.victim.kill();
        let all = self.next.len();
        let closed = operation == Operation::Close;
        self.stage.check(&self.next, &(all..=all), &[closed], point.discovery, point.messages)
    }
}

/// Starts a process, which publishes so many before its operation.
fn start(operation: Operation, gating: bool, before: usize, first: u64, stage: &Stage) -> Stepped {
    let gating = if gating { "gating" } else { "ordinary" };
    let words = ["step-broadcast", operation.word(), gating, &before.to_string(), &first.to_string()];
    Stepped::start(children::command(&words), stage.descriptor())
}

impl Walk for Play<'_> {
    fn walker(&self) -> &Stepped {
        &self.victim
    }

    fn walker_mut(&mut self) -> &mut Stepped {
        &mut self.victim
    }

    fn sleeps(&self) -> bool {
        self.scene.operation.sleeps()
    }

    fn wake(&mut self) {
        if std::mem::replace(&mut self.woken, true) {
            return;
        }
        match self.scene.operation {
            Operation::PublishBlocked => self.stage.read_gating().expect("all is there"),
            _ => self.stage.publish_first(1),
        }
    }

    fn digest(&self) -> Option<u64> {
        (!self.sleeps()).then(|| shared_state(&self.memory))
    }
}
