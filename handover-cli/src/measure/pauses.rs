//! For how long who wants to work stands still, because the machine does something else.

use std::thread;
use std::time::Duration;

use crate::system::clock::now;

/// The longest that one of so many threads, which all want to work, did not: in nanoseconds.
pub(crate) fn longest(threads: usize, time: Duration) -> u64 {
    let watch = || {
        let (begun, mut last, mut longest) = (now(), now(), 0);
        while last - begun < time.as_nanos() as u64 {
            let next = now();
            longest = longest.max(next - last);
            last = next;
        }
        longest
    };
    thread::scope(|scope| {
        let watchers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(watch)).collect();
        watchers.into_iter().map(|watcher| watcher.join().expect("watchers don't panic")).max().unwrap_or(0)
    })
}
