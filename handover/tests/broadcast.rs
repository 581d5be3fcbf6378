//! The broadcast: every reader sees every message, or is told how many it missed.

mod common;

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use common::{Bytes, Child, Name, die, eventually, heard, say, task};
use handover::broadcast::{Broadcast, Numbered, Options, Patience, Start, Watcher, inspect};
use handover::{Error, Queue, Wait};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A message that shows whether it is whole.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Wide([u64; 6]);

impl Wide {
    fn of(number: u64) -> Wide {
        Wide([number; 6])
    }

    fn number(self) -> u64 {
        assert!(self.0.iter().all(|word| *word == self.0[0]), "torn: {self:?}");
        self.0[0]
    }
}

#[test]
fn child() {
    let Some((task, words)) = task() else { return };
    let broadcast = Broadcast::<Wide>::open(&words[0]).expect("the parent made it");
    match task.as_str() {
        "write" => {
            let mut writer = broadcast.writer().expect("no other");
            for number in 0..words[1].parse().expect("a number") {
                writer.publish(Wide::of(number)).expect("open");
            }
            say("written");
            heard();
        }
        "die-in-a-loan" => {
            let mut writer = broadcast.writer().expect("no other");
            writer.publish(Wide::of(0)).expect("open");
            let mut loan = writer.loan().expect("room");
            loan.view().set(0, &Wide([9, 9, 9, 0, 0, 0]));
            die();
        }
        "read-all" => {
            let mut reader = broadcast.reader(Start::Oldest).expect("room for one");
            say("ready");
            let (mut read, mut missed) = (0, 0);
            loop {
                match reader.next() {
                    Ok(next) => {
                        assert_eq!(next.message.number(), next.number);
                        assert_eq!(next.number, read + missed);
                        read += 1;
                    }
                    Err(Error::Missed { count }) => missed += count,
                    Err(Error::Closed) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            say(&format!("{read} {missed}"));
        }
        "gate" => {
            let mut reader = broadcast.gating_reader(Start::Oldest).expect("room for one");
            reader.next().expect("the first");
            say("holding");
            heard();
        }
        "lead" => {
            let mut reader = broadcast.reader(Start::Oldest).expect("room for one");
            say("leading");
            for _ in 0..words[1].parse().expect("a number") {
                reader.next().expect("a message");
            }
            say("read");
            heard();
        }
        other => panic!("no such task: {other}"),
    }
}

fn made(options: &Options) -> (Name, Broadcast<Wide>) {
    let name = Name::new();
    let broadcast = options.create(&name).expect("a new name");
    (name, broadcast)
}

#[test]
fn every_reader_that_keeps_up_sees_every_message_in_order() {
    for capacity in [1, 2, 3, 7, 64, 1000] {
        for wait in [Wait::Spin, Wait::Balanced, Wait::Park] {
            let broadcast = Options::new(capacity).anonymous::<Wide>().expect("memory");
            let each = if capacity < 10 { 300 } else { 3000 };
            let mut writer = broadcast.writer().expect("the first");
            writer.set_wait(wait);
            thread::scope(|scope| {
                for _ in 0..3 {
                    let mut reader = broadcast.gating_reader(Start::Oldest).expect("room for one");
                    reader.set_wait(wait);
                    scope.spawn(move || {
                        for number in 0..each {
                            let next = reader.next().expect("a gating reader misses nothing");
                            assert_eq!((next.number, next.message.number()), (number, number));
                        }
                        assert!(matches!(reader.next(), Err(Error::Closed)));
                        assert!(matches!(reader.try_next(), Err(Error::Closed)));
                    });
                }
                (0..each).for_each(|number| assert_eq!(writer.publish(Wide::of(number)).expect("open"), number));
                writer.close();
            });
        }
    }
}

#[test]
fn a_reader_that_is_overtaken_is_told_exactly_and_nothing_is_torn_or_doubled() {
    for capacity in [1, 2, 5, 64] {
        let broadcast = Options::new(capacity).anonymous::<Wide>().expect("memory");
        let mut writer = broadcast.writer().expect("the first");
        let all = 200_000;
        let missed: u64 = thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|slow| {
                    let mut reader = broadcast.reader(Start::Oldest).expect("room for one");
                    scope.spawn(move || {
                        let (mut expected, mut missed_all) = (0, 0);
                        loop {
                            match reader.next() {
                                Ok(next) => {
                                    assert_eq!((next.number, next.message.number()), (expected, expected));
                                    expected += 1;
                                    if slow == 1 && expected % 64 == 0 {
                                        thread::sleep(Duration::from_micros(50));
                                    }
                                }
                                Err(Error::Missed { count }) => {
                                    assert!(count > 0);
                                    (expected, missed_all) = (expected + count, missed_all + count);
                                }
                                Err(Error::Closed) => break,
                                Err(error) => panic!("{error}"),
                            }
                        }
                        assert_eq!(expected, all, "read and missed are all there were");
                        missed_all
                    })
                })
                .collect();
            (0..all).for_each(|number| {
                let _ = writer.publish(Wide::of(number)).expect("never blocks");
            });
            writer.close();
            readers.into_iter().map(|reader| reader.join().expect("ended")).sum()
        });
        assert!(missed > 0, "somebody was overtaken, or this shows nothing");
    }
}

#[test]
fn batches_have_no_gap_that_is_not_told() {
    for capacity in [1, 2, 5, 64] {
        let broadcast = Options::new(capacity).anonymous::<Wide>().expect("memory");
        let mut writer = broadcast.writer().expect("the first");
        let mut reader = broadcast.reader(Start::Oldest).expect("room for one");
        let all = 300_000;
        thread::scope(|scope| {
            scope.spawn(move || {
                let (mut expected, mut batch) = (0, Vec::new());
                loop {
                    match reader.next_batch(&mut batch, 50) {
                        Ok(count) => assert_eq!(count, batch.len()),
                        Err(Error::Missed { count }) => expected += count,
                        Err(Error::Closed) => break,
                        Err(error) => panic!("{error}"),
                    }
                    for next in batch.drain(..) {
                        assert_eq!((next.number, next.message.number()), (expected, expected));
                        expected += 1;
                    }
                }
                assert_eq!(expected, all, "read and missed are all there were");
            });
            for number in 0..all {
                writer.publish(Wide::of(number)).expect("never blocks");
            }
            writer.close();
        });
    }
}

/// A collection that takes two messages and no more.
struct Two(Vec<u64>);

impl Extend<Numbered<u64>> for Two {
    fn extend<I: IntoIterator<Item = Numbered<u64>>>(&mut self, messages: I) {
        self.0.extend(messages.into_iter().take(2).map(|next| next.number));
    }
}

#[test]
fn what_a_collection_does_not_take_of_a_batch_comes_next() {
    let broadcast = Options::new(16).anonymous::<u64>().expect("memory");
    let (mut writer, mut reader) = (broadcast.writer().expect("one"), broadcast.reader(Start::Oldest).expect("one"));
    writer.publish_batch(0..5).expect("open");
    let mut two = Two(Vec::new());
    assert_eq!(reader.next_batch(&mut two, 10).expect("some"), 2);
    assert_eq!((two.0, reader.next().expect("the third").number), (vec![0, 1], 2));
}

#[test]
fn a_reader_less_than_the_capacity_behind_misses_nothing() {
    for capacity in [1, 2, 3, 100, 1000] {
        let broadcast = Options::new(capacity).anonymous::<Wide>().expect("memory");
        let (mut writer, mut reader) =
            (broadcast.writer().expect("one"), broadcast.reader(Start::Oldest).expect("one"));
        let capacity = capacity as u64;
        for round in 0..5 {
            (0..capacity).for_each(|n| {
                let _ = writer.publish(Wide::of(round * capacity + n)).expect("open");
            });
            assert_eq!(reader.lag(), capacity);
            for n in 0..capacity {
                assert_eq!(reader.try_next().expect("kept").message.number(), round * capacity + n);
            }
            assert!(matches!(reader.try_next(), Err(Error::Empty)));
        }
    }
}

#[test]
fn readers_begin_where_they_ask_to() {
    let broadcast = Options::new(4).anonymous::<u64>().expect("memory");
    let mut writer = broadcast.writer().expect("one");
    writer.publish_batch(0..10).expect("open");
    let first =
        |start| broadcast.reader(start).expect("room for one").try_next().map(|next| (next.number, next.message));
    assert_eq!(first(Start::Oldest).expect("kept"), (6, 6));
    assert_eq!(first(Start::At(8)).expect("kept"), (8, 8));
    assert!(matches!(first(Start::Newest), Err(Error::Empty)));
    assert!(matches!(first(Start::At(12)), Err(Error::Empty)));
    assert!(matches!(first(Start::At(0)), Err(Error::Missed { count: 6 })));
    let mut ahead = broadcast.reader(Start::At(12)).expect("room for one");
    writer.publish_batch(10..13).expect("open");
    assert_eq!(ahead.try_next().expect("reached").message, 12);
}

#[test]
fn batches_come_whole_and_in_order_and_stop_before_a_gap() {
    let broadcast = Options::new(16).anonymous::<u64>().expect("memory");
    let (mut writer, mut reader) = (broadcast.writer().expect("one"), broadcast.reader(Start::Oldest).expect("one"));
    assert_eq!(writer.publish_batch(0..10).expect("open"), 10);
    let mut got = Vec::new();
    assert_eq!(reader.next_batch(&mut got, 4).expect("some"), 4);
    assert_eq!(reader.next_batch(&mut got, 100).expect("the others"), 6);
    assert!(matches!(reader.try_next_batch(&mut got, 1), Err(Error::Empty)));
    assert_eq!(reader.try_next_batch(&mut got, 0).expect("none asked for"), 0);
    assert_eq!(
        got.iter().map(|next| (next.number, next.message)).collect::<Vec<_>>(),
        (0..10).map(|n| (n, n)).collect::<Vec<_>>()
    );
    writer.publish_batch(10..100).expect("open");
    assert!(matches!(reader.next_batch(&mut got, 100), Err(Error::Missed { count: 74 })));
    got.clear();
    assert_eq!(reader.next_batch(&mut got, 100).expect("what is kept"), 16);
    assert_eq!((got[0].number, got[15].message), (84, 99));
}

#[test]
fn bytes_are_broadcast() {
    let lines = Options::new(4).message_max(8).anonymous::<[u8]>().expect("memory");
    let (mut writer, mut reader) = (lines.writer().expect("one"), lines.reader(Start::Oldest).expect("one"));
    writer.publish(b"").expect("open");
    writer.publish(b"12345678").expect("open");
    let refused = writer.publish(b"123456789").expect_err("too long");
    assert!(matches!(refused.error, Error::TooLong { length: 9, max: 8 }));
    assert_eq!(refused.message, b"123456789");
    assert_eq!(reader.next().expect("the first").message, b"");
    assert_eq!(reader.next().expect("the second").message, b"12345678");
}

#[cfg(feature = "serde")]
#[test]
fn serde_messages_are_broadcast() {
    let words = Options::new(4).message_max(100).anonymous::<handover::Postcard<Vec<String>>>().expect("memory");
    let (mut writer, mut reader) = (words.writer().expect("one"), words.reader(Start::Oldest).expect("one"));
    writer.publish(&vec!["a".into(), "b".into()]).expect("open");
    assert_eq!(reader.next().expect("it").message, ["a", "b"]);
}

#[test]
fn a_loan_that_is_dropped_publishes_nothing() {
    let broadcast = Options::new(2).anonymous::<Wide>().expect("memory");
    let (mut writer, mut reader) = (broadcast.writer().expect("one"), broadcast.reader(Start::Oldest).expect("one"));
    for number in 0..10 {
        let mut loan = writer.loan().expect("room");
        loan.view().set(0, &Wide::of(99));
        drop(loan);
        assert!(matches!(reader.try_next(), Err(Error::Empty)));
        let mut loan = writer.try_loan().expect("room");
        loan.view().set(0, &Wide::of(number));
        assert_eq!(loan.publish().expect("not forked"), number);
        let read = reader.read_in_place(|view| view.get(0).number()).expect("it");
        assert_eq!((read.number, read.message), (number, number));
    }
}

#[test]
fn what_was_read_in_place_and_overwritten_meanwhile_is_not_passed_on() {
    let broadcast = Options::new(2).anonymous::<Wide>().expect("memory");
    let (mut writer, mut reader) = (broadcast.writer().expect("one"), broadcast.reader(Start::Oldest).expect("one"));
    writer.publish(Wide::of(0)).expect("open");
    let read = reader.read_in_place(|view| {
        let before = view.get(0).number();
        (1..8).for_each(|number| {
            let _ = writer.publish(Wide::of(number)).expect("open");
        });
        before
    });
    assert!(matches!(read, Err(Error::Missed { count: 6 })), "{read:?}");
    assert_eq!(reader.next().expect("kept").message.number(), 6);
}

#[test]
fn a_second_writer_is_refused_with_the_firsts_pid_and_its_successor_goes_on() {
    let (name, broadcast) = made(&Options::new(8));
    let mut child = Child::start(&format!("write {} 5", &*name));
    child.hear();
    let refused = broadcast.writer().expect_err("one lives");
    assert!(matches!(refused, Error::Taken { role: "writer", pid, .. } if pid == child.pid()), "{refused}");
    let mut reader = broadcast.reader(Start::Oldest).expect("room for one");
    assert!(reader.writer_alive());
    child.kill();
    child.wait();
    assert!(!reader.writer_alive() && !broadcast.writer_alive());
    let mut writer = broadcast.writer().expect("the successor is let in at once");
    assert_eq!(writer.publish(Wide::of(5)).expect("open"), 5, "goes on with the next number");
    (0..6).for_each(|number| assert_eq!(reader.try_next().expect("kept").message.number(), number));
    assert_eq!(broadcast.report().deaths, 1);
}

#[test]
fn what_a_killed_writer_had_half_written_is_never_seen() {
    let (name, broadcast) = made(&Options::new(2));
    let mut reader = broadcast.reader(Start::Oldest).expect("room for one");
    Child::start(&format!("die-in-a-loan {}", &*name)).wait();
    assert_eq!(reader.next().expect("the whole one").message.number(), 0);
    assert!(matches!(reader.next_timeout(Duration::from_millis(10)), Err(Error::Empty)));
    let mut writer = broadcast.writer().expect("the successor");
    for number in 1..20 {
        writer.publish(Wide::of(number)).expect("open");
        assert_eq!(reader.next().expect("whole").message.number(), number);
    }
}

#[test]
fn processes_read_all_or_are_told_what_they_missed() {
    let (name, broadcast) = made(&Options::new(64));
    let mut readers: Vec<Child> = (0..3).map(|_| Child::start(&format!("read-all {}", &*name))).collect();
    readers.iter_mut().for_each(|reader| assert_eq!(reader.hear(), "ready"));
    let mut writer = broadcast.writer().expect("one");
    (0..300_000).for_each(|number| {
        let _ = writer.publish(Wide::of(number)).expect("never blocks");
    });
    writer.close();
    for mut reader in readers {
        let said: Vec<u64> = reader.hear().split(' ').map(|word| word.parse().expect("a number")).collect();
        assert_eq!(said[0] + said[1], 300_000);
        reader.finish();
    }
}

#[test]
fn a_blocked_reader_is_woken_by_another_process() {
    let (name, broadcast) = made(&Options::new(8));
    for wait in [Wait::Spin, Wait::Balanced, Wait::Park] {
        let mut reader = broadcast.reader(Start::Newest).expect("room for one");
        reader.set_wait(wait);
        let sleeper = thread::spawn(move || reader.next().expect("published").message.number());
        thread::sleep(Duration::from_millis(5));
        let mut child = Child::start(&format!("write {} 1", &*name));
        child.hear();
        assert_eq!(sleeper.join().expect("woken"), 0);
        child.kill();
        child.wait();
    }
}

#[test]
fn the_writer_waits_for_gating_readers_and_for_no_others() {
    let broadcast = Options::new(4).anonymous::<u64>().expect("memory");
    let mut writer = broadcast.writer().expect("one");
    let mut ordinary = broadcast.reader(Start::Oldest).expect("room for one");
    writer.publish_batch(0..100).expect("nobody gates");
    assert!(matches!(ordinary.try_next(), Err(Error::Missed { .. })));
    let mut gating = broadcast.gating_reader(Start::Newest).expect("room for one");
    let mut published = 100;
    while writer.try_publish(published).is_ok() {
        published += 1;
    }
    assert!((104..=105).contains(&published), "the capacity, and what was claimed before: {published}");
    assert!(matches!(writer.publish_timeout(0, Duration::from_millis(5)).map_err(Error::from), Err(Error::Full)));
    assert!(matches!(writer.try_loan().map(drop), Err(Error::Full)));
    assert!(broadcast.report().readers.iter().any(|reader| reader.gating));
    let blocked = thread::spawn(move || (writer.publish(published).expect("let go on"), writer));
    thread::sleep(Duration::from_millis(5));
    assert!(!blocked.is_finished());
    assert_eq!(gating.next().expect("kept").message, 100);
    thread::sleep(Duration::from_millis(5));
    assert!(!blocked.is_finished(), "it has the message in its hands until it asks for the next");
    assert_eq!(gating.next().expect("kept").message, 101);
    let mut writer = blocked.join().expect("let go on").1;
    drop(gating);
    writer.publish_batch(0..100).expect("nobody gates any more");
}

#[test]
fn a_killed_gating_reader_holds_the_writer_no_longer() {
    for wait in [Wait::Spin, Wait::Balanced, Wait::Park] {
        let (name, broadcast) = made(&Options::new(4));
        let mut writer = broadcast.writer().expect("one");
        writer.set_wait(wait);
        writer.publish(Wide::of(0)).expect("open");
        let mut child = Child::start(&format!("gate {}", &*name));
        assert_eq!(child.hear(), "holding");
        while writer.try_publish(Wide::of(0)).is_ok() {}
        assert!(matches!(
            writer.publish_timeout(Wide::of(0), Duration::from_millis(20)).map_err(Error::from),
            Err(Error::Full)
        ));
        let blocked = thread::spawn(move || {
            writer.publish(Wide::of(0)).expect("let go on");
            Instant::now()
        });
        thread::sleep(Duration::from_millis(10));
        assert!(!blocked.is_finished(), "it lives");
        let killed = Instant::now();
        child.kill();
        let waited = blocked.join().expect("went on").duration_since(killed);
        assert!(waited < Duration::from_millis(500), "{waited:?}");
        assert_eq!(broadcast.report().deaths, 1);
    }
}

#[test]
fn a_stopped_gating_reader_holds_the_writer_until_its_patience_ends() {
    let (name, broadcast) = made(&Options::new(4));
    let mut writer = broadcast.writer().expect("one");
    writer.publish(Wide::of(0)).expect("open");
    let mut child = Child::start(&format!("gate {}", &*name));
    child.hear();
    child.stop();
    while writer.try_publish(Wide::of(0)).is_ok() {}
    assert!(matches!(
        writer.publish_timeout(Wide::of(0), Duration::from_millis(30)).map_err(Error::from),
        Err(Error::Full)
    ));
    writer.set_patience(Patience::Until(Duration::from_millis(20)));
    writer.publish(Wide::of(0)).expect("it is thrown out");
    assert!(broadcast.report().readers.iter().all(|reader| reader.alive && !reader.gating));
    child.resume();
}

#[test]
fn a_reader_that_was_thrown_out_is_told_what_it_missed() {
    let broadcast = Options::new(4).anonymous::<u64>().expect("memory");
    let mut writer = broadcast.writer().expect("one");
    writer.set_patience(Patience::Until(Duration::from_millis(1)));
    let mut reader = broadcast.gating_reader(Start::Oldest).expect("room for one");
    writer.publish_batch(0..20).expect("with little patience");
    let Err(Error::Missed { count }) = reader.next() else { panic!("overtaken") };
    assert_eq!(reader.next().expect("kept").number, count);
    assert_eq!(count, 16);
}

#[test]
fn a_follower_sees_what_its_leaders_are_done_with() {
    let broadcast = Options::new(64).anonymous::<u64>().expect("memory");
    let mut writer = broadcast.writer().expect("one");
    let (mut one, mut two) =
        (broadcast.reader(Start::Oldest).expect("one"), broadcast.reader(Start::Oldest).expect("two"));
    let mut last = broadcast.follower(Start::Oldest, &[one.id(), two.id()], true).expect("room for one");
    thread::scope(|scope| {
        let stages = [&mut one, &mut two].map(|stage| {
            scope.spawn(move || {
                let mut sum = 0;
                while let Ok(next) = stage.next() {
                    sum += next.message;
                }
                sum
            })
        });
        let follower = scope.spawn(|| {
            let mut sum = 0;
            loop {
                match last.next() {
                    Ok(next) => sum += next.message,
                    Err(Error::Closed | Error::LeaderGone { .. }) => return sum,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        writer.publish_batch(0..50_000).expect("open");
        writer.close();
        let sums = stages.map(|stage| stage.join().expect("ended"));
        assert_eq!(sums, [49_999 * 25_000; 2], "gated by the last, nobody is overtaken");
        assert_eq!(follower.join().expect("ended"), 49_999 * 25_000);
    });
}

#[test]
fn a_follower_is_told_of_its_leaders_end_after_what_that_one_had_done() {
    let (name, broadcast) = made(&Options::new(16));
    let mut writer = broadcast.writer().expect("one");
    let mut leader = broadcast.reader(Start::Oldest).expect("room for one");
    let mut follower = broadcast.follower(Start::Oldest, &[leader.id()], false).expect("room for one");
    (0..4).for_each(|number| {
        let _ = writer.publish(Wide::of(number)).expect("open");
    });
    (0..2).for_each(|_| {
        let _ = leader.next().expect("kept");
    });
    drop(leader);
    (0..2).for_each(|number| assert_eq!(follower.next().expect("done with").message.number(), number));
    assert!(matches!(follower.next(), Err(Error::LeaderGone { .. })));

    // Killed with a message in its hands: that one it was not done with.
    let mut child = Child::start(&format!("lead {} 3", &*name));
    assert_eq!(child.hear(), "leading");
    assert_eq!(child.hear(), "read");
    let number = broadcast.report().readers.iter().find(|reader| reader.pid == child.pid()).expect("attached").number;
    let mut follower =
        broadcast.follower(Start::Oldest, &[broadcast.reader_id(number).expect("it reads")], false).expect("one");
    child.kill();
    child.wait();
    (0..2).for_each(|number| assert_eq!(follower.next().expect("done with").message.number(), number));
    eventually("the death is noticed", || match follower.next_timeout(Duration::from_millis(20)) {
        Err(Error::LeaderGone { .. }) => true,
        Err(Error::Empty) => false,
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_watcher_reads_without_being_able_to_write() {
    let (name, broadcast) = made(&Options::new(4));
    let mut writer = broadcast.writer().expect("one");
    let mut watcher = Watcher::<Wide>::open(&name, Start::Oldest).expect("readable");
    assert!(matches!(watcher.try_next(), Err(Error::Empty)));
    assert!(matches!(watcher.next_timeout(Duration::from_millis(5)), Err(Error::Empty)));
    assert!(watcher.writer_alive());
    let late = thread::spawn(move || (watcher.next().expect("published").message.number(), watcher));
    thread::sleep(Duration::from_millis(5));
    writer.publish(Wide::of(0)).expect("open");
    let (number, mut watcher) = late.join().expect("read");
    assert_eq!(number, 0);
    (1..9).for_each(|number| {
        let _ = writer.publish(Wide::of(number)).expect("open");
    });
    assert!(matches!(watcher.next(), Err(Error::Missed { count: 4 })));
    assert_eq!((watcher.next().expect("kept").number, watcher.lag()), (5, 3));
    assert!(broadcast.report().readers.is_empty(), "nobody knows of it");
    writer.close();
    assert_eq!((watcher.next().is_ok(), watcher.next().is_ok(), watcher.next().is_ok()), (true, true, true));
    assert!(matches!(watcher.next(), Err(Error::Closed)));
}

#[test]
fn closing_wakes_and_lets_drain_and_refuses_the_next_writer() {
    let broadcast = Options::new(4).anonymous::<u64>().expect("memory");
    let mut writer = broadcast.writer().expect("one");
    assert!(matches!(broadcast.close(), Err(Error::Taken { role: "writer", .. })), "the writer closes it itself");
    let mut reader = broadcast.reader(Start::Oldest).expect("one");
    let mut sleeper = broadcast.reader(Start::Oldest).expect("one");
    let sleeper =
        thread::spawn(move || (sleeper.next().expect("1").message, matches!(sleeper.next(), Err(Error::Closed))));
    writer.publish(1).expect("open");
    thread::sleep(Duration::from_millis(5));
    writer.close();
    assert!(matches!(writer.publish(2).map_err(Error::from), Err(Error::Closed)));
    assert_eq!(sleeper.join().expect("woken"), (1, true));
    assert_eq!(reader.next().expect("what was left").message, 1);
    assert!(matches!(reader.next(), Err(Error::Closed)));
    drop(writer);
    assert!(broadcast.is_closed());
    assert!(matches!(broadcast.writer().err(), Some(Error::Closed)));
}

#[test]
fn each_wrong_use_has_its_error() {
    let name = Name::new();
    assert!(matches!(Broadcast::<u64>::open(&name), Err(Error::NotFound { .. })));
    let broadcast = Options::new(4).readers(1).create::<u64>(&name).expect("a new name");
    assert!(matches!(Options::new(4).create::<u64>(&name), Err(Error::AlreadyExists { .. })));
    assert!(matches!(Broadcast::<u32>::open(&name), Err(Error::MessageType { .. })));
    assert!(matches!(Broadcast::<[u8]>::open(&name), Err(Error::MessageType { .. })));
    assert!(matches!(Queue::<u64>::open(&name), Err(Error::Kind { found: "broadcast", wanted: "queue", .. })));
    assert!(matches!(Options::new(5).open_or_create::<u64>(&name), Err(Error::Settings { .. })));
    assert!(Options::new(4).open_or_create::<u64>(&name).is_ok());
    let _reader = broadcast.reader(Start::Oldest).expect("the one");
    assert!(matches!(broadcast.reader(Start::Oldest), Err(Error::TooManyMembers { max: 1, .. })));
    for (options, why) in [
        (Options::new(0), "capacity 0"),
        (Options::new(usize::MAX), "capacity"),
        (Options::new(1).readers(0), "readers"),
        (Options::new(1).readers(5000), "readers"),
    ] {
        match options.anonymous::<u64>() {
            Err(Error::Unfit { why: said }) => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    let other = Name::new();
    let _queue = handover::Options::new(4).create::<u64>(&other).expect("a new name");
    assert!(matches!(Broadcast::<u64>::open(&other), Err(Error::Kind { found: "queue", wanted: "broadcast", .. })));
    assert!(matches!(inspect(&other), Err(Error::Kind { .. })));
    assert_eq!(inspect(&name).expect("it is one").capacity, 4);
}

#[test]
#[cfg(unix)] // nothing forks elsewhere
fn a_forked_child_is_refused_the_inherited_handles() {
    let (name, broadcast) = made(&Options::new(4));
    let (mut writer, mut reader) =
        (broadcast.writer().expect("one"), broadcast.gating_reader(Start::Oldest).expect("one"));
    writer.publish(Wide::of(0)).expect("open");
    let mut loan = writer.loan().expect("room");
    loan.view().set(0, &Wide::of(1));
    // SAFETY: the child uses nothing that another thread could have locked.
    match unsafe { libc::fork() } {
        0 => {
            let refused = matches!(loan.publish(), Err(Error::Forked))
                && matches!(writer.publish(Wide::of(1)).map_err(Error::from), Err(Error::Forked))
                && matches!(reader.next(), Err(Error::Forked));
            drop((writer, reader));
            let own = Broadcast::<Wide>::open(&name).and_then(|own| own.reader(Start::Oldest)?.next()).is_ok();
            // SAFETY: ends without running what the parent's test has registered.
            unsafe { libc::_exit(if refused && own { 7 } else { 8 }) };
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child just forked.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(libc::WEXITSTATUS(status), 7);
            assert_eq!(reader.next().expect("as it was").message.number(), 0);
            assert!(matches!(reader.try_next(), Err(Error::Empty)), "the child published nothing");
            assert_eq!(loan.publish().expect("as it was"), 1);
            assert_eq!(writer.publish(Wide::of(2)).expect("as it was"), 2);
        }
    }
}

#[test]
fn what_readers_did_can_be_asked() {
    let (name, broadcast) = made(&Options::new(4));
    let mut writer = broadcast.writer().expect("one");
    let mut reader = broadcast.reader(Start::Oldest).expect("one");
    (0..10).for_each(|number| {
        let _ = writer.publish(Wide::of(number)).expect("open");
    });
    assert!(reader.next().is_err());
    (0..3).for_each(|_| {
        let _ = reader.next().expect("kept");
    });
    assert!(reader.read_in_place(|_| ()).is_ok());
    let report = inspect(&name).expect("it is one");
    assert_eq!(
        (report.published, report.capacity, report.closed, report.writer),
        (10, 4, false, Some((process::id(), true)))
    );
    let found = &report.readers[0];
    assert_eq!((found.position, found.lag, found.read, found.missed), (9, 1, 3, 6), "the tenth is in its hands");
}

#[test]
fn a_scribbled_broadcast_gives_errors_or_messages_and_ends() {
    let broadcast = Options::new(8).message_max(24).anonymous::<[u8]>().expect("memory");
    let bytes = Bytes::of(broadcast.share().expect("shared"));
    let length = bytes.len();
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..3000 {
        let (mut writer, mut reader) = match (broadcast.writer(), broadcast.reader(Start::Oldest)) {
            (Ok(writer), Ok(reader)) => (writer, reader),
            _ => {
                // Whoever scribbles "closed" or takes the roster has closed it, or filled it up: begin anew.
                bytes.write(4096, &vec![0; length as usize - 4096]);
                continue;
            }
        };
        writer.set_patience(Patience::Until(Duration::from_millis(1)));
        for _ in 0..20 {
            let at = 4096 + random() % (length - 4096 - 8);
            bytes.write(at, &random().to_ne_bytes());
            let _ = writer.publish_timeout(&[1; 20], Duration::from_millis(1));
            let _ = reader.try_next();
            let _ = reader.try_next_batch(&mut Vec::new(), 5);
            if reader.lag() > 0 {
                let _ = reader.try_next();
            }
            let _ = broadcast.report();
        }
    }
}

#[test]
fn of_a_batch_whose_iterator_panics_what_was_written_is_published() {
    let broadcast = Options::new(100).anonymous::<Wide>().expect("made");
    let mut writer = broadcast.writer().expect("the first");
    let mut reader = broadcast.reader(Start::Oldest).expect("room");
    let numbers = (0..64).map(|number| if number == 5 { panic!("as a test") } else { Wide::of(number) });
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| writer.publish_batch(numbers)));
    assert!(panicked.is_err());
    assert_eq!(writer.publish_batch((5..200).map(Wide::of)).expect("nobody gates"), 195);
    assert!(matches!(reader.next(), Err(Error::Missed { count: 100 })));
    for number in 100..200 {
        let got = reader.next().expect("kept");
        assert_eq!((got.number, got.message.number()), (number, number));
    }
}

#[test]
fn a_reader_that_is_listed_has_all_that_is_published_from_then_on() {
    for _ in 0..300 {
        let ring = Options::new(64).anonymous::<u64>().expect("made");
        let mut writer = ring.writer().expect("the only one");
        thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut reader = ring.reader(Start::Oldest).expect("room");
                // What is too late to be read is told, and counts.
                match reader.next() {
                    Ok(first) => first.number,
                    Err(Error::Missed { .. }) => 0,
                    Err(error) => panic!("{error}"),
                }
            });
            while ring.report().readers.is_empty() {
                std::hint::spin_loop();
            }
            for number in 0..200 {
                writer.publish(number).expect("open");
            }
            assert_eq!(reading.join().expect("no panic"), 0);
        });
    }
}
