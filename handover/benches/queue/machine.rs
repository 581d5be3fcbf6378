//! Clocks, processors, futexes, and a watch over runs that hang.

use std::fs;
use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::futex::{self, Flags, Timespec};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

fn nanoseconds(seconds: i64, rest: i64) -> u64 {
    seconds as u64 * 1_000_000_000 + rest as u64
}

/// The same clock for all processes.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    nanoseconds(time.tv_sec, time.tv_nsec)
}

/// The processor time of the calling thread.
pub fn own_cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    nanoseconds(time.tv_sec, time.tv_nsec)
}

/// The processor time of another thread or process, as nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    pub fn of_this_thread() -> CpuClock {
        let mut id = 0;
        // SAFETY: `pthread_self` is a living thread, and `id` is there to be written.
        let refused = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut id) };
        assert_eq!(refused, 0, "a thread's clock");
        CpuClock(id)
    }

    pub fn of_process(pid: u32) -> CpuClock {
        let mut id = 0;
        // SAFETY: `id` is there to be written; of a process that is gone an error is returned.
        let refused = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut id) };
        assert_eq!(refused, 0, "a process's clock");
        CpuClock(id)
    }

    pub fn read(self) -> u64 {
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: `time` is there to be written.
        let refused = unsafe { libc::clock_gettime(self.0, time.as_mut_ptr()) };
        assert_eq!(refused, 0, "the thread or process is there");
        // SAFETY: written by the call, which went well.
        let time = unsafe { time.assume_init() };
        nanoseconds(time.tv_sec, time.tv_nsec)
    }
}

/// Processor time since the machine started: of all, and of this process with those of its children that have ended.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    all: Duration,
    own: Duration,
    at: Instant,
}

impl Usage {
    pub fn now() -> Usage {
        let ticks = |text: &str, from: usize, count: usize| -> u64 {
            text.split_whitespace().skip(from).take(count).filter_map(|word| word.parse::<u64>().ok()).sum()
        };
        let time = |ticks| Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
        let machine = fs::read_to_string("/proc/stat").expect("the machine's times");
        let process = fs::read_to_string("/proc/self/stat").expect("this process's times");
        // The first line's are user, nice and system, then two kinds of idling, then interrupts.
        let line = machine.lines().next().unwrap_or_default();
        // Behind the name, which stands in parentheses: eleven others, then user, system, and these of the children.
        let (_, behind) = process.rsplit_once(')').unwrap_or_default();
        Usage { all: time(ticks(line, 1, 3) + ticks(line, 6, 2)), own: time(ticks(behind, 11, 4)), at: Instant::now() }
    }

    /// How many processors other programs have kept busy since, on average.
    pub fn others_since(self) -> f64 {
        let now = Usage::now();
        let others = (now.all - self.all).saturating_sub(now.own - self.own);
        others.as_secs_f64() / now.at.duration_since(self.at).as_secs_f64()
    }
}

/// Pins the calling thread to the `nth` of the processors it may use.
pub fn pin_to(nth: usize) {
    let may = sched_getaffinity(None).expect("the processors this thread may use");
    let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| may.is_set(*cpu)).collect();
    let mut one = CpuSet::new();
    one.set(usable[nth % usable.len()]);
    sched_setaffinity(None, &one).expect("a thread may pin itself");
}

/// Sleeps while `word` is `expected`, or for a time, or for no reason.
pub fn sleep_on(word: &AtomicU32, expected: u32, most: Option<Duration>, shared: bool) {
    let time = most.map(|most| Timespec { tv_sec: most.as_secs() as i64, tv_nsec: most.subsec_nanos().into() });
    // Every way it can end means: look again.
    let _ = futex::wait(word, flags(shared), expected, time.as_ref());
}

pub fn wake_all(word: &AtomicU32, shared: bool) {
    futex::wake(word, flags(shared), i32::MAX as u32).expect("an aligned word");
}

fn flags(shared: bool) -> Flags {
    if shared { Flags::empty() } else { Flags::PRIVATE }
}

/// No run takes as long.
const HANGS: Duration = Duration::from_secs(120);

static RUNNING: Mutex<Option<(Instant, String)>> = Mutex::new(None);

/// Names what runs now.
pub fn runs(what: String) {
    *RUNNING.lock().expect("nothing panics with it") = Some((Instant::now(), what));
}

/// Ends the process, and with it its children, when what runs does not end.
pub fn watch_for_hangs() {
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_secs(1));
            if let Some((since, what)) = &*RUNNING.lock().expect("nothing panics with it")
                && since.elapsed() > HANGS
            {
                eprintln!("{what}: hangs");
                std::process::exit(1);
            }
        }
    });
}
