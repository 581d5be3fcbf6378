//! Interleavings and deaths that are played by hand: a member that is stopped, or dies, between two steps.

use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use super::block::{Awaiter, Hint, State, Word};
use super::core::{FREE, RETURNED};
use super::hand::{Hand, pack_terms};
use super::member::TaskMember;
use super::*;
use crate::gate::Limit;
use crate::os;
use crate::ring::{Owner, Run};
use crate::roster::Role;

const MS: Duration = Duration::from_millis(1);

/// A queue of that name, removed when this goes.
struct Named(String, Tasks<u64>);

impl Named {
    fn new(what: &str, options: Options) -> Named {
        let name = format!("test-tasks-{what}-{}", std::process::id());
        let tasks = options.create::<u64>(&name).expect("made");
        Named(name, tasks)
    }

    /// As another process has it open.
    fn elsewhere(&self) -> Tasks<u64> {
        Tasks::open(&self.0).expect("there")
    }

    fn holds(&self, capacity: usize) {
        let (submitter, worker) = (self.1.submitter().expect("room"), self.1.worker().expect("room"));
        for number in 0..capacity as u64 {
            submitter.try_submit(number).unwrap_or_else(|refused| panic!("{number} of {capacity}: {refused}"));
        }
        assert!(submitter.try_submit(0).is_err());
        for number in 0..capacity as u64 {
            let lease = worker.try_take().expect("submitted");
            assert_eq!(*lease.task(), number);
            lease.done().expect("ours");
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = crate::remove(&self.0);
    }
}

/// Dies as a process does: only the kernel's lock goes. `tasks` is as its process had it open.
fn dies<T>(tasks: Tasks<u64>, owner: Owner, handles: T) {
    tasks.core.segment.lock_file().unlock(1 + u64::from(owner.0)).expect("unlocked");
    mem::forget((tasks, handles));
}

fn owner(member: &TaskMember) -> Owner {
    member.membership.owner
}

/// A free block in the hands of a submitter that fills it.
fn fill(member: &TaskMember) -> (u32, Word) {
    let (run, hint) = member.hint(FREE, true).expect("whole").expect("there is one");
    let mine = Word::new(State::Free, Owner(0), 0, hint.generation()).held(State::Filling, owner(member));
    assert!(member.core.change(hint.block(), Word::new(State::Free, Owner(0), 0, hint.generation()), mine));
    member.release(FREE, &run);
    (hint.block(), mine)
}

/// The hint of a free block in the hands of one that dies before it does anything about it.
fn takes_a_hint_and_dies(queue: &Named) {
    let tasks = queue.elsewhere();
    let submitter = tasks.submitter().expect("room");
    let claim: (Run, Hint) = submitter.member.hint(FREE, true).expect("whole").expect("there is one");
    let me = owner(&submitter.member);
    dies(tasks, me, (submitter, claim));
}

#[test]
fn one_that_dies_with_a_hint_in_its_hand_holds_nobody_up_and_takes_no_room() {
    let queue = Named::new("hint", Options::new().capacity(4));
    for _ in 0..5 {
        // These were there before: they look for the dead only now and then.
        let (submitter, worker) = (queue.1.submitter().expect("room"), queue.1.worker().expect("room"));
        submitter.submit(1).expect("room");
        worker.take().expect("there").done().expect("ours");
        takes_a_hint_and_dies(&queue);
        // Several times around the ring.
        for number in 0..500 {
            submitter.submit(number).expect("room");
            worker.take().expect("there").done().expect("ours");
        }
        drop((submitter, worker));
        takes_a_hint_and_dies(&queue);
        queue.holds(4);
    }
}

#[test]
fn what_a_dead_submitter_had_half_filled_is_nobodys_task_though_its_reaper_dies_too() {
    let queue = Named::new("half", Options::new().capacity(4));
    let tasks = queue.elsewhere();
    let submitter = tasks.submitter().expect("room");
    fill(&submitter.member);
    let me = owner(&submitter.member);
    dies(tasks, me, submitter);
    // Its reaper has taken it over, and dies.
    let tasks = queue.elsewhere();
    let reaper = Hand { core: &tasks.core, me: Owner(9) };
    let (block, word) =
        tasks.core.blocks().find(|(_, word)| word.state() == Some(State::Filling)).expect("half filled");
    assert!(tasks.core.change(block, word, word.next().held(State::Filling, reaper.me)));
    let worker = queue.1.worker().expect("room");
    // As the roster would call it: number 9 is nobody's.
    worker.member.hand().reap(Owner(9), 0, false);
    assert!(matches!(worker.try_take(), Err(Error::Empty)), "a task that nobody submitted");
    drop(worker);
    queue.holds(4);
}

#[test]
fn a_result_whose_collector_dies_is_freed_and_not_done_again() {
    let queue = Named::new("collector", Options::new().capacity(2).result_max(8));
    for state in [State::Filling, State::Finished] {
        let tasks = queue.elsewhere();
        let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
        let ticket = submitter.task(7).request().expect("room");
        worker.take().expect("there").done_with(b"x").expect("ours");
        let block = (ticket.id().0 >> 36) as u32;
        // It has said that it waits no longer, and dies before it has freed the block.
        tasks.core.head(block).awaiter.store(Awaiter::NONE.0, SeqCst);
        let word = tasks.core.word(block);
        assert_eq!(word.state(), Some(State::Finished));
        if state == State::Filling {
            assert!(tasks.core.change(block, word, word.next().held(State::Filling, owner(&submitter.member))));
        }
        mem::forget(ticket);
        let other = owner(&worker.member);
        tasks.core.segment.lock_file().unlock(1 + u64::from(other.0)).expect("unlocked");
        let me = owner(&submitter.member);
        mem::forget((submitter, worker));
        dies(tasks, me, ());
        queue.holds(2);
    }
}

#[test]
fn a_task_that_changes_while_it_is_taken_keeps_its_hint() {
    let tasks = Options::new().capacity(1).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // What deadlines and requeues do, over and over.
            while !stop.load(Relaxed) {
                let word = tasks.core.word(0);
                match word.state() {
                    Some(State::Waiting) => drop(tasks.core.change(0, word, word.to(State::Expired))),
                    Some(State::Expired) => drop(tasks.core.change(0, word, word.to(State::Requeued))),
                    Some(State::Requeued) => drop(tasks.core.change(0, word, word.to(State::Waiting))),
                    _ => {}
                }
            }
        });
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < Duration::from_secs(1) {
            submitter.submit(number).expect("room");
            let looked = Instant::now();
            // It may be buried: then it is a dead letter.
            loop {
                match worker.try_take() {
                    Ok(lease) => break lease.done().expect("ours"),
                    Err(_) if tasks.core.word(0).state() == Some(State::Dead) => {
                        break assert_eq!(tasks.purge_all().expect("whole"), 1);
                    }
                    Err(_) => assert!(looked.elapsed() < Duration::from_secs(2), "its hint is lost: {number}"),
                }
            }
            number += 1;
        }
        stop.store(true, Relaxed);
    });
}

/// Does `work` while another looks at what is due all the time, until that is told to stop or `work` is done.
fn beside_one_that_looks_at_alarms(tasks: &Tasks<u64>, work: impl FnOnce(&AtomicBool)) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let looker = tasks.submitter().expect("room");
            while !stop.load(Relaxed) {
                // As if something were always due.
                tasks.core.control().alarms.0.next.fetch_min(1, SeqCst);
                looker.member.hand().ring_alarms();
            }
        });
        let _stops = Stops(&stop);
        work(&stop);
    });
}

/// Also when a test fails, which would else wait for the other thread.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn deadlines_that_pass_while_tasks_are_taken_lose_none() {
    let tasks = Options::new().capacity(64).anonymous::<u64>().expect("made");
    beside_one_that_looks_at_alarms(&tasks, |_| {
        let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            for number in 0..64 {
                let deadline = Duration::from_nanos(2000 + number * 150);
                submitter.task(number).deadline(deadline).try_submit().expect("all were purged");
            }
            for _ in 0..2 {
                while let Ok(lease) = worker.try_take() {
                    lease.done().expect("ours");
                }
                thread::sleep(Duration::from_micros(100));
            }
            tasks.purge_all().expect("whole");
            let report = tasks.report();
            assert_eq!((report.waiting.iter().sum::<usize>(), report.dead_letters), (0, 0));
        }
    });
}

#[test]
fn the_latch_of_a_dead_one_is_nobodys_also_if_its_number_is_anothers() {
    let queue = Named::new("latch", Options::new().capacity(4));
    let submitter = queue.1.submitter().expect("room");
    let tasks = queue.elsewhere();
    let dead = tasks.submitter().expect("room");
    let me = owner(&dead.member);
    for bucket in 0..tasks.core.measures.buckets {
        assert!(!tasks.core.bucket(bucket).latch.take(&tasks.core, me, Limit::Forever).expect("free"));
    }
    dies(tasks, me, dead);
    let worker = queue.1.worker().expect("room");
    assert_eq!(owner(&worker.member), me, "the number is a living one's");
    submitter.task(1).key("k").submit_timeout(100 * MS).expect("nobody has it");
}

#[test]
fn a_latch_that_was_taken_anew_is_not_taken_over() {
    let tasks = Options::new().capacity(1).anonymous::<u64>().expect("made");
    let latch = &tasks.core.bucket(0).latch;
    assert!(!latch.take(&tasks.core, Owner(6), Limit::Forever).expect("free"));
    // One reads that 6 has it, and finds 6 dead. Meanwhile it is left, and a new 6 takes it.
    let seen = latch.held();
    latch.leave();
    assert!(!latch.take(&tasks.core, Owner(6), Limit::Forever).expect("free"));
    assert!(!latch.change(seen, Owner(5)), "both would have it");
}

#[test]
fn an_alarm_that_is_due_before_its_block_is_ready_rings_all_the_same() {
    let tasks = Options::new().capacity(4).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let (block, word) = fill(&submitter.member);
    tasks.core.head(block).terms.store(pack_terms(3, 5), Relaxed);
    tasks.core.head(block).deadline.store(0, Relaxed);
    let due = os::now() + 1000;
    // `put`, step by step, with others in between who look at what is due.
    tasks.core.alarm(block).store(due, Relaxed);
    thread::sleep(2 * MS);
    submitter.member.sweep();
    tasks.core.head(block).word.store(word.to(State::Delayed).0, SeqCst);
    submitter.member.sweep();
    tasks.core.control().alarms.0.next.fetch_min(due, SeqCst);
    worker.take_timeout(Duration::from_secs(2)).expect("due").done().expect("ours");
}

#[test]
fn if_one_that_looks_at_what_is_due_is_stopped_others_look() {
    let queue = Named::new("scanner", Options::new().capacity(4).lease(20 * MS));
    let (submitter, worker) = (queue.1.submitter().expect("room"), queue.1.worker().expect("room"));
    let other = queue.1.worker().expect("room");
    submitter.submit(1).expect("room");
    let lease = worker.take().expect("there");
    // What it has done when it is stopped.
    let alarms = &queue.1.core.control().alarms.0;
    alarms.again.store(os::now() + 10_000_000, SeqCst);
    alarms.next.store(u64::MAX, SeqCst);
    other.take_timeout(Duration::from_secs(2)).expect("the lease is over").done().expect("ours");
    drop(lease);
}

#[test]
fn one_that_was_stopped_before_it_looked_at_what_is_due_leaves_the_rest_to_who_looked_since() {
    let queue = Named::new("late-scanner", Options::new().capacity(4));
    let (submitter, worker) = (queue.1.submitter().expect("room"), queue.1.worker().expect("room"));
    let stopped = queue.1.worker().expect("room");
    // What it has done when it is stopped.
    let alarms = &queue.1.core.control().alarms.0;
    let until = os::now();
    alarms.again.store(until, SeqCst);
    submitter.task(1).delay(50 * MS).submit().expect("room");
    alarms.next.store(0, SeqCst);
    worker.member.sweep();
    // It goes on for a moment, and is stopped again.
    assert!(!stopped.member.hand().take_alarms(until));
    worker.take_timeout(Duration::from_secs(2)).expect("it is due").done().expect("ours");
}

#[test]
fn who_goes_to_sleep_while_another_looks_at_what_is_due_is_woken_for_what_comes_next() {
    let queue = Named::new("sleeper", Options::new().capacity(4));
    let (submitter, worker) = (queue.1.submitter().expect("room"), queue.1.worker().expect("room"));
    submitter.task(1).delay(100 * MS).submit().expect("room");
    let began = Instant::now();
    let alarms = &queue.1.core.control().alarms.0;
    let until = os::now() + 10_000_000_000;
    alarms.again.store(until, SeqCst);
    thread::scope(|scope| {
        assert!(submitter.member.hand().take_alarms(until));
        let sleeper = scope.spawn(move || worker.take().expect("it is due").done().expect("ours"));
        thread::sleep(30 * MS);
        submitter.member.hand().look_at_alarms(os::now(), until);
        sleeper.join().expect("it was woken");
    });
    assert!(began.elapsed() < 700 * MS, "{:?}", began.elapsed());
}

#[test]
fn one_that_reaps_late_does_not_throw_away_its_victims_successors_result() {
    let tasks = Options::new().capacity(1).result_max(8).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    drop(submitter.task(1).request().expect("room"));
    // What the late one has read.
    let seen = Awaiter::new(owner(&submitter.member), 1);
    worker.take().expect("there").done().expect("ours");
    let mut ticket = submitter.task(2).request().expect("room");
    worker.member.hand().forget_result(0, seen);
    worker.take().expect("there").done_with(b"x").expect("ours");
    assert_eq!(ticket.wait_timeout(Duration::from_secs(1)).expect("it is still waited for"), b"x");
}

#[test]
fn a_requeued_task_does_not_expire_by_what_was_read_before() {
    let tasks = Options::new().capacity(2).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let id = submitter.task(1).deadline(5 * MS).submit().expect("room");
    let block = (id.0 >> 36) as u32;
    let seen = tasks.core.word(block);
    thread::sleep(10 * MS);
    worker.member.sweep();
    tasks.requeue(id).expect("it was too late");
    assert!(!tasks.core.change(block, seen, seen.to(State::Expired)), "it has no deadline any more");
    assert_eq!(*worker.try_take().expect("requeued").task(), 1);
}

#[test]
fn one_that_dies_while_it_attaches_is_reaped() {
    let queue = Named::new("attach", Options::new().capacity(4));
    let reaper = queue.1.worker().expect("room");
    let tasks = queue.elsewhere();
    let first = tasks.submitter().expect("room");
    let number = owner(&first.member);
    dies(tasks, number, first);
    queue.1.core.processes().sweep(reaper.member.membership.counters(), &mut |dead, pid, _| {
        let all = reaper.member.hand().reap(dead, pid, false);
        // Here the reaper is slow. Meanwhile the next one of that number attaches, reaps in its own name, and dies in it.
        let tasks = queue.elsewhere();
        let membership = tasks.core.roster.attach(Role::Producer, false, &mut |mine, _, _| {
            assert_eq!(mine, dead);
            tasks.core.rings[FREE].claim_pop(mine, 1).expect("there is one");
            true
        });
        dies(tasks, dead, membership);
        all
    });
    drop(reaper);
    queue.holds(4);
}

#[test]
fn a_hint_that_is_nowhere_is_found_to_be_missing() {
    let queue = Named::new("lost", Options::new().capacity(4));
    let submitter = queue.1.submitter().expect("room");
    submitter.submit(1).expect("room");
    // Two hints vanish, as if their takers had been killed and these were dropped.
    for ring in [FREE, super::core::LEVEL + 3] {
        let (run, _) = submitter.member.hint(ring, true).expect("whole").expect("there is one");
        submitter.member.release(ring, &run);
    }
    submitter.member.hand().reap(Owner(9), 0, false);
    let hints = |ring: usize| queue.1.core.rings[ring].len().expect("whole");
    assert_eq!((hints(FREE), hints(RETURNED)), (3, 1));
    let worker = queue.1.worker().expect("room");
    let lease = worker.try_take().expect("found");
    assert_eq!(*lease.task(), 1);
    lease.done().expect("ours");
    drop((submitter, worker));
    queue.holds(4);
}

#[test]
fn a_deadline_holds_though_whoever_let_the_task_wait_died_before_it_set_the_alarm() {
    let tasks = Options::new().capacity(2).anonymous::<u64>().expect("made");
    let (submitter, looker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let id = submitter.task(1).delay(MS).deadline(40 * MS).submit().expect("room");
    thread::sleep(2 * MS);
    // It has changed the word, and the alarm is as it was.
    let block = (id.0 >> 36) as u32;
    let word = tasks.core.word(block);
    assert!(tasks.core.change(block, word, word.next().to(State::Waiting)));
    // Others look at what is due, as after a death; and nothing else is.
    looker.member.hand().reap(Owner(9), 0, false);
    looker.member.sweep();
    thread::sleep(60 * MS);
    looker.member.sweep();
    assert_eq!(tasks.report().dead_letters, 1, "its deadline has passed");
}

#[test]
fn an_alarm_that_is_set_while_somebody_looks_at_the_others_rings() {
    let tasks = Options::new().capacity(64).anonymous::<u64>().expect("made");
    beside_one_that_looks_at_alarms(&tasks, |stop| {
        let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
        for round in 0..20 {
            for number in 0..32 {
                // Longer than somebody may look.
                submitter.task(number).delay(15 * MS).submit().expect("room");
            }
            if round == 19 {
                stop.store(true, Relaxed);
            }
            for _ in 0..32 {
                worker.take_timeout(Duration::from_secs(2)).expect("due").done().expect("ours");
            }
        }
    });
}
