//! The task queue: each task is done at least once, by whom the rules say, whoever dies.

mod common;

use std::collections::BTreeMap;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use common::{Child, ENDS, Name, die, eventually, heard, say, task};
use handover::tasks::{LEVELS, Options, Tasks, inspect};
use handover::{Error, Shrink, Wait};

#[test]
fn child() {
    let Some((task, words)) = task() else { return };
    let tasks = Tasks::<u64>::open(&words[0]).expect("the parent made it");
    match task.as_str() {
        "take-and-wait" => {
            let worker = tasks.worker().expect("room for one");
            let lease = worker.take().expect("there is one");
            say(&format!("{} {}", lease.task(), lease.tries()));
            if heard() == "done" {
                say(&format!("{:?}", lease.done().map_err(|error| error.to_string())));
                heard();
            }
        }
        "take-and-die" => {
            let worker = tasks.worker().expect("room for one");
            let _lease = worker.take().expect("there is one");
            die();
        }
        "submit-and-die" => {
            let submitter = tasks.submitter().expect("room for one");
            submitter.submit(words[1].parse().expect("a number")).expect("open");
            die();
        }
        "request-and-die" => {
            let submitter = tasks.submitter().expect("room for one");
            let _ticket = submitter.task(1).request().expect("open");
            die();
        }
        "work" => {
            let worker = tasks.worker().expect("room for one");
            let done = worker.run(|lease| {
                say(&format!("took {}", lease.task()));
                Ok::<(), String>(())
            });
            say(&done.expect("no fault").to_string());
        }
        "work-slowly" => {
            let worker = tasks.worker().expect("room for one");
            let done = worker.run(|lease| {
                say(&format!("took {}", lease.task()));
                thread::sleep(Duration::from_millis(600));
                Ok::<(), String>(())
            });
            say(&format!("left after {}", done.expect("no fault")));
        }
        "work-by-hand" => {
            let worker = tasks.worker().expect("room for one");
            while let Ok(lease) = worker.take() {
                lease.done().expect("ours");
            }
        }
        "submit" => {
            let submitter = tasks.submitter().expect("room for one");
            let (from, count): (u64, u64) = (words[1].parse().expect("a number"), words[2].parse().expect("a number"));
            for number in from..from + count {
                submitter.submit(number).expect("open");
            }
        }
        "submit-for-ever" => {
            let submitter = tasks.submitter().expect("room for one");
            for number in 0.. {
                if words[1] == "keyed" {
                    // One of its kind may wait.
                    let _ = submitter.task(number).key(&format!("{}", number % 7)).submit();
                } else {
                    submitter.submit(number).expect("open");
                }
            }
        }
        "resize" => {
            say("resizing");
            let result = tasks.resize(words[1].parse().expect("a number"), Shrink::Wait);
            say(&format!("{:?}", result.is_ok()));
        }
        other => panic!("{other}?"),
    }
}

fn settled(tasks: &Tasks<u64>) -> usize {
    let report = tasks.report();
    report.waiting.iter().sum::<usize>() + report.delayed + report.leased
}

/// Fills the queue to its last block, and empties it.
fn has_its_whole_capacity(tasks: &Tasks<u64>, capacity: usize) {
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    for number in 0..capacity {
        submitter.try_submit(number as u64).unwrap_or_else(|refused| panic!("{number} of {capacity}: {refused}"));
    }
    assert!(matches!(submitter.try_submit(0).map_err(Error::from), Err(Error::Full)));
    for number in 0..capacity {
        let lease = worker.try_take().unwrap_or_else(|error| panic!("{number} of {capacity}: {error}"));
        assert_eq!(*lease.task(), number as u64);
        lease.done().expect("ours");
    }
    assert!(matches!(worker.try_take(), Err(Error::Empty)));
}

#[test]
fn the_highest_priority_goes_first_and_each_in_its_order() {
    let tasks = Options::new().capacity(80).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    for number in 0..80 {
        submitter.task(number).priority(number as usize % LEVELS).submit().expect("room");
    }
    for level in (0..LEVELS as u64).rev() {
        for nth in 0..10 {
            let lease = worker.take().expect("there");
            assert_eq!(*lease.task(), nth * LEVELS as u64 + level);
            assert_eq!(lease.tries(), 1);
            lease.done().expect("ours");
        }
    }
    assert!(matches!(worker.try_take(), Err(Error::Empty)));
    has_its_whole_capacity(&tasks, 80);
}

#[test]
fn the_default_is_a_thousand_tasks() {
    let tasks = Options::new().anonymous::<u64>().expect("made");
    assert_eq!(tasks.capacity(), 1000);
    has_its_whole_capacity(&tasks, 1000);
}

#[test]
fn weighted_priorities_get_their_shares_and_the_lowest_still_moves() {
    let weights = [1, 1, 2, 2, 4, 4, 8, 10];
    let total: u32 = weights.iter().sum();
    let tasks = Options::new().capacity(8 * 320).weights(weights).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    for level in 0..LEVELS {
        for _ in 0..320 {
            submitter.task(level as u64).priority(level).submit().expect("room");
        }
    }
    let mut taken = [0; LEVELS];
    for _ in 0..total * 10 {
        let lease = worker.take().expect("there");
        taken[*lease.task() as usize] += 1;
        lease.done().expect("ours");
    }
    assert_eq!(taken, weights.map(|weight| weight * 10), "each its share, exactly");
}

#[test]
fn submitters_block_when_it_is_full_and_workers_when_it_is_empty() {
    for wait in [Wait::Spin, Wait::Balanced, Wait::Park] {
        let tasks = Options::new().capacity(3).anonymous::<u64>().expect("made");
        let submitter = tasks.submitter().expect("room");
        submitter.set_wait(wait);
        thread::scope(|scope| {
            scope.spawn(|| {
                let worker = tasks.worker().expect("room");
                worker.set_wait(wait);
                for number in 0..2000 {
                    let lease = worker.take().expect("there");
                    assert_eq!(*lease.task(), number);
                    lease.done().expect("ours");
                }
            });
            submitter.submit_batch(0..2000).expect("open");
        });
        assert_eq!(tasks.report().done, 2000);
    }
    let tasks = Options::new().capacity(1).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit(1).expect("room");
    let start = Instant::now();
    let refused = submitter.submit_timeout(2, Duration::from_millis(20)).expect_err("full");
    assert!(matches!(refused.error, Error::Full) && refused.message == 2);
    assert!(start.elapsed() >= Duration::from_millis(20));
    worker.take().expect("there").done().expect("ours");
    let start = Instant::now();
    assert!(matches!(worker.take_timeout(Duration::from_millis(20)), Err(Error::Empty)));
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn many_submitters_and_workers_lose_nothing_and_double_nothing() {
    let tasks = Options::new().capacity(50).anonymous::<u64>().expect("made");
    let mut seen = Vec::new();
    thread::scope(|scope| {
        let submitters: Vec<_> = (0..4)
            .map(|part| {
                let submitter = tasks.submitter().expect("room");
                scope.spawn(move || submitter.submit_batch(part * 10_000..(part + 1) * 10_000).expect("open"))
            })
            .collect();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let worker = tasks.worker().expect("room");
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    while let Ok(lease) = worker.take() {
                        seen.push(*lease.task());
                        lease.done().expect("ours");
                    }
                    seen
                })
            })
            .collect();
        for submitter in submitters {
            submitter.join().expect("no panic");
        }
        tasks.close();
        for worker in workers {
            seen.extend(worker.join().expect("no panic"));
        }
    });
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..40_000), "{} of 40000", seen.len());
    let report = tasks.report();
    assert_eq!((report.submitted, report.taken, report.done), (40_000, 40_000, 40_000));
    // Of those that come so fast a part is enough.
    assert!((40_000 / 20..=40_000).contains(&report.waiting_times.count()), "{}", report.waiting_times.count());
    assert_eq!(report.working_times.count(), report.waiting_times.count());
}

#[test]
fn a_failed_task_is_tried_again_later_each_time_and_then_becomes_a_dead_letter() {
    let backoff = Duration::from_millis(20);
    let tasks = Options::new().tries(3).backoff(backoff, Duration::from_secs(1)).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let id = submitter.submit(7).expect("room");
    let mut last = Instant::now();
    for (nth, least) in [(1, Duration::ZERO), (2, backoff / 2), (3, backoff)] {
        let lease = worker.take().expect("there");
        assert!(last.elapsed() >= least, "try {nth} after {:?}", last.elapsed());
        assert_eq!((lease.id(), lease.tries()), (id, nth));
        last = Instant::now();
        lease.fail(&format!("no luck {nth}")).expect("ours");
    }
    assert!(matches!(worker.take_timeout(Duration::from_millis(50)), Err(Error::Empty)));
    let letters = tasks.dead_letters();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.id, letter.tries, letter.failures), (id, 3, 3));
    assert!(matches!(letter.task, Ok(7)));
    assert_eq!((letter.reason.as_str(), letter.pid), ("no luck 3", process::id()));
    assert_eq!(tasks.report().dead_letters, 1);

    tasks.requeue(id).expect("dead");
    assert!(matches!(tasks.requeue(id), Err(Error::NoTask { .. })));
    let lease = worker.take().expect("there again");
    assert_eq!((lease.tries(), *lease.task()), (1, 7));
    lease.done().expect("ours");
    assert!(tasks.dead_letters().is_empty());
    has_its_whole_capacity(&tasks, 1000);
}

#[test]
fn purged_dead_letters_leave_their_room() {
    let tasks = Options::new().capacity(2).tries(1).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit_batch([1, 2]).expect("room");
    for _ in 0..2 {
        worker.take().expect("there").fail("never").expect("ours");
    }
    assert!(matches!(submitter.try_submit(3).map_err(Error::from), Err(Error::Full)), "dead letters count");
    for letter in tasks.dead_letters() {
        tasks.purge(letter.id).expect("dead");
        assert!(matches!(tasks.purge(letter.id), Err(Error::NoTask { .. })));
    }
    has_its_whole_capacity(&tasks, 2);
}

#[test]
fn a_dropped_lease_is_anothers_at_once_and_a_forgotten_one_when_its_worker_goes() {
    let tasks = Options::new().capacity(4).anonymous::<u64>().expect("made");
    let (submitter, other) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit_batch([1, 2]).expect("room");
    let worker = tasks.worker().expect("room");
    drop(worker.take().expect("there"));
    let lease = other.try_take().expect("at once, and ahead of the one that nobody has begun");
    assert_eq!((*lease.task(), lease.tries()), (1, 2));
    lease.done().expect("ours");
    std::mem::forget(worker.take().expect("there"));
    assert!(matches!(other.try_take(), Err(Error::Empty)));
    drop(worker);
    let lease = other.try_take().expect("given back");
    assert_eq!((*lease.task(), lease.tries()), (2, 2));
    lease.done().expect("ours");
    has_its_whole_capacity(&tasks, 4);
}

#[test]
fn a_task_that_panics_its_worker_is_given_back() {
    let tasks = Options::new().anonymous::<u64>().expect("made");
    tasks.submitter().expect("room").submit(1).expect("room");
    let panicked = thread::scope(|scope| {
        scope
            .spawn(|| {
                let worker = tasks.worker().expect("room");
                let _ = worker.run(|_| -> Result<(), String> { panic!("as a test") });
            })
            .join()
    });
    assert!(panicked.is_err());
    let worker = tasks.worker().expect("room");
    assert_eq!(worker.try_take().expect("given back").tries(), 2);
}

#[test]
fn delays_and_deadlines_are_kept() {
    let tasks = Options::new().capacity(8).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let start = Instant::now();
    submitter.task(1).delay(Duration::from_millis(60)).submit().expect("room");
    submitter.task(2).delay(Duration::from_millis(30)).submit().expect("room");
    assert_eq!(tasks.report().delayed, 2);
    assert!(matches!(worker.try_take(), Err(Error::Empty)));
    let lease = worker.take().expect("in a while");
    assert!(*lease.task() == 2 && start.elapsed() >= Duration::from_millis(30), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_millis(55), "{:?}", start.elapsed());
    lease.done().expect("ours");
    let lease = worker.take().expect("in a while");
    assert!(*lease.task() == 1 && start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
    lease.done().expect("ours");

    let late = submitter.task(3).deadline(Duration::from_millis(10)).submit().expect("room");
    submitter.task(4).deadline(Duration::from_secs(10)).submit().expect("room");
    thread::sleep(Duration::from_millis(15));
    let lease = worker.take().expect("the other");
    assert_eq!(*lease.task(), 4);
    lease.done().expect("ours");
    let letters = tasks.dead_letters();
    assert_eq!((letters.len(), letters[0].id, letters[0].tries), (1, late, 0));
    assert!(letters[0].reason.contains("deadline"), "{}", letters[0].reason);
    tasks.purge(late).expect("dead");
    has_its_whole_capacity(&tasks, 8);
}

#[test]
fn what_expires_while_nobody_works_is_a_dead_letter_and_can_be_purged_or_requeued() {
    let tasks = Options::new().capacity(4).anonymous::<u64>().expect("made");
    let submitter = tasks.submitter().expect("room");
    let ids: Vec<_> = (0..3)
        .map(|number| submitter.task(number).deadline(Duration::from_millis(5)).submit().expect("room"))
        .collect();
    thread::sleep(Duration::from_millis(10));
    // Any member that comes looks at what is due.
    let worker = tasks.worker().expect("room");
    assert_eq!(tasks.dead_letters().len(), 3);
    tasks.purge(ids[0]).expect("dead");
    tasks.requeue(ids[1]).expect("dead");
    let lease = worker.try_take().expect("requeued");
    assert_eq!(*lease.task(), 1);
    lease.done().expect("ours");
    assert!(matches!(worker.try_take(), Err(Error::Empty)));
    tasks.requeue(ids[2]).expect("dead");
    worker.try_take().expect("requeued").done().expect("ours");
    assert!(matches!(worker.try_take(), Err(Error::Empty)));
    has_its_whole_capacity(&tasks, 4);
    let report = tasks.report();
    assert_eq!((report.dead, report.dead_letters), (3, 0));
}

#[test]
fn a_deadline_does_not_end_a_lease() {
    let tasks = Options::new().anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.task(1).deadline(Duration::from_millis(10)).submit().expect("room");
    let lease = worker.take().expect("in time");
    thread::sleep(Duration::from_millis(20));
    drop(tasks.worker().expect("room"));
    lease.done().expect("it was taken in time");
}

#[test]
fn a_second_task_of_a_key_is_refused_while_the_first_waits() {
    let tasks = Options::new().capacity(100).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.task(1).key("rebuild").submit().expect("the first");
    let refused = submitter.task(2).key("rebuild").submit().expect_err("the second");
    assert!(matches!(&refused.error, Error::Duplicate { key } if key == "rebuild"), "{refused}");
    submitter.task(3).key("other").submit().expect("another");
    let lease = worker.take().expect("there");
    submitter.task(4).key("rebuild").submit().expect("the first is taken");
    lease.done().expect("ours");
    for wanted in [3, 4] {
        let lease = worker.take().expect("there");
        assert_eq!(*lease.task(), wanted);
        lease.done().expect("ours");
    }
    // Blocks are used again, for other keys and for none.
    for round in 0..50_u64 {
        for key in 0..20 {
            submitter.task(key).key(&format!("{}", (key + round) % 40)).submit().expect("none waits");
        }
        for key in 0..20 {
            let key = format!("{}", (key + round) % 40);
            assert!(submitter.task(0).key(&key).try_submit().is_err(), "{key} in round {round}");
        }
        submitter.submit(99).expect("room");
        for _ in 0..21 {
            worker.take().expect("there").done().expect("ours");
        }
    }
    for wrong in [0, 65] {
        let refused = submitter.task(1).key(&vec![0; wrong]).submit().expect_err("too short or too long");
        assert!(refused.to_string().contains(&format!("not {wrong}")), "{refused}");
    }
    has_its_whole_capacity(&tasks, 100);
}

#[test]
fn of_many_that_submit_one_key_at_once_one_succeeds() {
    for _ in 0..50 {
        let tasks = Options::new().capacity(20).anonymous::<u64>().expect("made");
        let won: usize = thread::scope(|scope| {
            let submit = |number| {
                let submitter = tasks.submitter().expect("room");
                move || submitter.task(number).key("k").submit().is_ok() as usize
            };
            let all: Vec<_> = (0..4).map(|number| scope.spawn(submit(number))).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).sum()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn results_reach_who_asked_for_them() {
    let tasks = Options::new().capacity(4).result_max(64).tries(1).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let mut ticket = submitter.task(20).request().expect("room");
    assert!(matches!(ticket.wait_timeout(Duration::from_millis(5)), Err(Error::Empty)));
    let lease = worker.take().expect("there");
    let answer = (lease.task() + 1).to_string();
    lease.done_with(answer.as_bytes()).expect("ours");
    assert_eq!(tasks.report().finished, 1);
    assert_eq!(ticket.wait().expect("done"), b"21");

    let ticket = submitter.task(1).request().expect("room");
    worker.take().expect("there").fail("can't").expect("ours");
    match ticket.wait() {
        Err(Error::Dead { reason }) => assert_eq!(reason, "can't"),
        other => panic!("{other:?}"),
    }
    for letter in tasks.dead_letters() {
        tasks.purge(letter.id).expect("dead");
    }
    // Nobody waits for these, before or after they are done.
    drop(submitter.task(1).request().expect("room"));
    let ticket = submitter.task(2).request().expect("room");
    for _ in 0..2 {
        worker.take().expect("there").done_with(b"in vain").expect("ours");
    }
    drop(ticket);
    let lease = {
        submitter.submit(1).expect("room");
        worker.take().expect("there")
    };
    let error = lease.done_with(&[0; 1000]).expect_err("too long");
    assert!(matches!(error, Error::TooLong { length: 1000, .. }), "{error}");
    for letter in tasks.dead_letters() {
        tasks.purge(letter.id).expect("dead");
    }
    has_its_whole_capacity(&tasks, 4);
    let plain = Options::new().anonymous::<u64>().expect("made");
    let refused = plain.submitter().expect("room").task(1).request().map(drop).expect_err("no results");
    assert!(refused.to_string().contains("result_max"), "{refused}");
}

#[test]
fn a_late_done_is_refused_and_never_applied_to_anothers_lease() {
    let tasks = Options::new().capacity(2).lease(Duration::from_millis(30)).anonymous::<u64>().expect("made");
    let (submitter, late) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let other = tasks.worker().expect("room");
    submitter.submit(1).expect("room");
    let lease = late.take().expect("there");
    let second = other.take().expect("once the first lease is over");
    assert_eq!((*second.task(), second.tries()), (1, 2));
    assert!(matches!(lease.extend(Duration::from_secs(1)), Err(Error::LeaseLost)));
    assert!(matches!(lease.done(), Err(Error::LeaseLost)));
    second.extend(Duration::from_secs(10)).expect("ours");
    thread::sleep(Duration::from_millis(50));
    drop(tasks.worker().expect("room"));
    second.done().expect("extended in time");
    assert_eq!(tasks.report().leases_lost, 1);
    has_its_whole_capacity(&tasks, 2);
}

#[test]
fn a_killed_worker_hands_its_task_over_within_ten_milliseconds_with_the_try_counted() {
    let name = Name::new();
    let tasks = Options::new().capacity(8).tries(2).create::<u64>(&name).expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let mut longest = Duration::ZERO;
    for round in 0..20 {
        submitter.submit(round).expect("room");
        let mut child = Child::start(&format!("take-and-wait {}", &*name));
        assert_eq!(child.hear(), format!("{round} 1"));
        let killed = Instant::now();
        child.kill();
        let lease = worker.take().expect("handed over");
        longest = longest.max(killed.elapsed());
        assert_eq!((*lease.task(), lease.tries()), (round, 2));
        lease.done().expect("ours");
    }
    assert!(longest < Duration::from_millis(100), "{longest:?}");
    println!("the longest of 20: {longest:?}");
    let report = inspect(&name).expect("there");
    assert_eq!((report.redelivered, report.deaths), (20, 20));
    has_its_whole_capacity(&tasks, 8);
}

#[test]
fn a_task_that_kills_its_workers_becomes_a_dead_letter_that_names_the_last() {
    let name = Name::new();
    let tasks = Options::new().capacity(2).tries(2).create::<u64>(&name).expect("made");
    tasks.submitter().expect("room").submit(1).expect("room");
    let mut pid = 0;
    for _ in 0..2 {
        let mut child = Child::start(&format!("take-and-die {}", &*name));
        pid = child.pid();
        child.wait();
    }
    let worker = tasks.worker().expect("room");
    assert!(matches!(worker.try_take(), Err(Error::Empty)));
    let letters = tasks.dead_letters();
    assert_eq!((letters.len(), letters[0].pid, letters[0].tries), (1, pid, 2));
    assert!(letters[0].reason.contains("died"), "{}", letters[0].reason);
}

#[test]
fn a_stopped_worker_keeps_its_task() {
    let name = Name::new();
    let tasks = Options::new().capacity(2).create::<u64>(&name).expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit(1).expect("room");
    let mut child = Child::start(&format!("take-and-wait {}", &*name));
    assert_eq!(child.hear(), "1 1");
    child.stop();
    assert!(matches!(worker.take_timeout(Duration::from_millis(100)), Err(Error::Empty)));
    child.resume();
    child.tell("done");
    assert_eq!(child.hear(), "Ok(())");
    child.tell("");
    child.finish();
    has_its_whole_capacity(&tasks, 2);
}

#[test]
fn what_a_killed_submitter_had_submitted_is_there() {
    let name = Name::new();
    let tasks = Options::new().capacity(8).result_max(8).create::<u64>(&name).expect("made");
    let worker = tasks.worker().expect("room");
    for round in 0..10 {
        Child::start(&format!("submit-and-die {} {round}", &*name)).wait();
        let lease = worker.take().expect("submitted");
        assert_eq!(*lease.task(), round);
        lease.done().expect("ours");
    }
    // Nobody collects their results.
    for _ in 0..10 {
        Child::start(&format!("request-and-die {}", &*name)).wait();
        worker.take().expect("submitted").done_with(b"result").expect("ours");
    }
    has_its_whole_capacity(&tasks, 8);
}

#[test]
fn killed_at_random_nothing_is_lost_or_leaked() {
    let name = Name::new();
    let tasks = Options::new().capacity(16).tries(255).create::<u64>(&name).expect("made");
    let mut done = BTreeMap::new();
    let worker = tasks.worker().expect("room");
    let started = Instant::now();
    let mut next = 0_u64;
    while started.elapsed() < Duration::from_secs(2) {
        let mut submitter = Child::start(&format!("submit {} {next} 100000000", &*name));
        let mut other = Child::start(&format!("work-by-hand {}", &*name));
        thread::sleep(Duration::from_micros(u64::from(process::id()) * 7 % 3000 + 2000));
        submitter.kill();
        other.kill();
        submitter.wait();
        other.wait();
        next += 1_000_000_000;
        let before = tasks.report();
        // What is left is whole.
        while let Ok(lease) = worker.take_timeout(Duration::from_millis(50)) {
            *done.entry(*lease.task()).or_insert(0) += 1;
            lease.done().expect("ours");
        }
        let after = tasks.report();
        assert_eq!(settled(&tasks), 0, "{before:?}\n{after:?}");
    }
    assert!(done.values().all(|times| *times == 1), "done twice");
    drop(worker);
    has_its_whole_capacity(&tasks, 16);
}

#[test]
fn the_first_signal_ends_a_worker_after_its_task_and_the_second_hands_the_task_over() {
    let name = Name::new();
    let tasks = Options::new().capacity(8).create::<u64>(&name).expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    for way in ENDS {
        submitter.submit_batch([1, 2]).expect("room");
        let mut child = Child::start(&format!("work-slowly {}", &*name));
        assert_eq!(child.hear(), "took 1");
        child.ask_to_end(way);
        assert_eq!(child.hear(), "left after 1");
        child.finish();
        let lease = worker.try_take().expect("the second is untouched");
        assert_eq!((*lease.task(), lease.tries()), (2, 1));
        lease.done().expect("ours");

        submitter.submit(3).expect("room");
        let mut child = Child::start(&format!("work-slowly {}", &*name));
        assert_eq!(child.hear(), "took 3");
        // `timeout` and its like signal the process, and then all of its group: that is one request.
        child.ask_to_end(way);
        child.ask_to_end(ENDS[0]);
        thread::sleep(Duration::from_millis(120));
        child.ask_to_end(way);
        // How long a process takes to end is the system's affair. An emulation of Windows calls that a good end.
        assert!(!child.wait().success() || cfg!(windows));
        let start = Instant::now();
        let lease = worker.take().expect("handed over");
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
        assert_eq!((*lease.task(), lease.tries()), (3, 2));
        lease.done().expect("ours");

        // One that waits for tasks leaves at once.
        submitter.submit(4).expect("room");
        let mut child = Child::start(&format!("work {}", &*name));
        assert_eq!(child.hear(), "took 4");
        thread::sleep(Duration::from_millis(30));
        child.ask_to_end(way);
        assert_eq!(child.hear(), "1");
        child.finish();
    }
}

#[test]
fn closed_it_takes_nothing_in_and_is_drained_also_of_what_is_tried_again() {
    let tasks =
        Options::new().backoff(Duration::from_millis(5), Duration::from_millis(5)).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit_batch([1, 2]).expect("room");
    tasks.close();
    assert!(matches!(submitter.submit(3).map_err(Error::from), Err(Error::Closed)));
    let mut tries = 0;
    let done = worker.run(|lease| {
        tries += 1;
        if lease.tries() < 3 { Err("again") } else { Ok(()) }
    });
    assert_eq!((done.expect("drained"), tries), (2, 6), "those that failed were not done");
    assert!(matches!(worker.try_take(), Err(Error::Closed)));
    let full = Options::new().capacity(1).anonymous::<u64>().expect("made");
    let submitter = full.submitter().expect("room");
    submitter.submit(1).expect("room");
    thread::scope(|scope| {
        let blocked = scope.spawn(move || submitter.submit(2).map_err(Error::from));
        thread::sleep(Duration::from_millis(20));
        full.close();
        assert!(matches!(blocked.join().expect("no panic"), Err(Error::Closed)));
    });
}

#[test]
fn it_grows_and_shrinks_while_it_is_used() {
    let name = Name::new();
    let tasks = Options::new().capacity(10).max_capacity(500).create::<u64>(&name).expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let mut submitters = Child::start(&format!("submit {} 0 200000", &*name));
    for round in 0..200_000_u64 {
        if round % 2000 == 0 {
            let wanted = [10, 500, 3, 77, 1][(round / 2000 % 5) as usize];
            let result = tasks.resize(wanted, Shrink::WaitFor(Duration::from_micros(300)));
            assert!(matches!(result, Ok(()) | Err(Error::Full)), "{result:?}");
            let report = tasks.report();
            let held = report.waiting.iter().sum::<usize>() + report.leased;
            assert!(held <= report.capacity, "{held} in {}", report.capacity);
        }
        let lease = worker.take().expect("submitted");
        assert_eq!(*lease.task(), round, "in order");
        lease.done().expect("ours");
    }
    assert!(submitters.wait().success());
    for capacity in [1, 500, 20] {
        tasks.resize(capacity, Shrink::Refuse).expect("empty");
        assert_eq!(tasks.capacity(), capacity);
        has_its_whole_capacity(&tasks, capacity);
    }
    submitter.submit_batch(0..15).expect("room");
    assert!(matches!(tasks.resize(14, Shrink::Refuse), Err(Error::Full)));
    assert_eq!(tasks.capacity(), 20);
    let mut child = Child::start(&format!("resize {} 14", &*name));
    assert_eq!(child.hear(), "resizing");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(tasks.capacity(), 20, "it waits");
    worker.take().expect("there").done().expect("ours");
    assert_eq!(child.hear(), "true");
    child.finish();
    assert_eq!(tasks.capacity(), 14);
    for _ in 0..14 {
        worker.take().expect("there").done().expect("ours");
    }
    has_its_whole_capacity(&tasks, 14);
    for wrong in [0, 501, usize::MAX] {
        assert!(matches!(tasks.resize(wrong, Shrink::Wait), Err(Error::Unfit { .. })));
    }
}

#[test]
fn a_killed_resize_leaves_a_capacity_that_is_there() {
    let name = Name::new();
    let tasks = Options::new().capacity(20).max_capacity(40).create::<u64>(&name).expect("made");
    let submitter = tasks.submitter().expect("room");
    submitter.submit_batch(0..15).expect("room");
    let mut child = Child::start(&format!("resize {} 10", &*name));
    assert_eq!(child.hear(), "resizing");
    eventually("it has taken what is free", || tasks.submitter().expect("room").task(1).try_submit().is_err());
    child.kill();
    child.wait();
    let worker = tasks.worker().expect("room");
    while let Ok(lease) = worker.try_take() {
        lease.done().expect("ours");
    }
    assert_eq!(tasks.capacity(), 20, "as it was");
    has_its_whole_capacity(&tasks, 20);
}

#[test]
fn what_others_read_is_what_was_done() {
    let name = Name::new();
    let tasks = Options::new().capacity(50).tries(1).create::<u64>(&name).expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    for level in 0..LEVELS {
        for number in 0..=level as u64 {
            submitter.task(number).priority(level).submit().expect("room");
        }
    }
    submitter.task(0).delay(Duration::from_secs(100)).submit().expect("room");
    let lease = worker.take().expect("there");
    worker.take().expect("there").fail("no").expect("ours");
    worker.take().expect("there").done().expect("ours");
    thread::sleep(Duration::from_millis(5));
    let report = inspect(&name).expect("there");
    assert_eq!(report.waiting, [1, 2, 3, 4, 5, 6, 7, 5]);
    assert_eq!((report.delayed, report.leased, report.dead_letters), (1, 1, 1));
    assert_eq!((report.submitted, report.taken, report.done, report.failed), (37, 3, 1, 1));
    assert!(report.oldest.is_some_and(|oldest| oldest >= Duration::from_millis(5)));
    assert_eq!(report.workers.len(), 1);
    assert_eq!(report.workers[0].pid, process::id());
    assert_eq!(report.workers[0].leases[0].id, lease.id());
    assert!(report.workers[0].leases[0].since >= Duration::from_millis(5));
    assert_eq!(report.submitters, [(process::id(), true)]);
    lease.done().expect("ours");
    // What comes slowly is timed, each one.
    while let Ok(lease) = worker.try_take() {
        lease.done().expect("ours");
    }
    let timed = tasks.report().working_times.count();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(12));
        submitter.task(1).priority(7).submit().expect("room");
        let lease = worker.take().expect("there");
        thread::sleep(Duration::from_millis(2));
        lease.done().expect("ours");
    }
    drop((submitter, worker));
    let report = tasks.report();
    assert_eq!((report.done, report.working_times.count()), (38, timed + 3), "also when they have left");
    assert!(report.working_times.quantile(1.0).is_some_and(|longest| longest >= Duration::from_millis(2)));
}

#[test]
fn each_wrong_setting_has_its_error() {
    let error = |options: Options| match options.anonymous::<u64>() {
        Err(Error::Unfit { why }) => why,
        other => panic!("{other:?}"),
    };
    assert!(error(Options::new().capacity(0)).contains("capacity 0"));
    assert!(error(Options::new().capacity(11).max_capacity(10)).contains("11"));
    assert!(error(Options::new().capacity(1 << 28)).contains("fewer"));
    assert!(error(Options::new().members(0)).contains("members"));
    assert!(error(Options::new().tries(0)).contains("0 times"));
    assert!(error(Options::new().weights([1, 1, 1, 0, 1, 1, 1, 1])).contains("weight 0"));
    assert!(error(Options::new().result_max(usize::MAX)).contains("address"));
    let tasks = Options::new().members(2).anonymous::<u64>().expect("made");
    let submitter = tasks.submitter().expect("room");
    let refused = submitter.task(1).priority(8).submit().expect_err("no such priority");
    assert!(refused.to_string().contains("priority 8"), "{refused}");
    let _worker = tasks.worker().expect("room");
    assert!(matches!(tasks.worker(), Err(Error::TooManyMembers { max: 2, .. })));

    let name = Name::new();
    let _queue = handover::Options::new(1).create::<u64>(&name).expect("made");
    assert!(matches!(Tasks::<u64>::open(&name), Err(Error::Kind { found: "queue", wanted: "task queue", .. })));
    let name = Name::new();
    let _tasks = Options::new().create::<u64>(&name).expect("made");
    assert!(matches!(Tasks::<[u64; 2]>::open(&name), Err(Error::MessageType { .. })));
    assert!(matches!(Options::new().create::<u64>(&name), Err(Error::AlreadyExists { .. })));
    Options::new().open_or_create::<u64>(&name).expect("the same type");
}

#[test]
fn bytes_and_serde_types_are_tasks_too() {
    let tasks = Options::new().message_max(10).anonymous::<[u8]>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit(b"hello").expect("room");
    assert!(matches!(
        submitter.submit(b"much too long").map_err(Error::from),
        Err(Error::TooLong { length: 13, max: 10 })
    ));
    assert_eq!(worker.take().expect("there").task(), b"hello");
    #[cfg(feature = "serde")]
    {
        let tasks = Options::new().anonymous::<handover::Postcard<Vec<String>>>().expect("made");
        tasks.submitter().expect("room").submit(&vec!["a".into(), "b".into()]).expect("room");
        assert_eq!(tasks.worker().expect("room").take().expect("there").task(), &["a", "b"]);
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn whoever_is_killed_the_others_go_on() {
    for mode in ["plain", "keyed"] {
        let name = Name::new();
        let tasks = Options::new().capacity(4).tries(255).create::<u64>(&name).expect("made");
        let start = |nth: usize| {
            let task = if nth.is_multiple_of(2) { "submit-for-ever" } else { "work-by-hand" };
            Child::start(&format!("{task} {} {mode}", &*name))
        };
        let mut children: Vec<Child> = (0..4).map(start).collect();
        let begun = Instant::now();
        let mut random = u64::from(process::id());
        let mut kills = 0;
        while begun.elapsed() < Duration::from_millis(1500) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            thread::sleep(Duration::from_micros(1000 + (random >> 33) % 5000));
            let victim = (random >> 50) as usize % 4;
            children[victim].kill();
            children[victim].wait();
            kills += 1;
            let before = tasks.report().done;
            children[victim] = start(victim);
            eventually(&format!("tasks are done after {kills} kills, {mode}"), || tasks.report().done > before);
        }
        drop(children);
        let worker = tasks.worker().expect("room");
        while let Ok(lease) = worker.take_timeout(50 * MS) {
            lease.done().expect("ours");
        }
        drop(worker);
        has_its_whole_capacity(&tasks, 4);
    }
}

#[test]
fn a_requeued_letter_has_all_its_tries_and_no_deadline_and_nobody_ends_its_lease() {
    for buried in [false, true] {
        let tasks = Options::new().tries(3).backoff(Duration::ZERO, Duration::ZERO).anonymous::<u64>().expect("made");
        let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
        let id = submitter.task(1).deadline(30 * MS).submit().expect("room");
        for _ in 0..2 {
            worker.take().expect("in time").fail("not yet").expect("ours");
        }
        thread::sleep(35 * MS);
        drop(tasks.submitter().expect("room"));
        assert_eq!(tasks.dead_letters()[0].tries, 2);
        if buried {
            assert!(worker.try_take().is_err(), "its hint comes out of the ring");
        }
        assert_eq!(tasks.requeue_all().expect("whole"), 1);
        let lease = worker.try_take().expect("requeued");
        assert_eq!((lease.id(), lease.tries()), (id, 1));
        // Others look at what is due.
        submitter.task(2).delay(MS).submit().expect("room");
        thread::sleep(5 * MS);
        drop(tasks.submitter().expect("room"));
        lease.done().expect("ours");
    }
}

#[test]
fn a_ticket_is_told_of_a_task_that_was_thrown_away_and_a_forgotten_one_takes_no_room() {
    let tasks = Options::new().capacity(2).result_max(8).tries(1).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let ticket = submitter.task(1).request().expect("room");
    worker.take().expect("there").fail("no").expect("ours");
    tasks.purge(ticket.id()).expect("dead");
    assert!(matches!(ticket.wait(), Err(Error::NoTask { .. })));
    std::mem::forget(submitter.task(1).try_request().expect("room"));
    worker.take().expect("there").done().expect("ours");
    drop((submitter, worker));
    has_its_whole_capacity(&tasks, 2);
}

#[test]
fn what_waits_can_be_cancelled() {
    let tasks = Options::new().capacity(3).result_max(8).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let waiting = submitter.task(1).key("k").request().expect("room");
    let delayed = submitter.task(2).delay(Duration::from_secs(100)).submit().expect("room");
    let third = submitter.submit(3).expect("room");
    let id = waiting.id();
    tasks.cancel(delayed).expect("it is delayed");
    thread::scope(|scope| {
        // Told at once, and what it was.
        let cancelling = scope.spawn(|| {
            thread::sleep(50 * MS);
            tasks.cancel(id).expect("it waits");
            Instant::now()
        });
        let told = waiting.wait();
        let late = Instant::now().saturating_duration_since(cancelling.join().expect("no panic"));
        assert!(matches!(told, Err(Error::NoTask { .. })), "{told:?}");
        assert!(late < 300 * MS, "told {late:?} later");
    });
    assert!(matches!(tasks.cancel(id), Err(Error::NoTask { .. })));
    submitter.task(4).key("k").submit().expect("none of that key waits");
    let lease = worker.try_take().expect("the third");
    assert_eq!(lease.id(), third);
    assert!(matches!(tasks.cancel(third), Err(Error::NoTask { .. })), "it is worked on");
    lease.done().expect("ours");
    assert_eq!(*worker.try_take().expect("the fourth").task(), 4);
    drop(worker);
    let worker = tasks.worker().expect("room");
    worker.take().expect("given back").done().expect("ours");
    has_its_whole_capacity(&tasks, 3);
}

#[test]
fn one_that_runs_looks_at_what_is_due_while_there_is_work() {
    let tasks = Options::new().capacity(400).anonymous::<u64>().expect("made");
    let submitter = tasks.submitter().expect("room");
    submitter.task(1000).priority(7).delay(20 * MS).submit().expect("room");
    submitter.submit_batch(0..300).expect("room");
    tasks.close();
    let begun = Instant::now();
    let mut when = None;
    let run = tasks.worker().expect("room").run(|lease| {
        if *lease.task() == 1000 {
            when = Some(begun.elapsed());
        }
        thread::sleep(MS);
        Ok::<(), String>(())
    });
    assert_eq!(run.expect("drained"), 301);
    assert!(when.is_some_and(|when| when < 150 * MS), "due after 20 ms, taken after {when:?}");
}

#[test]
fn the_end_of_a_closed_queue_is_told_when_the_last_task_is_done() {
    let tasks = Options::new().anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit(1).expect("room");
    let lease = worker.take().expect("there");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let worker = tasks.worker().expect("room");
            assert!(matches!(worker.take(), Err(Error::Closed)));
            Instant::now()
        });
        thread::sleep(20 * MS);
        tasks.close();
        thread::sleep(20 * MS);
        let done = Instant::now();
        lease.done().expect("ours");
        let late = waiting.join().expect("no panic").saturating_duration_since(done);
        assert!(late < 200 * MS, "told {late:?} later");
    });
}

#[test]
fn one_that_sleeps_since_before_a_lease_began_is_given_its_task_when_it_is_over() {
    let tasks = Options::new().lease(30 * MS).anonymous::<u64>().expect("made");
    let submitter = tasks.submitter().expect("room");
    thread::scope(|scope| {
        let work = || {
            let worker = tasks.worker().expect("room");
            let lease = worker.take().expect("there");
            let when = (lease.tries(), Instant::now());
            if lease.tries() == 1 {
                thread::sleep(600 * MS);
                assert!(matches!(lease.done(), Err(Error::LeaseLost)));
            } else {
                lease.done().expect("in time");
            }
            when
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        thread::sleep(50 * MS);
        submitter.submit(1).expect("room");
        let mut taken = workers.map(|worker| worker.join().expect("no panic"));
        taken.sort();
        assert_eq!((taken[0].0, taken[1].0), (1, 2));
        let late = taken[1].1 - taken[0].1;
        assert!(late < 300 * MS, "a lease of 30 ms was over after {late:?}");
    });
}

#[test]
fn absurd_times_are_taken_for_what_they_are() {
    let tasks = Options::new().backoff(Duration::MAX, Duration::MAX).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    for number in 0..10 {
        let draft = submitter.task(number).delay(Duration::ZERO).deadline(Duration::MAX);
        draft.submit().expect("room");
        worker.take().expect("there").fail("no").expect("ours");
    }
    submitter.task(1).delay(Duration::MAX).submit().expect("room");
    thread::sleep(5 * MS);
    assert!(matches!(worker.try_take(), Err(Error::Empty)));
    assert_eq!(tasks.report().delayed, 11);
    // A deadline does not wait for a delay.
    submitter.task(2).delay(Duration::from_secs(5)).deadline(5 * MS).submit().expect("room");
    thread::sleep(10 * MS);
    drop(tasks.worker().expect("room"));
    assert_eq!(tasks.report().dead_letters, 1);
}

#[test]
fn a_second_resize_waits_no_longer_than_it_may() {
    let tasks = Options::new().capacity(4).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit_batch(0..4).expect("room");
    thread::scope(|scope| {
        let first = scope.spawn(|| tasks.resize(2, Shrink::Wait));
        thread::sleep(30 * MS);
        let begun = Instant::now();
        assert!(matches!(tasks.resize(3, Shrink::WaitFor(20 * MS)), Err(Error::Full)));
        assert!(matches!(tasks.resize(3, Shrink::Refuse), Err(Error::Full)));
        assert!(begun.elapsed() < 2000 * MS);
        for _ in 0..2 {
            worker.take().expect("there").done().expect("ours");
        }
        first.join().expect("no panic").expect("there was room");
    });
    assert_eq!(tasks.capacity(), 2);
}

#[test]
fn administrators_are_let_in_when_all_places_are_taken() {
    let tasks = Options::new().members(2).tries(1).anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    let id = submitter.submit(1).expect("room");
    worker.take().expect("there").fail("no").expect("ours");
    tasks.purge(id).expect("dead");
    tasks.resize(500, Shrink::Refuse).expect("empty");
}

#[test]
fn a_key_whose_task_is_tried_again_keeps_others_out_however_many_came_between() {
    for others in [0, 200] {
        let tasks =
            Options::new().capacity(60).backoff(Duration::ZERO, Duration::ZERO).anonymous::<u64>().expect("made");
        let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
        submitter.task(1).priority(7).key("k").submit().expect("the first");
        let lease = worker.take().expect("there");
        for other in 0..others {
            submitter.task(2).key(&format!("other {other}")).submit().expect("the first of its key");
            worker.take().expect("there").done().expect("ours");
        }
        lease.fail("again").expect("ours");
        assert!(submitter.task(3).key("k").submit().is_err(), "after {others} others");
    }
}

#[test]
#[cfg(unix)] // nothing forks elsewhere
fn a_forked_child_takes_nothing_in_its_parents_name() {
    let tasks = Options::new().anonymous::<u64>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit(1).expect("room");
    // SAFETY: the child makes a few calls that allocate nothing, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = matches!(worker.run(|_| Ok::<(), String>(())), Err(Error::Forked))
            && matches!(worker.try_take(), Err(Error::Forked))
            && matches!(submitter.try_submit(2).map_err(Error::from), Err(Error::Forked));
        // SAFETY: ends the child.
        unsafe { libc::_exit(if refused { 7 } else { 8 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(libc::WEXITSTATUS(status), 7);
    worker.try_take().expect("it is still there").done().expect("ours");
}

/// What can be encoded, and comes to something else when it is decoded.
#[cfg(feature = "serde")]
#[derive(Debug, serde::Serialize)]
struct Picky(u8);

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Picky {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Picky, D::Error> {
        match u8::deserialize(from)? {
            0 => Err(serde::de::Error::custom("no zeroes")),
            1 => panic!("as a test"),
            other => Ok(Picky(other)),
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_task_that_can_not_be_decoded_is_given_back_and_becomes_a_dead_letter_that_can_be_listed() {
    let tasks = Options::new().capacity(3).tries(2).anonymous::<handover::Postcard<Picky>>().expect("made");
    let (submitter, worker) = (tasks.submitter().expect("room"), tasks.worker().expect("room"));
    submitter.submit(&Picky(0)).expect("room");
    submitter.submit(&Picky(7)).expect("room");
    for _ in 0..2 {
        assert!(matches!(worker.try_take(), Err(Error::Message { .. })));
    }
    let lease = worker.try_take().expect("the other");
    assert_eq!(lease.task().0, 7);
    lease.fail("a reason").expect("ours");
    let letters = tasks.dead_letters();
    assert_eq!(letters.len(), 1);
    assert!(matches!(letters[0].task, Err(Error::Message { .. })), "{letters:?}");
    tasks.purge(letters[0].id).expect("dead");

    // One that panics goes to another worker at once, though the first one lives on.
    submitter.submit(&Picky(1)).expect("room");
    let other = tasks.worker().expect("room");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.try_take().map(drop)));
    assert!(panicked.is_err());
    assert_eq!((tasks.report().leased, tasks.report().waiting[3]), (0, 1));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.try_take().map(drop)));
    assert!(panicked.is_err());
    assert_eq!(tasks.report().leased, 0);
}

#[test]
fn each_worker_tells_what_was_done_under_its_number() {
    let tasks = Options::new().anonymous::<u64>().unwrap();
    let (submitter, workers) = (tasks.submitter().unwrap(), [tasks.worker().unwrap(), tasks.worker().unwrap()]);
    submitter.submit_batch(0..10).unwrap();
    for (worker, count) in workers.iter().zip([2, 5]) {
        for _ in 0..count {
            worker.take().unwrap().done().unwrap();
        }
    }
    workers[1].take().unwrap().fail("no").unwrap();
    let told: Vec<_> = tasks.report().workers.iter().map(|told| (told.taken, told.done, told.failed)).collect();
    assert_eq!(told, [(2, 2, 0), (6, 5, 1)]);
}
