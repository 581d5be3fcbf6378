//! A process is killed, or stopped, at every instruction of an operation, and those who live on check every promise.

use std::collections::HashSet;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use handover::{Error, Queue, Role};

use crate::children;
use crate::report::Verdict;
use crate::scenes::{BATCH, Content, MEMBERS, Operation, Ring, State, Wide, options, outcomes};
use crate::step::{Shared, Stepped, stay_on};
use crate::survivors::{Broken, Discovery, HOLD_UP, Ledger, Stage};

/// How much is tried.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Only rows that contain this.
    pub only: Option<String>,
    /// Only this instruction.
    pub at: Option<u64>,
    /// Only the rows that matter most, for the tests.
    pub short: bool,
    /// How many are stepped at a time, each on a processor of its own.
    pub jobs: usize,
}

/// One row: an operation, in a ring, in a state.
#[derive(Debug, Clone)]
struct Scene {
    operation: Operation,
    ring: Ring,
    capacity: usize,
    state: State,
    /// Those who are killed before, in order: in what, and after how many instructions.
    before: Vec<(Operation, u64)>,
    /// A message is pushed behind those.
    behind: bool,
    /// A survivor sleeps meanwhile.
    asleep: bool,
    /// Every instruction up to here, then each of so many.
    every: u64,
    stride: u64,
}

impl Scene {
    fn new(operation: Operation, ring: Ring, capacity: usize, state: State) -> Scene {
        let before = Vec::new();
        Scene { operation, ring, capacity, state, before, behind: false, asleep: false, every: u64::MAX, stride: 1 }
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

    fn name(&self) -> String {
        format!("{} {} {} {}", self.operation, self.ring, self.capacity, self.stated())
    }

    fn is_point(&self, at: u64, length: u64) -> bool {
        at <= self.every || (at - self.every).is_multiple_of(self.stride) || at == length
    }
}

/// What one row came to.
#[derive(Debug, Default)]
struct Outcome {
    length: u64,
    points: u64,
    /// How many different contents of the shared memory the points left.
    states: usize,
    again: u64,
    late: u64,
    longest: Duration,
    broken: Vec<String>,
}

/// The first number of the nth victim's messages.
fn first_number(nth: usize) -> u64 {
    (nth as u64 + 1) * 1_000_000
}

/// A queue, and stepped processes at the beginning of their operations.
struct Play<'a> {
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
    fn set(scene: &'a Scene) -> Play<'a> {
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
        let file = stage.descriptor();
        let length = File::from(file.try_clone().expect("a descriptor")).metadata().expect("a length").len();
        let memory = Shared::map(file, length as usize);
        let possible = vec![stage.content.clone()];
        let mut play = Play { scene, stage, memory, victims, possible, woken: false };
        for (nth, (operation, at)) in scene.before.iter().enumerate() {
            play.advance(nth, *operation, *at);
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

    /// Steps the nth process so far. False if its operation was over before.
    fn advance(&mut self, nth: usize, operation: Operation, to: u64) -> bool {
        while self.victims[nth].steps < to {
            if self.victims[nth].returned() {
                return false;
            }
            self.step(nth, operation);
        }
        true
    }

    /// The same for the last one, whose way is known: sooner, by marks on it, and counting instructions from there. False
    /// if it did not come by, or its operation was over before.
    fn advance_along(&mut self, way: &Way, to: u64) -> bool {
        let (last, operation) = (self.last(), self.scene.operation);
        // Where it falls asleep somebody has to see to it.
        let stops = way.sleeps.iter().map(|sleep| sleep - 1).filter(|sleep| *sleep < to);
        for stop in stops.chain([to]) {
            if stop > self.victims[last].steps + NEAR {
                let now = self.victims[last].steps;
                if let Some((mark, times)) = way.mark(now, stop)
                    && !self.victims[last].run_to(way.addresses[mark as usize], times, mark)
                {
                    return false;
                }
            }
            if !self.advance(last, operation, stop) {
                return false;
            }
            if stop < to && !self.advance(last, operation, (stop + 2).min(to)) {
                return false;
            }
        }
        true
    }

    fn step(&mut self, nth: usize, operation: Operation) {
        assert!(self.victims[nth].steps < LONGEST, "{}: does not end", self.scene.name());
        // It was left asleep by the step before: so that it can be killed there.
        if self.victims[nth].is_asleep() && !self.woken {
            self.wake(operation);
        }
        self.victims[nth].step(operation.sleeps());
    }

    /// The shared memory as a number. Process ids say nothing.
    fn digest(&self) -> u64 {
        const ROSTER: usize = 4096 + 1024;
        let table = ROSTER..ROSTER + 128 * (MEMBERS as usize + 2);
        self.memory.digest(|offset| table.contains(&offset) && (offset - ROSTER) % 128 == 8)
    }

    /// Gives the blocked one what it waits for.
    fn wake(&mut self, operation: Operation) {
        self.woken = true;
        match operation {
            Operation::PushBlocked => self.stage.pop_one(),
            Operation::PopBlocked => self.stage.push_one(),
            _ => {}
        }
        self.possible = vec![self.stage.content.clone()];
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

/// No operation that ends is longer.
const LONGEST: u64 = 300_000;

/// The undisturbed way through an operation, each instruction stepped.
#[derive(Debug)]
struct Way {
    /// Where it is after so many instructions.
    addresses: Vec<u64>,
    /// After which instructions the shared memory changed.
    changes: Vec<u64>,
    /// After which it was asleep.
    sleeps: Vec<u64>,
    /// Before and after each system call, in operations on names.
    calls: HashSet<u64>,
}

/// So many instructions are always stepped one by one.
const NEAR: u64 = 100;

impl Way {
    fn of(scene: &Scene) -> Way {
        if !scene.operation.sleeps() {
            return Way::stepped(scene);
        }
        // Whoever has slept for long searches for the dead; stepped slowly on a busy machine, it may seem so. The way
        // without is the one that is met sooner, by marks.
        let ways = (0..5).map(|_| Way::stepped(scene));
        ways.min_by_key(Way::length).expect("there are some")
    }

    fn stepped(scene: &Scene) -> Way {
        let mut play = Play::set(scene);
        let last = play.last();
        let mut way = Way {
            addresses: vec![play.victims[last].address()],
            changes: Vec::new(),
            sleeps: Vec::new(),
            calls: HashSet::new(),
        };
        let sleeps = scene.operation.sleeps();
        let mut digest = play.digest();
        while !play.victims[last].returned() {
            play.step(last, scene.operation);
            let steps = play.victims[last].steps;
            let now = if sleeps { digest } else { play.digest() };
            way.addresses.push(play.victims[last].address());
            if now != digest {
                digest = now;
                way.changes.push(steps);
            }
            if play.victims[last].is_asleep() {
                way.sleeps.push(steps);
            }
        }
        way
    }

    fn length(&self) -> u64 {
        self.addresses.len() as u64 - 1
    }

    /// A place near `to`, and how often the way comes by it from `from` on: a breakpoint there leads to it sooner than
    /// single steps do. Only in the program itself, not in code that the kernel lends.
    fn mark(&self, from: u64, to: u64) -> Option<(u64, usize)> {
        const PROGRAM_END: u64 = 0x6000_0000_0000;
        let costs = (to.saturating_sub(NEAR).max(from + 1)..=to).filter_map(|mark| {
            let address = self.addresses[mark as usize];
            let times = self.addresses[from as usize + 1..=mark as usize].iter().filter(|at| **at == address).count();
            (address != 0 && address < PROGRAM_END).then_some((times as u64 * 5 + (to - mark), mark, times))
        });
        let (cost, mark, times) = costs.min()?;
        (cost < to - from).then_some((mark, times))
    }
}

/// Kills after so many instructions. `None`: the operation took another way.
fn kill_at(
    scene: &Scene,
    way: Option<&Way>,
    at: u64,
    discovery: Discovery,
    messages: usize,
    outcome: &mut Outcome,
    digests: &mut HashSet<u64>,
) -> Option<Result<(), Broken>> {
    let mut play = Play::set(scene);
    let last = play.last();
    let there = match way {
        Some(way) => play.advance_along(way, at),
        None => play.advance(last, scene.operation, at),
    };
    if !there {
        return None;
    }
    play.kill(last, scene.operation);
    digests.insert(play.digest());
    let result = play.stage.check(&play.possible, discovery, messages);
    if result.is_ok() {
        outcome.longest = outcome.longest.max(play.stage.longest);
    }
    Some(result)
}

/// What a busy machine made late is tried again so often.
const AGAIN: u32 = 12;
/// A queue is as good as new if it hands over so many.
const MANY_MESSAGES: usize = 10_000;

fn kill_scene(scene: &Scene, extent: &Extent) -> Outcome {
    let way = Way::of(scene);
    let mut outcome = Outcome { length: way.length(), ..Outcome::default() };
    let mut digests = HashSet::new();
    let points = (0..=way.length()).filter(|at| scene.is_point(*at, way.length()));
    for at in points.filter(|at| extent.at.is_none_or(|only| only == *at)) {
        let both = [Discovery::Newcomer, Discovery::Old];
        // In the short form they take turns.
        let discoveries = if extent.short { &both[at as usize % 2..][..1] } else { &both[..] };
        for &discovery in discoveries {
            let through = discovery == Discovery::Newcomer || at == way.length();
            let messages = if through { MANY_MESSAGES } else { scene.capacity + scene.capacity.div_ceil(2) };
            for left in (0..AGAIN).rev() {
                let marked = (left + 2 >= AGAIN).then_some(&way);
                let broken = match kill_at(scene, marked, at, discovery, messages, &mut outcome, &mut digests) {
                    Some(Ok(())) => break,
                    Some(Err(Broken::Promise(what))) => what,
                    Some(Err(Broken::Late(what))) if left == 0 => what,
                    // It would not be tried at all.
                    None if left == 0 => "narrowed: the operation goes another way each time".into(),
                    // The time that something took differed: a loop went round once more, or a machine was busy.
                    None => {
                        outcome.again += 1;
                        continue;
                    }
                    Some(Err(Broken::Late(_))) => {
                        outcome.again += 1;
                        outcome.late += 1;
                        continue;
                    }
                };
                outcome.broken.push(format!("{} at {at}, {discovery:?}: {broken}", scene.name()));
                break;
            }
        }
        outcome.points += 1;
        if outcome.broken.len() > 10 {
            break;
        }
    }
    let expected = (0..=way.length()).filter(|at| scene.is_point(*at, way.length())).count() as u64;
    if extent.at.is_none() && outcome.points < expected {
        outcome.broken.push(format!("narrowed: {}: {} of {expected} points tried", scene.name(), outcome.points));
    }
    outcome.states = digests.len();
    outcome
}

/// Stops after so many instructions, goes on beside, and lets it go on. `None`: the operation took another way.
fn stop_at(scene: &Scene, way: Option<&Way>, at: u64, outcome: &mut Outcome) -> Option<Result<(), Broken>> {
    let mut play = Play::set(scene);
    let last = play.last();
    let there = match way {
        Some(way) => play.advance_along(way, at),
        None => play.advance(last, scene.operation, at),
    };
    if !there {
        return None;
    }
    let begun = Instant::now();
    let result = play.go_on_from_stop(scene);
    outcome.longest = outcome.longest.max(begun.elapsed());
    Some(result)
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

fn stop_scene(scene: &Scene, extent: &Extent) -> Outcome {
    let way = Way::of(scene);
    let mut outcome = Outcome { length: way.length(), ..Outcome::default() };
    for at in (0..=way.length()).filter(|at| scene.is_point(*at, way.length())) {
        if extent.at.is_some_and(|only| only != at) {
            continue;
        }
        for left in (0..AGAIN).rev() {
            let marked = (left + 2 >= AGAIN).then_some(&way);
            let broken = match stop_at(scene, marked, at, &mut outcome) {
                Some(Ok(())) => break,
                Some(Err(Broken::Promise(what))) => what,
                Some(Err(Broken::Late(what))) if left == 0 => what,
                None if left == 0 => "narrowed: the operation goes another way each time".into(),
                _ => {
                    outcome.again += 1;
                    continue;
                }
            };
            outcome.broken.push(format!("{} stopped at {at}: {broken}", scene.name()));
            break;
        }
        outcome.points += 1;
        if outcome.broken.len() > 10 {
            break;
        }
    }
    outcome
}

/// Stops a process after every instruction, goes on beside it, and lets it go on.
pub fn stops(extent: &Extent) -> Vec<Verdict> {
    let mut all = scenes(extent.short);
    all.retain(|scene| !scene.asleep && extent.only.as_ref().is_none_or(|only| scene.name().contains(only)));
    for scene in &mut all {
        // Where the way is long, most of it is waiting or searching, in loops.
        (scene.every, scene.stride) = if extent.short { (0, SHORT_STRIDE) } else { (300, 7) };
    }
    let begun = Instant::now();
    let outcomes = in_parallel(extent.jobs, all.len(), |nth| {
        let outcome = stop_scene(&all[nth], extent);
        progress(&all[nth], &outcome, begun);
        outcome
    });
    let sum: u64 = outcomes.iter().map(|outcome| outcome.points).sum();
    let again: u64 = outcomes.iter().map(|outcome| outcome.again).sum();
    let title = format!(
        "Stopped after {}, while others go on: {sum} points in {} s. Tried again: {again}",
        if extent.short {
            format!("each {SHORT_STRIDE}th instruction")
        } else {
            "each of the first 300 instructions, then each seventh".into()
        },
        begun.elapsed().as_secs()
    );
    vec![table(title, "stops", &all, outcomes)]
}

/// Without optimisation the ways are some ten times as long, and not those that are used.
const DEBUG: bool = cfg!(debug_assertions);
/// In the short form, one of so many instructions where not all are tried.
const SHORT_STRIDE: u64 = if DEBUG { 61 } else { 7 };

/// The rows for the operations on a queue that is there.
fn scenes(short: bool) -> Vec<Scene> {
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
        if DEBUG {
            scenes.iter_mut().for_each(|scene| (scene.every, scene.stride) = (0, SHORT_STRIDE));
        }
        scenes.retain(|scene| wanted.contains(&(scene.operation, scene.capacity, scene.state)) && !scene.asleep);
    }
    scenes
}

/// The rows for those who find a killed one and are killed themselves. Where the first is killed: after each
/// instruction that changes the shared memory, but those after which nothing is left to be done.
fn reapers() -> Vec<Scene> {
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
        let mut changes = Way::of(&Scene::new(operation, Ring::Many, capacity, state)).changes;
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
            scenes.push(Scene { every: 100, stride: 5, ..reaper(AttachConsumer, false) });
            scenes.push(reaper(Pop, room));
            if at == claimed {
                // The reaper is killed, too, wherever it has just changed something, and the next as well.
                let first = reaper(AttachConsumer, false);
                for reaped in Way::of(&first).changes {
                    let before = vec![(operation, at), (AttachConsumer, reaped)];
                    scenes.push(Scene { before, every: 0, stride: 23, ..first.clone() });
                }
            }
        }
    }
    scenes
}

/// A queue with a name, and a process that is killed while it creates, opens or leaves it.
struct NamedPlay<'a> {
    scene: &'a Scene,
    name: String,
    /// Keeps a queue that was there before.
    before: Option<Stage>,
    victim: Stepped,
}

impl<'a> NamedPlay<'a> {
    fn set(scene: &'a Scene) -> NamedPlay<'a> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Of one length always: a name is copied byte by byte.
        let name = format!("proof-{:08}-{:08}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let mut before = (scene.state != State::Empty).then(|| {
            let options = options(scene.ring, scene.capacity);
            let options = if scene.operation == Operation::Leave { options.goes_with_last_user() } else { options };
            let queue = options.create::<Wide>(&name).expect("a new queue");
            let mut stage = Stage::over(queue, scene.ring, scene.capacity);
            stage.push_one();
            stage
        });
        let words = ["step", scene.operation.word(), scene.ring.word(), &scene.capacity.to_string(), "0", &name];
        let nothing = File::open("/dev/null").expect("nothing");
        let victim = Stepped::start(children::command(&words), nothing.into());
        if scene.operation == Operation::Leave {
            before = None;
        }
        NamedPlay { scene, name, before, victim }
    }

    fn advance_along(&mut self, way: &Way, to: u64) -> bool {
        if to > NEAR
            && let Some((mark, times)) = way.mark(0, to)
            && !self.victim.run_to(way.addresses[mark as usize], times, mark)
        {
            return false;
        }
        while self.victim.steps < to {
            if self.victim.returned() {
                return false;
            }
            self.victim.step(false);
        }
        true
    }

    /// Kills it. What is there of that name then is whole, or nothing is.
    fn kill_and_check(&mut self, messages: usize) -> Result<(), Broken> {
        let Scene { operation, ring, capacity, .. } = *self.scene;
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
                let created = options(ring, capacity).open_or_create::<Wide>(&self.name);
                created.map_err(|error| Broken::Promise(format!("it can't be created after that: {error}")))?
            }
            Err(error) => return Err(Broken::Promise(format!("what is there can't be opened: {error}"))),
        };
        let took = begun.elapsed();
        Stage::over(queue, ring, capacity).check(&[content], Discovery::Newcomer, messages)?;
        if took > HOLD_UP { Err(Broken::Late(format!("opening took {took:?}"))) } else { Ok(()) }
    }
}

impl Drop for NamedPlay<'_> {
    fn drop(&mut self) {
        self.victim.kill();
        let _ = handover::remove(&self.name);
    }
}

fn kill_named_scene(scene: &Scene, extent: &Extent) -> Outcome {
    let mut way = Way { addresses: Vec::new(), changes: Vec::new(), sleeps: Vec::new(), calls: HashSet::new() };
    let mut undisturbed = NamedPlay::set(scene);
    way.addresses.push(undisturbed.victim.address());
    while !undisturbed.victim.returned() {
        if undisturbed.victim.is_at_call() {
            way.calls.extend([undisturbed.victim.steps, undisturbed.victim.steps + 1]);
        }
        undisturbed.victim.step(false);
        way.addresses.push(undisturbed.victim.address());
    }
    drop(undisturbed);
    let mut outcome = Outcome { length: way.length(), ..Outcome::default() };
    for at in (0..=way.length()).filter(|at| scene.is_point(*at, way.length()) || way.calls.contains(at)) {
        if extent.at.is_some_and(|only| only != at) {
            continue;
        }
        let messages = if at == way.length() { MANY_MESSAGES } else { scene.capacity + scene.capacity.div_ceil(2) };
        for left in (0..AGAIN).rev() {
            let mut play = NamedPlay::set(scene);
            let result = play.advance_along(&way, at).then(|| play.kill_and_check(messages));
            let broken = match result {
                Some(Ok(())) => break,
                Some(Err(Broken::Promise(what))) => what,
                Some(Err(Broken::Late(what))) if left == 0 => what,
                None if left == 0 => "narrowed: the operation goes another way each time".into(),
                other => {
                    outcome.again += 1;
                    outcome.late += u64::from(other.is_some());
                    continue;
                }
            };
            outcome.broken.push(format!("{} at {at}: {broken}", scene.name()));
            break;
        }
        outcome.points += 1;
        if outcome.broken.len() > 10 {
            break;
        }
    }
    outcome
}

/// The rows for queues with names. Most of their way is in the standard library and touches nothing that is shared: all of
/// the beginning, each system call from both sides, and now and then one between.
fn named() -> Vec<Scene> {
    use Operation::*;
    let rows = [
        (Create, State::Empty),
        (Open, State::Single),
        (OpenOrCreate, State::Empty),
        (OpenOrCreate, State::Single),
        (Leave, State::Single),
    ];
    rows.map(|(operation, state)| Scene { every: 100, stride: 499, ..Scene::new(operation, Ring::Many, 3, state) })
        .to_vec()
}

fn in_parallel<T: Send>(jobs: usize, count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for job in 0..jobs.max(1) {
            let (next, done, act) = (&next, &done, &act);
            scope.spawn(move || {
                stay_on(job);
                loop {
                    let nth = next.fetch_add(1, Relaxed);
                    if nth >= count {
                        return;
                    }
                    let result = act(nth);
                    done.lock().expect("nobody panics with it").push((nth, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(nth, _)| *nth);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Kills a process after every instruction of every operation.
pub fn kills(extent: &Extent) -> Vec<Verdict> {
    let mut all = scenes(extent.short);
    if !extent.short {
        all.extend(named());
        all.extend(reapers());
    }
    all.retain(|scene| extent.only.as_ref().is_none_or(|only| scene.name().contains(only)));
    let begun = Instant::now();
    let outcomes = in_parallel(extent.jobs, all.len(), |nth| {
        let kill = if all[nth].operation.is_named() { kill_named_scene } else { kill_scene };
        let outcome = kill(&all[nth], extent);
        progress(&all[nth], &outcome, begun);
        outcome
    });
    let sum: u64 = outcomes.iter().map(|outcome| outcome.points).sum();
    let late: u64 = outcomes.iter().map(|outcome| outcome.late).sum();
    let again: u64 = outcomes.iter().map(|outcome| outcome.again).sum();
    let longest = outcomes.iter().map(|outcome| outcome.longest).max().unwrap_or_default();
    let title = format!(
        "Killed after {}: {sum} points in {} s, each {}: found by a newcomer, and by those who were \
         there. {MANY_MESSAGES} messages follow each of the first kind and the last of the second, one and a half laps \
         each other one. Of create, open, open-or-create and leave: each of the first 100, both sides of each system \
         call, and each 499th, once; of attach-consumer behind a killed one: each of the first 100, then each fifth; behind a killed one that reaped: each 23rd. Tried again: {late} times since something came later than {HOLD_UP:?}, {} since the operation \
         went another way. Longest hold-up: {:.1} ms",
        if extent.short && DEBUG {
            format!("each {SHORT_STRIDE}th instruction, as this is not a release build")
        } else {
            "every instruction".into()
        },
        begun.elapsed().as_secs(),
        if extent.short { "once, in turns" } else { "twice" },
        again - late,
        longest.as_secs_f64() * 1e3,
    );
    vec![table(title, "kill points", &all, outcomes)]
}

fn progress(scene: &Scene, outcome: &Outcome, begun: Instant) {
    if std::io::stderr().is_terminal() || std::env::var_os("PROOF_PROGRESS").is_some() {
        let took = begun.elapsed().as_secs();
        let (points, broken) = (outcome.points, outcome.broken.len());
        let _ = writeln!(std::io::stderr(), "{took} s: {}: {points} points, {broken} broken", scene.name());
        for broken in &outcome.broken {
            let _ = writeln!(std::io::stderr(), "  {broken}");
        }
    }
}

fn table(title: String, points: &str, scenes: &[Scene], outcomes: Vec<Outcome>) -> Verdict {
    let head = ["operation", "ring", "capacity", "state", "instructions", points, "left", "again", "longest", "broken"];
    let head = head.map(String::from).to_vec();
    let mut verdict = Verdict { title, head, rows: Vec::new(), violations: Vec::new() };
    for (scene, outcome) in scenes.iter().zip(outcomes) {
        verdict.rows.push(vec![
            scene.operation.to_string(),
            scene.ring.to_string(),
            scene.capacity.to_string(),
            scene.stated(),
            outcome.length.to_string(),
            outcome.points.to_string(),
            outcome.states.to_string(),
            outcome.again.to_string(),
            format!("{:.1} ms", outcome.longest.as_secs_f64() * 1e3),
            outcome.broken.len().to_string(),
        ]);
        verdict.violations.extend(outcome.broken);
    }
    verdict
}
