//! Queues of tasks, scribbled over.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use handover::Shrink;
use handover::tasks::{Lease, Options, Submitter, TaskId, Tasks, Worker, inspect};
use handover::{Error, Postcard, Shareable, Wait};

use super::body::Body;
use super::choices::Choices;
use super::life::{Place, User};
use super::messages::{LONGEST, Note, Tried};

/// How long a call may block.
const SHORT: Duration = Duration::from_micros(100);

/// A segment's whole time, of any kind of task.
pub fn tasks(user: &mut User) {
    match user.choices.below(3) {
        0 => tasks_of::<u64>(user),
        1 => tasks_of::<[u8]>(user),
        _ => tasks_of::<Postcard<Note>>(user),
    }
}

/// As `User::call`, for what may also find that a task or a lease is gone.
fn call<T>(user: &mut User, result: Result<T, Error>) -> Option<T> {
    match result {
        Err(Error::LeaseLost | Error::NoTask { .. } | Error::Duplicate { .. } | Error::Dead { .. }) => {
            user.call(Err(Error::Empty))
        }
        other => user.call(other),
    }
}

fn scribble(user: &mut User, body: &Body) {
    body.scribble_words(&mut user.choices);
    user.tally.edits += 1;
}

fn tasks_of<M: Tried + ?Sized>(user: &mut User) {
    let place = Place::any(&mut user.choices);
    let capacity = user.choices.of(&[1, 2, 3, 8, 100]);
    let mut options = Options::new()
        .capacity(capacity)
        .max_capacity(capacity + user.choices.below(4) as usize)
        .members(6)
        .message_max(LONGEST)
        .result_max(user.choices.of(&[0, 24]))
        .backoff(Duration::from_micros(50), Duration::from_micros(100));
    if user.choices.one_in(3) {
        options = options.lease(Duration::from_micros(200));
    }
    if user.choices.one_in(3) {
        options = options.weights([1, 2, 3, 4, 5, 6, 7, 8]);
    }
    let made = match &place {
        Place::Named(name) => options.create::<M>(name),
        Place::Path(path) => options.create_at(path),
        Place::Anonymous => options.anonymous(),
    };
    let made = made.expect("a new name");
    let share = || made.share().expect("its creator may");
    let body = Body::of(share());
    user.tally.segments += 1;
    use_tasks(user, &body, &made);
    for _ in 0..1 + user.choices.below(3) {
        for _ in 0..user.choices.below(4) {
            scribble(user, &body);
        }
        if user.choices.one_in(3) {
            body.scribble_header(&mut user.choices);
            user.tally.edits += 1;
            if let Some(opened) = user.open(open::<M>(&place, &share)) {
                use_tasks(user, &body, &opened);
            }
            user.open(open::<[u8; 80]>(&place, &share));
            if let Place::Named(name) = &place {
                user.open(inspect(name));
            }
            body.restore_header();
        }
        let opened = open::<M>(&place, &share).expect("the header is as it was");
        user.tally.opened += 1;
        if user.choices.one_in(4) {
            beside_a_scribbler(user, share(), &body, &opened);
        } else {
            use_tasks(user, &body, &opened);
        }
        if user.choices.over() {
            break;
        }
    }
    body.check_beyond();
}

fn open<M: Shareable + ?Sized>(place: &Place, share: &impl Fn() -> OwnedFd) -> Result<Tasks<M>, Error> {
    match place {
        Place::Named(name) => Tasks::open(name),
        Place::Path(path) => Tasks::open_at(path),
        Place::Anonymous => Tasks::from_fd(share()),
    }
}

/// Another thread scribbles all the while.
fn beside_a_scribbler<M: Tried + ?Sized>(user: &mut User, segment: OwnedFd, body: &Body, tasks: &Tasks<M>) {
    let over = AtomicBool::new(false);
    let seed = user.choices.any();
    thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            let (other, mut choices) = (Body::beside(segment), Choices::seeded(seed));
            while !over.load(SeqCst) {
                other.scribble_words(&mut choices);
                thread::sleep(Duration::from_micros(choices.below(60)));
            }
        });
        // However this ends, so does that.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, SeqCst);
            }
        }
        let _ends = Ends(over);
        use_tasks(user, body, tasks);
    });
}

/// A short life with a queue, with scribbles between the calls.
fn use_tasks<M: Tried + ?Sized>(user: &mut User, body: &Body, tasks: &Tasks<M>) {
    let Some(submitter) = call(user, tasks.submitter()) else { return };
    let Some(worker) = call(user, tasks.worker()) else { return };
    for _ in 0..40 {
        if user.choices.over() {
            break;
        }
        match user.choices.below(12) {
            0..=2 => scribble(user, body),
            3..=5 => submit_somehow(user, &submitter),
            6..=8 => take_somehow(user, body, &worker),
            9 => look(user, tasks),
            10 => administer(user, tasks),
            // Others come and go.
            _ => match user.choices.below(2) {
                0 => drop(call(user, tasks.submitter())),
                _ => drop(call(user, tasks.worker())),
            },
        }
    }
    if user.choices.one_in(4) {
        tasks.close();
        let taken = worker.take_timeout(SHORT).map(drop);
        call(user, taken);
    }
}

fn look<M: Tried + ?Sized>(user: &mut User, tasks: &Tasks<M>) {
    let report = tasks.report();
    let _ = (report.waiting_times.quantile(0.5), tasks.capacity(), tasks.is_closed(), format!("{tasks:?} {report:?}"));
    user.watch.beat();
    user.tally.calls += 1;
    for letter in tasks.dead_letters() {
        if let Some(task) = call(user, letter.task) {
            M::check(task);
        }
    }
}

fn submit_somehow<M: Tried + ?Sized>(user: &mut User, submitter: &Submitter<M>) {
    submitter.set_wait(user.choices.of(&[Wait::Spin, Wait::Balanced, Wait::Park]));
    let draft = submitter.task(M::make(&mut user.choices)).priority(user.choices.below(8) as usize);
    let time = Duration::from_micros(user.choices.below(300));
    let key: &'static str = user.choices.of(&["a", "b", "c"]);
    let submitted = match user.choices.below(6) {
        0 => draft.try_submit(),
        1 => draft.submit_timeout(SHORT),
        2 => draft.key(key).try_submit(),
        3 => draft.delay(time).try_submit(),
        4 => draft.deadline(time).try_submit(),
        _ => draft.tries(1).try_submit(),
    };
    call(user, submitted.map_err(Error::from));
}

fn take_somehow<M: Tried + ?Sized>(user: &mut User, body: &Body, worker: &Worker<M>) {
    worker.set_wait(user.choices.of(&[Wait::Spin, Wait::Balanced, Wait::Park]));
    let taken = if user.choices.one_in(2) { worker.try_take() } else { worker.take_timeout(SHORT) };
    let Some(lease) = call(user, taken) else { return };
    user.tally.messages += 1;
    let _ = (lease.id(), lease.tries(), lease.task());
    if user.choices.one_in(4) {
        scribble(user, body);
    }
    let ended = match user.choices.below(8) {
        0 => lease.fail("it is what it does"),
        1 => lease.done_with(b"done").or_else(|error| match error {
            // Its header was forged into that of a queue without results.
            Error::Unfit { .. } => Ok(()),
            other => Err(other),
        }),
        2 => lease.extend(SHORT),
        3 => {
            drop(lease);
            Ok(())
        }
        _ => Lease::done(lease),
    };
    call(user, ended);
}

fn administer<M: Tried + ?Sized>(user: &mut User, tasks: &Tasks<M>) {
    let letters = tasks.dead_letters();
    let id = letters.first().map_or(TaskId(user.choices.number()), |letter| letter.id);
    let done = match user.choices.below(4) {
        0 => tasks.requeue(id),
        1 => tasks.purge(id),
        2 => tasks.resize(1 + user.choices.below(8) as usize, Shrink::Refuse),
        _ => tasks.resize(1 + user.choices.below(8) as usize, Shrink::WaitFor(SHORT)),
    };
    // More than it was made for.
    let done = if matches!(done, Err(Error::Unfit { .. })) { Ok(()) } else { done };
    call(user, done);
}
