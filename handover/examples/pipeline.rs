//! A pipeline over one ring: orders are journalled and checked side by side, and executed after both.

use std::thread;

use handover::Error;
use handover::broadcast::{Numbered, Options, Reader, Start};

/// Works through all there is.
fn each(mut reader: Reader<u64>, mut work: impl FnMut(Numbered<u64>)) {
    loop {
        match reader.next() {
            Ok(order) => work(order),
            // Closed; or the stage before has seen that it is closed, and left.
            Err(Error::Closed | Error::LeaderGone { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn main() -> Result<(), Error> {
    let orders = Options::new(256).anonymous::<u64>()?;
    let journal = orders.reader(Start::Oldest)?;
    let check = orders.reader(Start::Oldest)?;
    // The last stage is gating: the writer waits for it, and so nobody before it is ever overtaken.
    let execute = orders.follower(Start::Oldest, &[journal.id(), check.id()], true)?;
    let mut writer = orders.writer()?;
    thread::scope(|scope| {
        let journalled = scope.spawn(|| {
            let mut journalled = 0;
            each(journal, |_| journalled += 1);
            journalled
        });
        let largest = scope.spawn(|| {
            let mut largest = 0;
            each(check, |order| largest = largest.max(order.message));
            largest
        });
        let total = scope.spawn(|| {
            let mut total = 0;
            each(execute, |order| total += order.message);
            total
        });
        writer.publish_batch(1..=1000)?;
        writer.close();
        let [journalled, largest, total] = [journalled, largest, total].map(|stage| stage.join().expect("worked"));
        println!("{journalled} journalled, largest {largest}, {total} executed");
        Ok(())
    })
}
