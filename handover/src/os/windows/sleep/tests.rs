use std::sync::atomic::Ordering;

use super::*;
use crate::os::{self, Wishes};

/// Two words of a segment, the first a gate's, which nobody else knows.
fn with_words(test: impl Fn(&AtomicU32, &AtomicU32)) {
    let wishes = Wishes { mode: 0o600, numa_node: None, huge_pages: false };
    let (_kept, mapping) = os::create(None, 4096, &wishes).unwrap();
    let start = mapping.base().as_ptr().cast::<u32>();
    // SAFETY: mapped as long as the test runs, and used as atomics only.
    unsafe { test(AtomicU32::from_ptr(start), AtomicU32::from_ptr(start.add(1))) };
}

/// In a segment and outside of any.
fn everywhere(test: impl Fn(&AtomicU32, &AtomicU32)) {
    with_words(&test);
    test(&AtomicU32::new(0), &AtomicU32::new(0));
}

#[test]
fn a_sleeper_is_woken() {
    everywhere(|word, asleep| {
        for shared in [false, true] {
            word.store(0, SeqCst);
            thread::scope(|scope| {
                let sleeper = scope.spawn(|| {
                    let mut result = Waited::Woken;
                    while word.load(SeqCst) == 0 {
                        result = wait(word, asleep, 0, Some(Duration::from_secs(20)), shared);
                    }
                    result
                });
                thread::sleep(Duration::from_millis(20));
                word.store(1, Ordering::SeqCst);
                wake(word, asleep, u32::MAX, shared);
                assert_eq!(sleeper.join().unwrap(), Waited::Woken);
            });
        }
    });
}

#[test]
fn a_sleep_ends_after_its_time() {
    everywhere(|word, asleep| {
        let start = Instant::now();
        while wait(word, asleep, 0, Some(Duration::from_millis(10)), true) != Waited::TimedOut {}
        assert!(start.elapsed() >= Duration::from_millis(10));
        assert_eq!(asleep.load(SeqCst), 0);
    });
}

#[test]
fn a_word_that_changed_is_not_slept_on() {
    everywhere(|word, asleep| {
        assert_eq!(wait(word, asleep, 8, None, false), Waited::Woken);
        assert_eq!(wait(word, asleep, 8, Some(Duration::MAX), true), Waited::Woken);
        assert_eq!(asleep.load(SeqCst), 0);
    });
}

#[test]
fn all_who_sleep_are_woken_at_once_and_nothing_is_left_over() {
    with_words(|word, asleep| {
        for round in 0..20 {
            thread::scope(|scope| {
                for _ in 0..5 {
                    scope.spawn(|| wait(word, asleep, round, Some(Duration::from_secs(20)), true));
                }
                while asleep.load(SeqCst) < 5 {
                    thread::yield_now();
                }
                let start = Instant::now();
                word.store(round + 1, SeqCst);
                wake(word, asleep, u32::MAX, true);
                scope.spawn(move || assert!(start.elapsed() < Duration::from_secs(10)));
            });
            assert_eq!(asleep.load(SeqCst), 0);
        }
        assert_eq!(wait(word, asleep, 20, Some(Duration::from_millis(5)), true), Waited::TimedOut);
    });
}

#[test]
fn one_that_was_killed_asleep_costs_one_wake_up_and_no_more() {
    with_words(|word, asleep| {
        // As it would have left it.
        asleep.store(1, SeqCst);
        word.store(1, SeqCst);
        wake(word, asleep, u32::MAX, true);
        assert_eq!(asleep.load(SeqCst), 0);
        let start = Instant::now();
        assert_eq!(wait(word, asleep, 1, Some(Duration::from_millis(30)), true), Waited::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(30), "let through by what was left, and asleep again");
    });
}

#[test]
fn one_of_two_is_woken_and_then_the_other() {
    with_words(|word, asleep| {
        thread::scope(|scope| {
            let sleepers = [(); 2].map(|()| scope.spawn(|| wait(word, asleep, 0, Some(Duration::from_secs(20)), true)));
            while asleep.load(SeqCst) < 2 {
                thread::yield_now();
            }
            for left in [1, 0] {
                word.fetch_add(1, SeqCst);
                wake(word, asleep, 1, true);
                assert_eq!(asleep.load(SeqCst), left);
            }
            for sleeper in sleepers {
                assert_eq!(sleeper.join().unwrap(), Waited::Woken);
            }
        });
    });
}

#[test]
fn a_scribbled_count_lets_through_no_more_than_there_can_be() {
    with_words(|word, asleep| {
        for _ in 0..3 {
            asleep.store(u32::MAX, SeqCst);
            wake(word, asleep, u32::MAX, true);
        }
        let start = Instant::now();
        while wait(word, asleep, 0, Some(Duration::from_millis(5)), true) != Waited::TimedOut {}
        assert!(start.elapsed() < Duration::from_secs(10));
    });
}
