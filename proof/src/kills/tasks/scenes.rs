//! What a stepped process does with a queue of tasks.

use std::io;
use std::mem::forget;
use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use handover::Shrink;
use handover::tasks::{Lease, Submitter, Tasks, Worker};
use handover::{Error, Wait};

use crate::scenes::{BATCH, Wide, number, wide, words};
use crate::step::{Page, Shared, between_marks, mark, reported};

words! {
    /// What it does.
    Operation {
        /// One task, where there is room.
        Submit = "submit",
        /// One with a key.
        SubmitKey = "submit-key",
        /// One that is for later.
        SubmitDelayed = "submit-delayed",
        /// Three tasks.
        SubmitBatch = "submit-batch",
        /// A task whose result is wanted.
        Request = "request",
        /// A result that is there is collected.
        Collect = "collect",
        /// A result that is there, or will be, is not wanted any more.
        GiveUp = "give-up",
        /// A task into a full queue, until somebody makes room.
        SubmitBlocked = "submit-blocked",
        /// A task, where there is one.
        Take = "take",
        /// A task out of an empty queue, until somebody submits.
        TakeBlocked = "take-blocked",
        /// A task that is there as soon as somebody looks at what is due.
        RingAlarms = "ring-alarms",
        /// A task that was taken is done.
        Done = "done",
        /// The same, with a result that somebody waits for.
        DoneWith = "done-with",
        /// It has failed, and may be tried again.
        Fail = "fail",
        /// It has failed, and was to be tried once.
        FailLast = "fail-last",
        /// Its lease is dropped.
        DropLease = "drop-lease",
        /// Its lease is made longer.
        Extend = "extend",
        /// A dead letter is given its tries again.
        Requeue = "requeue",
        /// A dead letter is thrown away.
        Purge = "purge",
        /// Room for two more.
        Grow = "grow",
        /// Room for one less.
        Shrink = "shrink",
        /// Closing it.
        Close = "close",
        /// A new submitter.
        AttachSubmitter = "attach-submitter",
        /// A new worker.
        AttachWorker = "attach-worker",
        /// A submitter that leaves.
        DetachSubmitter = "detach-submitter",
        /// A worker that leaves, and has forgotten a lease.
        DetachWorker = "detach-worker",
    }
}

words! {
    /// What the queue holds before.
    State {
        /// Nothing.
        Empty = "empty",
        /// One task.
        One = "one",
        /// All but one block.
        OneShort = "one-short",
        /// Every block.
        Full = "full",
        /// A dead letter, and a task if there is room for one.
        Letter = "dead-letter",
        /// A task past its deadline, which nobody has noticed, and another.
        Late = "late",
        /// The same, and somebody has.
        Expired = "expired",
        /// Tasks that are for later, and it is later now.
        Due = "due",
        /// A task that a living worker was given for a time, which is over.
        Over = "lease-over",
    }
}

impl Operation {
    /// Whether it sleeps until somebody wakes it.
    pub fn sleeps(self) -> bool {
        matches!(self, Operation::SubmitBlocked | Operation::TakeBlocked)
    }

    /// Whether it ends with a lease in its hands.
    pub fn takes(self) -> bool {
        matches!(self, Operation::Take | Operation::TakeBlocked | Operation::RingAlarms)
    }

    /// Whether it begins with a lease in its hands.
    pub fn holds(self) -> bool {
        use Operation::*;
        matches!(self, Done | DoneWith | Fail | FailLast | DropLease | Extend | DetachWorker)
    }

    /// How many tasks it submits.
    pub fn submits(self) -> usize {
        use Operation::*;
        match self {
            Submit | SubmitKey | SubmitDelayed | SubmitBlocked | Request => 1,
            SubmitBatch => BATCH,
            _ => 0,
        }
    }
}

/// The key of a task that has one.
pub const KEY: &[u8] = b"the key";
/// How long one for later waits.
pub const DELAY: Duration = Duration::from_millis(2);
/// What a stepped worker says came of a task.
pub const RESULT: &[u8] = b"result";
/// By how many tasks a queue grows.
pub const GROWTH: usize = 2;

/// In a stepped process: what it is told to do. It stops once more before it begins, when it has attached: what it finds
/// is put there then.
pub fn play(words: &[String]) -> ExitCode {
    let [operation, first] = words else { return ExitCode::from(2) };
    let Some(operation) = Operation::of(operation) else { return ExitCode::from(2) };
    let Ok(first) = first.parse() else { return ExitCode::from(2) };
    let shared = Shared::map(io::stdout(), size_of::<Page>());
    let page = shared.page();
    let tasks = Tasks::<Wide>::from_fd(io::stdin()).expect("the queue behind standard input");
    match perform(operation, &tasks, first, page) {
        Ok(taken) => {
            for (place, number) in page.messages.iter().zip(&taken) {
                place.store(*number, SeqCst);
            }
            page.count.store(taken.len() as u32, SeqCst);
        }
        Err(_) => page.refused.store(1, SeqCst),
    }
    reported(page);
    ExitCode::SUCCESS
}

/// The numbers of the tasks that it has in its hands at the end; `u64::MAX` for one that is not whole.
type Taken = Vec<u64>;

fn perform(operation: Operation, tasks: &Tasks<Wide>, first: u64, page: &Page) -> Result<Taken, Error> {
    use Operation::*;
    match operation {
        AttachSubmitter => {
            mark();
            forget(between_marks(page, || tasks.submitter())?);
        }
        AttachWorker => {
            mark();
            forget(between_marks(page, || tasks.worker())?);
        }
        Requeue | Purge => {
            mark();
            let id = tasks.dead_letters()[0].id;
            between_marks(page, || if operation == Requeue { tasks.requeue(id) } else { tasks.purge(id) })?;
        }
        Grow | Shrink => {
            mark();
            let now = tasks.capacity();
            let wanted = if operation == Grow { now + GROWTH } else { now - 1 };
            between_marks(page, || tasks.resize(wanted, self::Shrink::Refuse))?;
        }
        Close => {
            mark();
            between_marks(page, || tasks.close());
        }
        Submit | SubmitKey | SubmitDelayed | SubmitBatch | Request | Collect | GiveUp | SubmitBlocked
        | DetachSubmitter => {
            let submitter = tasks.submitter()?;
            warm_up(&submitter, &tasks.worker()?);
            mark();
            submit(operation, submitter, first, page)?;
        }
        Take | TakeBlocked | RingAlarms | Done | DoneWith | Fail | FailLast | DropLease | Extend | DetachWorker => {
            let worker = tasks.worker()?;
            warm_up(&tasks.submitter()?, &worker);
            mark();
            return work(operation, worker, page);
        }
    }
    Ok(Taken::new())
}

fn submit(operation: Operation, submitter: Submitter<Wide>, first: u64, page: &Page) -> Result<(), Error> {
    use Operation::*;
    submitter.set_wait(Wait::Park);
    let task = wide(first);
    match operation {
        Submit | SubmitBlocked => {
            between_marks(page, || submitter.submit(task))?;
        }
        SubmitKey => {
            between_marks(page, || submitter.task(task).key(KEY).submit())?;
        }
        SubmitDelayed => {
            between_marks(page, || submitter.task(task).delay(DELAY).submit())?;
        }
        SubmitBatch => {
            let batch: Vec<Wide> = (first..).take(BATCH).map(wide).collect();
            between_marks(page, || submitter.submit_batch(batch.iter().copied()))?;
        }
        Request => forget(between_marks(page, || submitter.task(task).request())?),
        Collect => {
            let ticket = submitter.task(task).request()?;
            between_marks(page, || ticket.wait())?;
        }
        GiveUp => {
            let ticket = submitter.task(task).request()?;
            between_marks(page, || drop(ticket));
        }
        DetachSubmitter => between_marks(page, move || drop(submitter)),
        other => unreachable!("{other} is not a submitter's"),
    }
    Ok(())
}

fn work(operation: Operation, worker: Worker<Wide>, page: &Page) -> Result<Taken, Error> {
    use Operation::*;
    worker.set_wait(Wait::Park);
    let hold = |lease: Lease<Wide>| {
        let taken = number(lease.task()).unwrap_or(u64::MAX);
        forget(lease);
        vec![taken]
    };
    match operation {
        Take | TakeBlocked => return between_marks(page, || worker.take()).map(hold),
        RingAlarms => return between_marks(page, || worker.try_take()).map(hold),
        DetachWorker => {
            forget(worker.take()?);
            between_marks(page, move || drop(worker));
            return Ok(Taken::new());
        }
        _ => {}
    }
    let lease = worker.take()?;
    match operation {
        Done => between_marks(page, || lease.done())?,
        DoneWith => between_marks(page, || lease.done_with(RESULT))?,
        Fail | FailLast => between_marks(page, || lease.fail("it is what it does"))?,
        DropLease => between_marks(page, || drop(lease)),
        Extend => {
            between_marks(page, || lease.extend(Duration::from_secs(3600)))?;
            return Ok(hold(lease));
        }
        other => unreachable!("{other} is not a worker's"),
    }
    Ok(Taken::new())
}

/// A new handle looks at the clock in its first operations, and searches for the dead if time has passed. Behind these
/// rounds it does not for a while, however slowly it is stepped.
fn warm_up(submitter: &Submitter<Wide>, worker: &Worker<Wide>) {
    loop {
        let begun = Instant::now();
        for round in 0..16 {
            submitter.submit(wide(round)).expect("an open queue");
            worker.take().and_then(Lease::done).expect("an open queue");
        }
        if begun.elapsed() < Duration::from_millis(2) {
            return;
        }
    }
}
