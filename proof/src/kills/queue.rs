//! Operations on a queue, with other members there.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use handover::Role;

use super::way::{Walk, Way};
use super::{Deed, Outcome, Point, Row, Spacing};
use crate::children;
use crate::scenes::{BATCH, Content, Operation, Ring, State, outcomes};
use crate::step::{Shared, Stepped};
use crate::survivors::{Broken, Discovery, Ledger, Stage, shared_state};

/// One row: an operation, in a ring, in a state.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What the stepped process does.
    pub operation: Operation,
    /// In which ring.
    pub ring: Ring,
    /// How long that is.
    pub capacity: usize,
    /// What it holds.
    pub state: State,
    /// Those who are killed before, in order: in what, and after how many instructions.
    pub before: Vec<(Operation, u64)>,
    /// A message is pushed behind those.
    pub behind: bool,
    /// A survivor sleeps meanwhile.
    pub asleep: bool,
    /// Which instructions are tried.
    pub spacing: Spacing,
}

impl Scene {
    /// Every instruction, with nobody killed before.
    pub fn new(operation: Operation, ring: Ring, capacity: usize, state: State) -> Scene {
        let (before, spacing) = (Vec::new(), Spacing::EVERY);
        Scene { operation, ring, capacity, state, before, behind: false, asleep: false, spacing }
    }

    fn stated(&self) -> String {
        let mut state = self.state.word().to_string();
        for (operation, at) in &self.before {
            state += &format!(", {operation} killed at {at}");
        }
        if self.behind {
            state += ", message behind";
        }
        if self.asleep {
            state += ", survivor asleep";
        }
        state
    }
}

impl Row for Scene {
    fn cells(&self) -> [String; 4] {
        [self.operation.to_string(), self.ring.to_string(), self.capacity.to_string(), self.stated()]
    }

    fn spacing(&self) -> Spacing {
        self.spacing
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn can_be_stopped(&self) -> bool {
        !self.asleep
    }

    fn way(&self) -> Way {
        Way::of(|| Play::set(self))
    }

    fn attempt(&self, deed: Deed, point: &Point, outcome: &mut Outcome) -> Option<Result<(), Broken>> {
        let mut play = Play::set(self);
        if !point.reach(&mut play) {
            return None;
        }
        let last = play.last();
        match deed {
            Deed::Kill => {
                play.kill(last, self.operation);
                outcome.states.insert(shared_state(&play.memory));
                let result = play.stage.check(&play.possible, point.discovery, point.messages);
                if result.is_ok() {
                    outcome.longest = outcome.longest.max(play.stage.longest);
                }
                Some(result)
            }
            Deed::Stop => {
                let begun = Instant::now();
                let result = play.go_on_from_stop(self);
                outcome.longest = outcome.longest.max(begun.elapsed());
                Some(result)
            }
        }
    }
}

/// The first number of the nth victim's messages.
fn first_number(nth: usize) -> u64 {
    (nth as u64 + 1) * 1_000_000
}

/// A queue, and stepped processes at the beginning of their operations.
pub struct Play<'a> {
    scene: &'a Scene,
    stage: Stage,
    /// The queue's memory, to tell its states apart.
    memory: Shared,
    victims: Vec<Stepped>,
    /// What may be in the queue.
    possible: Vec<Content>,
    woken: bool,
}

impl<'a> Play<'a> {
    /// Everybody is there, and those who are killed before are dead.
    pub fn set(scene: &'a Scene) -> Play<'a> {
        let mut stage = Stage::new(scene.ring, scene.capacity);
        if scene.ring == Ring::One {
            stage.prepare(scene.state, scene.operation);
        }
        let roles = scene.before.iter().map(|(operation, _)| *operation).chain([scene.operation]);
        for operation in roles.clone() {
            stage.make_place(operation.role());
        }
        let mut victims = Vec::new();
        for (nth, operation) in roles.enumerate() {
            let capacity = scene.capacity.to_string();
            let first = first_number(nth).to_string();
            let words = ["step", operation.word(), scene.ring.word(), &capacity, &first, "-"];
            let victim = Stepped::start(children::command(&words), stage.descriptor());
            stage.passed(victim.page().count.load(SeqCst) as usize);
            victims.push(victim);
        }
        if scene.ring == Ring::Many {
            stage.prepare(scene.state, scene.operation);
        }
        let memory = Shared::whole(stage.descriptor());
        let possible = vec![stage.content.clone()];
        let mut play = Play { scene, stage, memory, victims, possible, woken: false };
        for (nth, (operation, at)) in scene.before.iter().enumerate() {
            play.victims[nth].advance(*at);
            play.kill(nth, *operation);
        }
        if scene.behind {
            play.stage.push_one();
            let (number, _) = play.stage.content.waiting.pop_back().expect("just pushed");
            play.possible.iter_mut().for_each(|content| content.waiting.push_back((number, 0)));
        }
        if scene.asleep {
            play.stage.put_to_sleep();
        }
        play
    }

    fn kill(&mut self, nth: usize, operation: Operation) {
        self.victims[nth].kill();
        let returned = self.victims[nth].returned();
        // What the program has seen comes marked, or not at all.
        let seen = self.victims[nth].page().seen.load(SeqCst) != 0;
        let mut after = Vec::new();
        for content in &self.possible {
            let (mut under_way, finished) =
                outcomes(operation, self.scene.ring, self.scene.capacity, content, first_number(nth));
            if seen {
                // The first of them is as it was before.
                under_way.remove(0);
            }
            after.extend(if returned { finished } else { under_way });
            // What one held who was killed just now comes first only when somebody has noticed.
            if nth > 0 && operation == Operation::Pop {
                let unnoticed = content.new_ones_first();
                let (under_way, finished) =
                    outcomes(operation, self.scene.ring, self.scene.capacity, &unnoticed, first_number(nth));
                after.extend(if returned { finished } else { under_way }.iter().map(Content::old_ones_first));
            }
        }
        // A batch that has to step over voids on its way is several claims, each of which is whole.
        if operation == Operation::PushBatch && matches!(self.scene.state, State::Void | State::Voids) && !returned {
            let whole = after.last().cloned().unwrap_or_default();
            let parts = (1..BATCH).map(|less| whole.but_the_last(less));
            after.extend(parts.collect::<Vec<_>>());
        }
        self.possible = after;
    }

    fn last(&self) -> usize {
        self.victims.len() - 1
    }
}

impl Walk for Play<'_> {
    fn walker(&self) -> &Stepped {
        &self.victims[self.last()]
    }

    fn walker_mut(&mut self) -> &mut Stepped {
        let last = self.last();
        &mut self.victims[last]
    }

    fn sleeps(&self) -> bool {
        self.scene.operation.sleeps()
    }

    fn wake(&mut self) {
        if std::mem::replace(&mut self.woken, true) {
            return;
        }
        match self.scene.operation {
            Operation::PushBlocked => self.stage.pop_one(),
            Operation::PopBlocked => self.stage.push_one(),
            _ => {}
        }
        self.possible = vec![self.stage.content.clone()];
    }

    fn digest(&self) -> Option<u64> {
        (!self.sleeps()).then(|| shared_state(&self.memory))
    }
}

impl Play<'_> {
    fn go_on_from_stop(&mut self, scene: &Scene) -> Result<(), Broken> {
        let last = self.last();
        let mut ledger = Ledger::default();
        ledger.pushed.extend(self.stage.content.waiting.iter().map(|(number, _)| *number));
        let mut marked = usize::from(scene.state == State::Orphan);
        self.stage.go_on_beside(scene.operation, &mut ledger)?;
        if !self.victims[last].finish() {
            return Err(Broken::Promise("the stopped process does not finish".into()));
        }
        let page = self.victims[last].page();
        let count = page.count.load(SeqCst) as usize;
        let said: Vec<u64> = page.messages.iter().take(count).map(|message| message.load(SeqCst)).collect();
        let refused = page.refused.load(SeqCst) != 0;
        match scene.operation.role() {
            // Survivors may have filled the queue meanwhile, and then a batch that does not wait is refused.
            _ if refused && scene.operation == Operation::PushBatch => {}
            _ if refused => return Err(Broken::Promise("the stopped process was refused".into())),
            Some(Role::Producer) => ledger.pushed.extend(said),
            _ if said.contains(&u64::MAX) => {
                return Err(Broken::Promise("the stopped process got a message that is not whole".into()));
            }
            _ => {
                // It does not say whether what it got was marked.
                let orphan = scene.state == State::Orphan && said.contains(&self.stage.content.waiting[0].0);
                ledger.popped.extend(said.into_iter().map(|number| (number, 0)));
                marked -= usize::from(orphan);
            }
        }
        self.victims[last].kill();
        self.stage.take_the_rest(&mut ledger)?;
        if scene.operation == Operation::ReceiveDrop {
            // It may have handed back the orphan, which is marked anyway.
            let first = self.stage.content.waiting.front().map(|(number, _)| *number);
            let twice = ledger.popped.iter().any(|(number, deliveries)| Some(*number) == first && *deliveries == 2);
            marked += usize::from(!twice);
        }
        ledger.balance(marked)?;
        let closed = scene.operation == Operation::Close;
        let nothing = Content { closed, ..Content::default() };
        self.stage.check(&[nothing], Discovery::Newcomer, scene.capacity + scene.capacity.div_ceil(2))
    }
}
