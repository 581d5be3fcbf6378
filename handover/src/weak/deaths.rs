//! The ring of many, when members die: before each of their steps, one run of the model for each.
//!
//! A death is a thread that ends. That it is dead is known from a word that it leaves as its last, as a kernel does that
//! gives up a dead process's lock; whoever asks learns it with no ordering of its own, so that the ring has to see to
//! that itself.

use std::sync::Mutex;

use loom::thread;

use super::*;
use crate::sync::death;
use std::sync::atomic::Ordering::{Relaxed, Release};

const DOOMED: Owner = Owner(1);

/// What a life has done for certain when it ended.
#[derive(Default)]
struct Deeds {
    /// Tried to push, in one claim each; delivered whole or not at all.
    begun: Vec<Vec<u64>>,
    /// Of those, the ones that returned well.
    pushed: Vec<u64>,
    /// Popped, and returned.
    popped: Vec<u64>,
}

struct Scene {
    stage: Arc<Stage>,
    dead: AtomicU64,
    deeds: Mutex<Deeds>,
}

impl Scene {
    fn is_dead(&self) -> impl FnMut(Owner) -> bool + '_ {
        // Relaxed: the ring is told that somebody is dead, and nothing else.
        |owner| owner == DOOMED && self.dead.load(Relaxed) == 1
    }

    /// Held up at the head (or the tail): settles what is in the way, as a blocked member does.
    fn settle(&self, push: bool) {
        let is_dead = &mut self.is_dead();
        let settled = if push { self.stage.ring.settle_tail(is_dead) } else { self.stage.ring.settle_head(is_dead) };
        settled.unwrap();
    }

    /// What a member does that finds the entry of a dead one.
    fn reap(&self) {
        if self.is_dead()(DOOMED) {
            self.stage.ring.settle_all(DOOMED, &mut self.is_dead()).unwrap();
            self.stage.ring.raise_orphans_notice();
        }
    }

    fn try_pop(&self, reader: &mut Reader) -> Option<u64> {
        match reader.try_pop(&self.stage) {
            Ok((value, _)) => Some(value),
            Err(Refusal::Held) => {
                self.settle(false);
                None
            }
            Err(Refusal::Nothing | Refusal::Draining) => None,
            Err(fault) => panic!("{fault:?}"),
        }
    }

    fn try_push(&self, me: u16, value: u64) -> bool {
        match self.stage.try_push(me, value) {
            Ok(()) => true,
            Err(Refusal::Held) => {
                self.settle(true);
                false
            }
            Err(Refusal::Nothing) => false,
            Err(fault) => panic!("{fault:?}"),
        }
    }
}

/// What the doomed one does, noting what it has done for certain.
type Life = fn(&Stage, &Mutex<Deeds>);

/// A life that ends before each of its steps, while a second member pops and a third pushes, both settling what is in their
/// way; then somebody reaps what nobody came across. What was committed is there once, what was not is there whole or
/// not at all, and the ring has all of its room.
fn at_every_step(interruptions: usize, capacity: u32, before: &'static [u64], life: Life) {
    // Until nobody has come so far, in any order.
    for step in 0.. {
        let deaths = Arc::new(Count::new(0));
        let outcome = Arc::clone(&deaths);
        explore(Some(interruptions), move || {
            let stage = Stage::new(capacity, true);
            assert_eq!(stage.try_push_batch(9, before).unwrap_or(0), before.len());
            let scene = Arc::new(Scene { stage, dead: AtomicU64::new(0), deeds: Mutex::default() });
            let theirs = Arc::clone(&scene);
            let outcome = Arc::clone(&outcome);
            let doomed = thread::spawn(move || {
                if death::before_step(step, || life(&theirs.stage, &theirs.deeds)).is_none() {
                    outcome.store(1, Relaxed);
                }
                theirs.dead.store(1, Release);
            });
            let theirs = Arc::clone(&scene);
            let second = thread::spawn(move || {
                let mut reader = Reader::new(&theirs.stage, 2);
                let found: Vec<u64> = (0..2).filter_map(|_| theirs.try_pop(&mut reader)).collect();
                (reader, found)
            });
            // The third is this thread.
            let mut pushed = Vec::new();
            for value in [100, 101] {
                if scene.try_push(3, value) {
                    pushed.push(value);
                    break;
                }
            }
            scene.reap();
            let (mut reader, mut found) = second.join().unwrap();
            doomed.join().unwrap();
            scene.reap();
            found.extend(scene.stage.drain(&mut reader));
            let deeds = scene.deeds.lock().unwrap();
            let mut expected = before.to_vec();
            expected.extend(pushed);
            expected.extend(&deeds.pushed);
            for claim in &deeds.begun {
                let there = claim.iter().filter(|value| found.contains(value)).count();
                assert!(there == 0 || there == claim.len(), "a claim was delivered in part: {claim:?} {found:?}");
                if there != 0 && !deeds.pushed.contains(&claim[0]) {
                    expected.extend(claim);
                }
            }
            // What it had popped for certain never comes again; what it was about to, once or not at all.
            expected.retain(|value| !deeds.popped.contains(value));
            let taken = |value: &u64| before.contains(value) && !found.contains(value);
            if deeds.popped.is_empty() && before.iter().all(taken) && !before.is_empty() && takes(life) {
                expected.retain(|value| !before.contains(value));
            }
            same(found, &expected);
            scene.stage.is_whole(&mut reader, u64::from(capacity));
        });
        if deaths.load(Relaxed) == 0 {
            println!("died\t{step}");
            return;
        }
    }
}

/// Whether a life may take what it never said that it had: killed in a pop that it did not return from.
fn takes(life: Life) -> bool {
    std::ptr::fn_addr_eq(life, pops as Life) || std::ptr::fn_addr_eq(life, pops_a_batch as Life)
}

fn pushes(stage: &Stage, deeds: &Mutex<Deeds>) {
    deeds.lock().unwrap().begun.push(vec![1]);
    let run = stage.ring.claim_push(DOOMED, 1);
    if let Ok(run) = run {
        write(stage.ring.message(&run, 0), 1);
        stage.ring.publish(&run, 1);
        deeds.lock().unwrap().pushed.push(1);
    }
}

fn pushes_a_batch(stage: &Stage, deeds: &Mutex<Deeds>) {
    if let Ok(run) = stage.ring.claim_push(DOOMED, 2) {
        let values: Vec<u64> = (1..=u64::from(run.count)).collect();
        deeds.lock().unwrap().begun.push(values.clone());
        for (nth, value) in (0..run.count).zip(&values) {
            write(stage.ring.message(&run, nth), *value);
        }
        stage.ring.publish(&run, run.count);
        deeds.lock().unwrap().pushed.extend(values);
    }
}

/// A loan, sent or given up.
fn lends(stage: &Stage, deeds: &Mutex<Deeds>) {
    if let Ok(run) = stage.ring.claim_push(DOOMED, 1) {
        stage.ring.record_push(DOOMED, &run);
        write(stage.ring.message(&run, 0), 1);
        stage.ring.publish(&run, 0);
    }
    pushes(stage, deeds);
}

fn pops(stage: &Stage, deeds: &Mutex<Deeds>) {
    if let Ok(run) = stage.ring.claim_pop(DOOMED, 1) {
        let value = read(stage.ring.message(&run, 0));
        stage.ring.release(DOOMED, &run);
        deeds.lock().unwrap().popped.push(value);
    }
}

fn pops_a_batch(stage: &Stage, deeds: &Mutex<Deeds>) {
    if let Ok(run) = stage.ring.claim_pop(DOOMED, 2) {
        let values: Vec<u64> = (0..run.count).map(|nth| read(stage.ring.message(&run, nth))).collect();
        stage.ring.release(DOOMED, &run);
        deeds.lock().unwrap().popped.extend(values);
    }
}

/// Receives in place, and hands back.
fn hands_back(stage: &Stage, _: &Mutex<Deeds>) {
    if let Ok(run) = stage.ring.claim_pop(DOOMED, 1) {
        stage.ring.record_pop(DOOMED, &run);
        read(stage.ring.message(&run, 0));
        stage.ring.hand_back(&run, 0);
    }
}

#[test]
fn a_push_that_is_died_in() {
    at_every_step(2, 2, &[], pushes);
}

#[test]
fn a_push_to_the_only_slot_that_is_died_in() {
    at_every_step(2, 1, &[], pushes);
}

#[test]
fn a_batch_that_is_died_in() {
    at_every_step(1, 2, &[], pushes_a_batch);
}

#[test]
fn a_loan_that_is_died_in() {
    at_every_step(1, 2, &[], lends);
}

#[test]
fn a_pop_that_is_died_in() {
    at_every_step(2, 1, &[10], pops);
}

#[test]
fn a_batch_of_pops_that_is_died_in() {
    at_every_step(2, 2, &[10, 11], pops_a_batch);
}

#[test]
fn a_receipt_that_is_died_in() {
    at_every_step(2, 1, &[10], hands_back);
}
