//! What a queue takes beside its slots, and that it takes no more once it is attached.

use std::fs::File;
use std::time::Duration;

use handover::{Consumer, InPlace, Message, Options, Producer, Shareable};

use super::aims::{Aims, Bound};
use super::allocations;
use super::cases::options;
use super::load::Line;
use super::report::{Report, Table};

fn length<M: Shareable>(options: &Options) -> u64 {
    let queue = options.anonymous::<M>().expect("a queue");
    File::from(queue.share().expect("a descriptor")).metadata().expect("a file").len()
}

pub fn measure(report: &mut Report, aims: &mut Aims) {
    let title = "Memory of a queue between processes (bytes; beside the slots 16 KiB and 128 a member are the bound)";
    let head = ["queue", "capacity", "members", "file", "slot", "beside the slots", "bound", "of the bound"];
    let mut table = Table::new(title, head);
    let mut cells = Vec::new();
    for one in [false, true] {
        for members in [1, 64, Options::MOST_MEMBERS] {
            for capacity in [64, 1024, 8192] {
                row::<u64>("u64", one, capacity, members, &mut table, &mut cells);
                row::<Line>("64-byte", one, capacity, members, &mut table, &mut cells);
            }
        }
    }
    report.table(&table);
    aims.ratios("memory beside the slots at most 16 KiB and 128 bytes a member", Bound::AtMost(1.0), &cells);

    let mut counts = Vec::new();
    for one in [false, true] {
        let queue = options(64, one).threads::<u64>().expect("a queue");
        counts.push(allocated(queue.producer().expect("a producer"), queue.consumer().expect("a consumer")));
        let queue = options(64, one).anonymous::<u64>().expect("a queue");
        let mut ends = (queue.producer().expect("a producer"), queue.consumer().expect("a consumer"));
        counts.push(in_place(&mut ends.0, &mut ends.1));
        counts.push(allocated(ends.0, ends.1));
    }
    let most = counts.into_iter().max().unwrap_or(0);
    aims.single("no allocation after attaching", Bound::AtMost(0.0), most as f64, format!("{most} allocations"));
}

fn row<M: Shareable>(
    size: &str,
    one: bool,
    capacity: usize,
    members: u32,
    table: &mut Table,
    cells: &mut Vec<(String, f64)>,
) {
    let of = |capacity| length::<M>(&options(capacity, one).members(members));
    // What a slot takes is the queue's business: as much as the file grows by. A file may end on a full page, so by
    // many slots.
    let slot = (of(capacity + 4096) - of(capacity)) / 4096;
    let (file, slots) = (of(capacity), slot * capacity as u64);
    let (beside, bound) = (file - slots, 16 * 1024 + 128 * u64::from(members));
    let kind = format!("{size}, {}", if one { "one to one" } else { "many" });
    let ratio = beside as f64 / bound as f64;
    cells.push((format!("{kind}, {capacity}, {members} members"), ratio));
    let numbers = [capacity as u64, members.into(), file, slot, beside, bound];
    let shares = [format!("{:.0} %", 100.0 * ratio)];
    table.row(std::iter::once(kind).chain(numbers.map(|number| number.to_string())).chain(shares));
}

/// What every way to push and to pop allocates, blocking ones included.
fn allocated<M>(mut producer: Producer<M>, mut consumer: Consumer<M>) -> u64
where
    M: for<'a> Message<Push<'a> = u64, Pop = u64> + ?Sized,
{
    let short = Duration::from_millis(6);
    let mut messages = Vec::with_capacity(64);
    let before = allocations::count();
    for round in 0..100 {
        producer.push(round).expect("room");
        assert_eq!(consumer.pop().expect("a message"), round);
        assert_eq!(producer.push_batch((0..64_u32).map(u64::from)).expect("room"), 64);
        assert_eq!(consumer.pop_batch(&mut messages, 64).expect("messages"), 64);
        messages.clear();
    }
    assert!(consumer.pop_timeout(short).is_err());
    producer.push_batch((0..64_u32).map(u64::from)).expect("room");
    assert!(producer.push_timeout(64, short).is_err());
    consumer.receive().expect("a message").done();
    drop(consumer.receive().expect("a message"));
    allocations::count() - before
}

fn in_place<M>(producer: &mut Producer<M>, consumer: &mut Consumer<M>) -> u64
where
    M: for<'a> Message<Push<'a> = u64, Pop = u64> + InPlace + ?Sized,
{
    let before = allocations::count();
    drop(producer.loan().expect("room"));
    producer.loan().expect("room").send();
    consumer.receive().expect("a message").done();
    allocations::count() - before
}
