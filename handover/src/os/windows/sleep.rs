//! Sleeping on a word of memory, and waking who sleeps there.
//!
//! Among threads the system has just that. Among processes it has not, and there is a semaphore for each word, found by the
//! word's place in its segment. A semaphore forgets nothing: a wake-up that nobody waits for would stay in it for ever, and
//! end somebody's sleep that was to last. So those who go to sleep are counted beside the word, and a waker takes as many
//! from the count as it lets through.
//!
//! *No wake-up is missed.* A sleeper counts itself and then looks at the word; a waker has changed the word before it looks
//! at the count. All of it is sequentially consistent: the sleeper sees the change, or the waker sees the sleeper.
//!
//! *Nothing piles up.* One that is killed asleep stays in the count, and costs one wake-up too many, once. Whoever is let
//! through while the word has not moved has got such a one, uses it up by that, and sleeps on.
//!
//! *What can be lost.* A waker that is killed after it took from the count and before it let anyone through leaves them
//! asleep, and so may a wake-up that one who came later was faster to take (it found nothing to do: it looked at the word's
//! matter after the change). That is why sleeps among processes are bounded. Who wakes from one by itself takes itself
//! from the count, which never falls below zero.

use std::cell::OnceCell;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateSemaphoreExW, CreateWaitableTimerExW, INFINITE, ReleaseSemaphore,
    SEMAPHORE_MODIFY_STATE, SYNCHRONIZATION_SYNCHRONIZE, SetWaitableTimer, TIMER_ALL_ACCESS, WaitForMultipleObjects,
    WaitForSingleObject, WaitOnAddress, WakeByAddressAll, WakeByAddressSingle,
};

use super::mapping::region;
use super::object::{Key, owned};
use crate::os::Waited;

/// No word has more sleepers. It bounds what a count does that somebody scribbled over.
const MOST: u32 = 4096;

/// Sleeps while `word` holds `expected`, until `wake` or for `timeout`. `shared` when other processes may wake it.
pub(crate) fn wait(
    word: &AtomicU32,
    asleep: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
    shared: bool,
) -> Waited {
    // A time too long for the clock is no limit at all.
    let end = timeout.and_then(|time| Instant::now().checked_add(time));
    // One that lies in no segment can't be another process's.
    match shared.then(|| semaphore(word)).flatten() {
        None => wait_among_threads(word, expected, end),
        Some(Ok(semaphore)) => wait_among_processes(&semaphore, word, asleep, expected, end),
        Some(Err(_)) => {
            // The object can't be had. Then nobody can be woken through it, and it remains to look again soon.
            thread::sleep(left(end).unwrap_or(Duration::MAX).min(Duration::from_millis(1)));
            Waited::Woken
        }
    }
}

/// Wakes at most `count` of those who sleep on `word`.
pub(crate) fn wake(word: &AtomicU32, asleep: &AtomicU32, count: u32, shared: bool) {
    let Some(Ok(semaphore)) = shared.then(|| semaphore(word)).flatten() else {
        let address = ptr::from_ref(word).cast();
        // SAFETY: only the address counts.
        unsafe { if count == 1 { WakeByAddressSingle(address) } else { WakeByAddressAll(address) } };
        return;
    };
    let counted = asleep.fetch_update(SeqCst, SeqCst, |asleep| Some(asleep - asleep.min(count)));
    let let_through = counted.unwrap_or(0).min(count).min(MOST);
    if let_through > 0 {
        // SAFETY: the handle is open. It fails where the semaphore is full of what nobody waited for.
        unsafe { ReleaseSemaphore(semaphore.as_raw_handle(), let_through as i32, ptr::null_mut()) };
    }
}

fn left(end: Option<Instant>) -> Option<Duration> {
    end.map(|end| end.saturating_duration_since(Instant::now()))
}

/// In the system's measure, rounded up, so that it never wakes early for nothing.
fn milliseconds(left: Option<Duration>) -> u32 {
    let Some(left) = left else { return INFINITE };
    u32::try_from(left.as_nanos().div_ceil(1_000_000)).map_or(INFINITE - 1, |time| time.min(INFINITE - 1))
}

fn wait_among_threads(word: &AtomicU32, expected: u32, end: Option<Instant>) -> Waited {
    loop {
        let left = left(end);
        let time = milliseconds(left);
        // SAFETY: both are four bytes that live until the call returns.
        let woken =
            unsafe { WaitOnAddress(ptr::from_ref(word).cast(), (&raw const expected).cast(), size_of::<u32>(), time) };
        if woken != 0 {
            return Waited::Woken;
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Waited::TimedOut;
        }
    }
}

/// None if the word lies in no segment.
fn semaphore(word: &AtomicU32) -> Option<std::io::Result<std::sync::Arc<OwnedHandle>>> {
    let address = ptr::from_ref(word).addr();
    let open = |key: &Key, offset| {
        let (name, security) = (key.gate(offset), key.security()?);
        // SAFETY: all that is pointed to lives until the call returns, and the handle is ours.
        unsafe {
            owned(CreateSemaphoreExW(
                &security.attributes(),
                0,
                2 * MOST as i32,
                name.as_ptr(),
                0,
                SYNCHRONIZATION_SYNCHRONIZE | SEMAPHORE_MODIFY_STATE,
            ))
        }
    };
    Some(region(address)?.gate(address, open))
}

fn wait_among_processes(
    semaphore: &OwnedHandle,
    word: &AtomicU32,
    asleep: &AtomicU32,
    expected: u32,
    end: Option<Instant>,
) -> Waited {
    let semaphore = semaphore.as_raw_handle();
    asleep.fetch_add(1, SeqCst);
    let waited = loop {
        if word.load(SeqCst) != expected {
            break Waited::Woken;
        }
        let left = left(end);
        if left.is_some_and(|left| left.is_zero()) {
            break Waited::TimedOut;
        }
        match sleep(semaphore, left) {
            // Meant for somebody who is no longer there, if the word still stands.
            Slept::LetThrough if word.load(SeqCst) == expected => {}
            Slept::LetThrough => return Waited::Woken,
            Slept::ToTheEnd => {}
            Slept::Refused => {
                thread::sleep(Duration::from_millis(1));
                break Waited::Woken;
            }
        }
    };
    if asleep.fetch_update(SeqCst, SeqCst, |asleep| asleep.checked_sub(1)).is_err() {
        // A waker has counted on this one, and lets it through: now, before, or in a moment.
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(semaphore, 0) };
    }
    waited
}

enum Slept {
    LetThrough,
    ToTheEnd,
    Refused,
}

thread_local! {
    /// The thread's own timer, where the system has such. An ordinary wait ends with the system's tick, which comes every
    /// 15.6 milliseconds unless somebody asks for more.
    static TIMER: OnceCell<Option<OwnedHandle>> = const { OnceCell::new() };
}

/// What takes a tick or longer need not be exact.
const SHORT: Duration = Duration::from_millis(32);

fn sleep(semaphore: HANDLE, left: Option<Duration>) -> Slept {
    let exact = match left {
        Some(left) if left < SHORT => TIMER.try_with(|timer| sleep_exactly(semaphore, left, timer)),
        _ => Ok(None),
    };
    let result = exact.ok().flatten().unwrap_or_else(|| {
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(semaphore, milliseconds(left)) }
    });
    match result {
        WAIT_OBJECT_0 => Slept::LetThrough,
        WAIT_TIMEOUT => Slept::ToTheEnd,
        _ => Slept::Refused,
    }
}

/// None where that can't be had.
fn sleep_exactly(semaphore: HANDLE, left: Duration, timer: &OnceCell<Option<OwnedHandle>>) -> Option<u32> {
    let timer = timer.get_or_init(|| {
        let flags = CREATE_WAITABLE_TIMER_HIGH_RESOLUTION;
        // SAFETY: without a name; the handle is ours.
        unsafe { owned(CreateWaitableTimerExW(ptr::null(), ptr::null(), flags, TIMER_ALL_ACCESS)) }.ok()
    });
    let timer = timer.as_ref()?.as_raw_handle();
    // From now, in tenths of microseconds.
    let due = -(left.as_nanos().div_ceil(100).max(1) as i64);
    let objects = [semaphore, timer];
    // SAFETY: both handles are open, and what is pointed to lives until the calls return.
    unsafe {
        if SetWaitableTimer(timer, &raw const due, 0, None, ptr::null(), 0) == 0 {
            return None;
        }
        match WaitForMultipleObjects(2, objects.as_ptr(), 0, INFINITE) {
            ended if ended == WAIT_OBJECT_0 + 1 => Some(WAIT_TIMEOUT),
            other => Some(other),
        }
    }
}

/// Whether `barrier` works. There is none that reaches other processes.
pub(crate) fn barrier_available() -> bool {
    false
}

/// Only where `barrier_available`.
pub(crate) fn barrier(_shared: bool) {
    unreachable!("barrier_available comes first");
}

#[cfg(test)]
mod tests;
