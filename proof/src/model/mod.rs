//! Every interleaving: the protocol as a model, and every order of its steps, with deaths between any two of them.
//!
//! `many` is the ring of many with roster and gates, `one` the ring of one. Stateright's checker visits every state
//! and looks for broken promises; `liveness` searches the same graph for states in which somebody is stuck.
//! [`Mutant`]s show that both would find something: each leaves out or changes one step of the protocol.

mod liveness;
mod many;
mod one;
mod scenarios;
mod words;

use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Property};

pub use liveness::Fair;
pub use scenarios::Bounds;

use crate::report::Verdict;

/// What may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A committed message is nowhere.
    Lost,
    /// A message came again, unmarked or after its pop had returned.
    Twice,
    /// A message was seen before it was whole, or before its push was through.
    HalfMade,
    /// The ring has not its full capacity at the end.
    Leak,
    /// The claim of a living member was settled, or claimed by another.
    Robbed,
    /// Told that the queue was closed while something was left.
    ClosedEarly,
    /// A member took words that only correct members wrote for corrupt.
    Corrupt,
    /// Somebody alone can't go on.
    Stuck,
}

impl Broken {
    fn promise(self) -> &'static str {
        match self {
            Broken::Lost => "nothing committed is lost",
            Broken::Twice => "nothing comes twice unmarked",
            Broken::HalfMade => "nothing half-made is seen",
            Broken::Leak => "the capacity is whole",
            Broken::Robbed => "nobody living is robbed",
            Broken::ClosedEarly => "closed is told last",
            Broken::Corrupt => "nothing healthy is called corrupt",
            Broken::Stuck => "who is alone goes on",
        }
    }
}

/// The promise that [`liveness`] is about.
const GOES_ON: &str = "who could go on does";

/// One thing broken in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The claim that a ticket names gets no record before the ticket is replaced.
    RecordLeftOut,
    /// It gets its record after the compare-and-swap that replaces the ticket.
    RecordAfterSwap,
    /// Who is waited for too long is declared dead.
    ReapByTimeOut,
    /// The stamp is not looked at again after the kernel has answered.
    SettleUnchecked,
    /// Stamps are settled by plain stores.
    SettleByStore,
    /// The notice of orphans is raised before they are made.
    NoticeBefore,
    /// Who reaps a member does not raise the notice once more.
    ReaperSilent,
    /// A dead member's entry is freed first, then what it held is settled.
    FreedBeforeSettling,
    /// A dead member's entry is freed although something was left because its number lives again.
    FreedUnsettled,
    /// A run is published first slot first.
    FirstSlotFirst,
    /// A sleeper does not look again between its announcement and its sleep.
    NoSecondLook,
    /// A sleeper that was woken does not leave the note again.
    NoNoteLeft,
    /// Closed is a word of its own.
    ClosedApart,
    /// A number that a search found dead is not asked about again at each slot.
    NumberNotAsked,
    /// A void is stepped over without a record of the head's last claim.
    VoidNotRecorded,
    /// A run is freed without being marked Releasing first.
    NoReleasing,
    /// Ring of one: a message is shown in place without being noted first.
    HeldNotNoted,
    /// Ring of one: a batch is shown without being noted first.
    ShownNotNoted,
    /// Ring of one: a batch is noted as if nobody had been shown more before.
    ShownForgotten,
    /// Ring of one: the producer does not say that it is pushing.
    PushingNotSaid,
    /// Ring of one: the head moves before the message was read.
    HeadFirst,
    /// Ring of one: the tail moves before the message is written.
    TailFirst,
}

/// What one run of a model came to.
struct Outcome {
    states: usize,
    depth: usize,
    /// The promise that broke, and the steps to it.
    broken: Option<(String, Vec<String>)>,
}

/// Visits all states, then asks whether all go on. With a broken promise it stops at the first.
fn check<M>(model: M) -> Outcome
where
    M: Fair + Copy + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Copy + std::fmt::Debug + PartialEq + Send + Sync + 'static,
{
    // One thread, so that the first counterexample is a shortest one.
    let checker = model.checker().threads(1).finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let say = |actions: Vec<M::Action>| {
        let mut state = model.init_states().remove(0);
        let mut steps = Vec::new();
        for action in actions {
            steps.push(model.describe(&state, &action));
            state = model.next_state(&state, action).expect("a step that was made");
        }
        steps
    };
    if let Some((promise, path)) =
        checker.discoveries().into_iter().min_by_key(|(_, path)| path.clone().into_actions().len())
    {
        return Outcome { states, depth, broken: Some((promise.into(), say(path.into_actions()))) };
    }
    let found = liveness::search(&model);
    // Two ways of counting the same states.
    assert_eq!(found.states, states, "both searches visit every state");
    Outcome { states, depth, broken: found.stuck.map(|path| (GOES_ON.into(), say(path))) }
}

/// That none of the promises is broken.
fn promises<M: Fair>() -> Vec<Property<M>> {
    macro_rules! all {
        ($($broken:ident),*) => {
            vec![$(Property::always(Broken::$broken.promise(), |_, state: &M::State| {
                M::broken(state) != Some(Broken::$broken)
            })),*]
        };
    }
    all!(Lost, Twice, HalfMade, Leak, Robbed, ClosedEarly, Corrupt, Stuck)
}

fn words(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

/// The protocol as it is, then broken. Of the scenarios only those with `only` in their name.
pub fn run(bounds: Bounds, only: &str) -> Vec<Verdict> {
    vec![protocol(bounds, only), mutants(only)]
}

/// Each scenario, under the protocol as it is.
pub fn protocol(bounds: Bounds, only: &str) -> Verdict {
    let mut verdict = Verdict::new(
        "Model: every interleaving of the protocol",
        words(&["scenario", "slots", "members", "deaths", "states", "depth", "seconds"]),
    );
    for case in scenarios::all(bounds).into_iter().filter(|case| case.name().contains(only)) {
        let start = Instant::now();
        let outcome = case.check(None);
        verdict.rows.push(vec![
            case.name().into(),
            case.capacity().to_string(),
            case.members().to_string(),
            case.deaths().to_string(),
            outcome.states.to_string(),
            outcome.depth.to_string(),
            format!("{:.1}", start.elapsed().as_secs_f64()),
        ]);
        if let Some((promise, steps)) = outcome.broken {
            verdict.violations.push(format!(
                "{}: {promise}, after {} steps: {}",
                case.name(),
                steps.len(),
                steps.join(", ")
            ));
        }
    }
    verdict
}

/// Each mutant, in the scenario where it matters: all have to be caught.
pub fn mutants(only: &str) -> Verdict {
    let mut verdict = Verdict::new(
        "Model: the protocol broken on purpose",
        words(&["mutant", "scenario", "broken promise", "steps", "states"]),
    );
    for (mutant, case) in scenarios::mutants().into_iter().filter(|(_, case)| case.name().contains(only)) {
        let outcome = case.check(Some(mutant));
        let (promise, steps) = match &outcome.broken {
            Some((promise, steps)) => (promise.as_str(), steps.len().to_string()),
            None => ("none", "-".into()),
        };
        let name = format!("{mutant:?}");
        verdict.rows.push(vec![name.clone(), case.name().into(), promise.into(), steps, outcome.states.to_string()]);
        if outcome.broken.is_none() {
            verdict.violations.push(format!("{name} is not caught in {}", case.name()));
        }
    }
    verdict
}
