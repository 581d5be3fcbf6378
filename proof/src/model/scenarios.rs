//! What is tried, and where each mutant is tried.

use super::many::{Many, Op, Scenario};
use super::one::{self, One, Plan};
use super::{Mutant, Outcome, check};

/// A scenario of one of the two rings.
#[derive(Clone, Copy)]
pub enum Case {
    /// The ring of many.
    Many(Scenario),
    /// The ring of one.
    One(Plan),
}

impl Case {
    pub fn check(&self, mutant: Option<Mutant>) -> Outcome {
        match *self {
            Case::Many(scenario) => check(Many { scenario, mutant }),
            Case::One(plan) => check(One { plan, mutant }),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Case::Many(scenario) => scenario.name,
            Case::One(plan) => plan.name,
        }
    }

    pub fn capacity(&self) -> u8 {
        match self {
            Case::Many(scenario) => scenario.capacity,
            Case::One(plan) => plan.capacity,
        }
    }

    pub fn members(&self) -> usize {
        match self {
            Case::Many(scenario) => scenario.scripts.len(),
            Case::One(plan) => plan.scripts.iter().filter(|script| !script.is_empty()).count(),
        }
    }

    pub fn deaths(&self) -> u8 {
        match self {
            Case::Many(scenario) => scenario.deaths,
            Case::One(plan) => plan.deaths,
        }
    }
}

const PUSH: &[Op] = &[Op::Push(1)];
const POP: &[Op] = &[Op::Pop(1)];

const SPINNING: Scenario = Scenario { name: "", capacity: 1, scripts: &[], deaths: 0, gates: false, time_outs: false };

const SINGLES: Scenario = Scenario { name: "singles", scripts: &[PUSH, PUSH, POP, POP], deaths: 1, ..SPINNING };
const SLEEPING: Scenario = Scenario { gates: true, ..SPINNING };

const SINGLES_OF_FEW: Scenario =
    Scenario { name: "singles of few", scripts: &[&[Op::Push(1), Op::Push(1)], POP, POP], ..SINGLES };

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bounds {
    /// Some seconds.
    Short,
    /// Some minutes.
    Usual,
    /// As long as it takes: tens of millions of states each, and gigabytes of memory.
    Deep,
}

/// The scenarios of the ring of many, and from which bounds on each is tried.
const MANY: &[(Bounds, Scenario)] = &[
    (Bounds::Short, Scenario { scripts: &[PUSH, PUSH, POP], ..SINGLES }),
    (Bounds::Short, SINGLES_OF_FEW),
    (Bounds::Usual, SINGLES),
    (Bounds::Usual, Scenario { capacity: 2, ..SINGLES }),
    (Bounds::Deep, Scenario { deaths: 2, ..SINGLES }),
    (Bounds::Deep, Scenario { capacity: 2, deaths: 2, ..SINGLES }),
    (Bounds::Short, BATCHES),
    (Bounds::Usual, Scenario { deaths: 2, ..BATCHES }),
    (Bounds::Deep, BATCHES_OF_ALL),
    (Bounds::Short, VOIDS),
    (Bounds::Usual, Scenario { capacity: 2, deaths: 2, ..VOIDS }),
    (Bounds::Short, VOID_BEHIND),
    (Bounds::Deep, VOIDS_OF_ALL),
    (Bounds::Deep, Scenario { capacity: 2, ..VOIDS_OF_ALL }),
    (Bounds::Short, ORPHANS_OF_FEW),
    (Bounds::Usual, ORPHANS),
    (Bounds::Short, CLOSING),
    (Bounds::Usual, Scenario { capacity: 2, ..CLOSING }),
    (Bounds::Deep, CLOSING_OF_ALL),
    (Bounds::Short, SLEEPERS_OF_FEW),
    (Bounds::Usual, SLEEPERS),
    (Bounds::Usual, Scenario { capacity: 2, ..SLEEPERS }),
    (Bounds::Deep, SLEEPERS_OF_ALL),
    (Bounds::Deep, Scenario { capacity: 2, ..SLEEPERS_OF_ALL }),
    (Bounds::Usual, SLEEPERS_AND_CLOSE),
    (Bounds::Deep, SLEEPERS_AND_ORPHANS),
    (Bounds::Usual, SLEEPERS_AND_DEATH),
    (Bounds::Deep, Scenario { capacity: 2, ..SLEEPERS_AND_DEATH }),
    (Bounds::Usual, REAPER),
    (Bounds::Usual, NUMBERS),
    (Bounds::Deep, Scenario { capacity: 2, deaths: 2, ..NUMBERS }),
];

const RECEIVE: &[Op] = &[Op::Receive];

const BATCHES: Scenario = Scenario {
    name: "batches of two",
    capacity: 2,
    scripts: &[&[Op::Push(2)], &[Op::Pop(2)], &[Op::Pop(2)]],
    deaths: 1,
    ..SPINNING
};

const BATCHES_OF_ALL: Scenario = Scenario {
    name: "batches of two, and singles",
    scripts: &[&[Op::Push(2)], PUSH, &[Op::Pop(2)], &[Op::Pop(2)]],
    ..BATCHES
};

const VOIDS: Scenario =
    Scenario { name: "loans given up", scripts: &[&[Op::Loan, Op::Push(1)], POP, POP], deaths: 1, ..SPINNING };

const VOIDS_OF_ALL: Scenario =
    Scenario { name: "loans given up, and singles", scripts: &[&[Op::Loan, Op::Push(1)], PUSH, POP, POP], ..VOIDS };

const VOID_BEHIND: Scenario = Scenario {
    name: "a loan given up behind a message",
    capacity: 2,
    scripts: &[&[Op::Push(1), Op::Loan], POP, POP],
    ..VOIDS
};

const ORPHANS_OF_FEW: Scenario =
    Scenario { name: "a receipt dropped", scripts: &[PUSH, &[Op::HandBack], RECEIVE], ..ORPHANS };

const ORPHANS: Scenario = Scenario {
    name: "receipts dropped",
    capacity: 2,
    scripts: &[PUSH, &[Op::HandBack], &[Op::Receive, Op::Pop(1)], PUSH],
    deaths: 1,
    ..SPINNING
};

const CLOSING: Scenario =
    Scenario { name: "closing", scripts: &[PUSH, &[Op::Close], &[Op::Drain]], deaths: 1, ..SPINNING };

const CLOSING_OF_ALL: Scenario = Scenario {
    name: "closing, by one of many",
    scripts: &[PUSH, &[Op::Push(1), Op::Close], &[Op::Drain], &[Op::Drain]],
    ..CLOSING
};

const SLEEPERS: Scenario = Scenario { name: "sleepers, no time-outs", scripts: &[PUSH, PUSH, POP, POP], ..SLEEPING };

const SLEEPERS_OF_FEW: Scenario = Scenario {
    name: "two asleep, no time-outs",
    scripts: &[&[Op::Push(1), Op::Push(1)], POP, POP],
    capacity: 2,
    ..SLEEPERS
};

const SLEEPERS_OF_ALL: Scenario = Scenario {
    name: "sleepers, three messages, no time-outs",
    scripts: &[PUSH, &[Op::Push(1), Op::Push(1)], POP, &[Op::Pop(1), Op::Pop(1)]],
    ..SLEEPERS
};

const SLEEPERS_AND_CLOSE: Scenario = Scenario {
    name: "sleepers and a close, no time-outs",
    scripts: &[&[Op::Push(1), Op::Close], &[Op::Drain], &[Op::Drain]],
    ..SLEEPING
};

const SLEEPERS_AND_ORPHANS: Scenario = Scenario {
    name: "sleepers and a receipt dropped, no time-outs",
    scripts: &[PUSH, &[Op::HandBack], POP, POP],
    ..SLEEPING
};

const SLEEPERS_AND_DEATH: Scenario =
    Scenario { name: "sleepers and a death", scripts: &[PUSH, PUSH, POP], deaths: 1, time_outs: true, ..SLEEPING };

const REAPER: Scenario = Scenario {
    name: "a reaper that may die",
    capacity: 2,
    scripts: &[PUSH, &[Op::HandBack], &[Op::Search], POP],
    deaths: 2,
    ..SPINNING
};

const NUMBERS: Scenario = Scenario {
    name: "numbers used again",
    scripts: &[&[Op::Push(1), Op::Push(1)], &[Op::Receive], &[Op::Search], &[Op::Attach, Op::Receive, Op::Detach]],
    deaths: 1,
    ..SPINNING
};

const ONE_SPINNING: Plan =
    Plan { name: "", capacity: 1, scripts: [&[], &[], &[], &[], &[]], deaths: 0, gates: false, time_outs: false };

const ONE_DEATHS: Plan = Plan {
    name: "one to one, successors",
    scripts: [
        &[one::Op::Push(2), one::Op::Push(1)],
        &[one::Op::Push(1)],
        &[one::Op::Pop, one::Op::Receive],
        &[one::Op::HandBack, one::Op::Pop, one::Op::Pop],
        &[],
    ],
    deaths: 2,
    ..ONE_SPINNING
};

const ONE_BATCHES: Plan = Plan {
    name: "one to one, batches",
    capacity: 2,
    scripts: [
        &[one::Op::Push(2), one::Op::Push(1)],
        &[one::Op::Push(2)],
        &[one::Op::Batch, one::Op::Batch],
        &[one::Op::Batch, one::Op::Batch],
        &[],
    ],
    deaths: 3,
    ..ONE_SPINNING
};

const ONE_CLOSING: Plan = Plan {
    name: "one to one, closing",
    scripts: [
        &[one::Op::Push(1), one::Op::Push(1)],
        &[one::Op::Push(1)],
        &[one::Op::Drain],
        &[one::Op::Drain],
        &[one::Op::Close],
    ],
    deaths: 2,
    gates: true,
    time_outs: true,
    ..ONE_SPINNING
};

const ONE_SLEEPERS: Plan = Plan {
    name: "one to one, sleepers, no time-outs",
    scripts: [
        &[one::Op::Push(1), one::Op::Push(2)],
        &[],
        &[one::Op::Pop, one::Op::Receive, one::Op::Drain],
        &[],
        &[one::Op::Close],
    ],
    gates: true,
    ..ONE_SPINNING
};

const ONE: &[Plan] = &[
    ONE_DEATHS,
    Plan { capacity: 2, ..ONE_DEATHS },
    ONE_BATCHES,
    ONE_CLOSING,
    Plan { capacity: 2, ..ONE_CLOSING },
    ONE_SLEEPERS,
    Plan { capacity: 2, ..ONE_SLEEPERS },
];

/// All scenarios.
pub fn all(bounds: Bounds) -> Vec<Case> {
    let many = MANY.iter().filter(move |(least, _)| *least <= bounds).map(|(_, scenario)| Case::Many(*scenario));
    many.chain(ONE.iter().map(|plan| Case::One(*plan))).collect()
}

/// Each mutant, and where it is tried.
pub fn mutants() -> Vec<(Mutant, Case)> {
    vec![
        (Mutant::RecordLeftOut, Case::Many(Scenario { capacity: 2, ..SINGLES })),
        (Mutant::RecordAfterSwap, Case::Many(Scenario { capacity: 2, deaths: 2, ..SINGLES })),
        (Mutant::ReapByTimeOut, Case::Many(SINGLES)),
        (Mutant::SettleUnchecked, Case::Many(BATCHES)),
        (Mutant::SettleByStore, Case::Many(SINGLES_OF_FEW)),
        (Mutant::NoticeBefore, Case::Many(ORPHANS_OF_FEW)),
        (Mutant::ReaperSilent, Case::Many(ORPHANS_OF_FEW)),
        (Mutant::FreedBeforeSettling, Case::Many(REAPER)),
        (Mutant::FreedUnsettled, Case::Many(NUMBERS)),
        (Mutant::FirstSlotFirst, Case::Many(BATCHES)),
        (Mutant::NoSecondLook, Case::Many(SLEEPERS_OF_FEW)),
        (Mutant::NoNoteLeft, Case::Many(SLEEPERS_OF_FEW)),
        (Mutant::ClosedApart, Case::Many(CLOSING)),
        (Mutant::NumberNotAsked, Case::Many(NUMBERS)),
        // With one slot a head that has reached a void has no claim behind it that is not finished.
        (Mutant::VoidNotRecorded, Case::Many(VOID_BEHIND)),
        (Mutant::NoReleasing, Case::Many(BATCHES)),
        (Mutant::HeldNotNoted, Case::One(ONE_DEATHS)),
        (Mutant::ShownNotNoted, Case::One(ONE_BATCHES)),
        (Mutant::ShownForgotten, Case::One(ONE_BATCHES)),
        (Mutant::PushingNotSaid, Case::One(ONE_CLOSING)),
        (Mutant::HeadFirst, Case::One(ONE_DEATHS)),
        (Mutant::TailFirst, Case::One(ONE_DEATHS)),
        (Mutant::NoSecondLook, Case::One(ONE_SLEEPERS)),
    ]
}
