//! A segment is hostile until proven otherwise: its bytes are changed at random, before it is opened and while it is in
//! use. Errors or messages may come of it, and nothing else: no panic, no crash, no hang, no write past its end, and no
//! value that its type does not have.
//!
//! Everything comes out of a seed. Each part runs in a process of its own, so that one that dies is counted, and can be
//! run again by itself. A fuzzer drives the same engine with bytes of its own ([`Choices::given`]).

mod body;
mod choices;
mod life;
mod memory;
mod messages;
mod tally;
mod tasks;
mod watch;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, panic, thread};

use clap::Args;
use handover::{Postcard, Queue};

use crate::children;
use crate::report::Verdict;
use body::Body;
pub use choices::Choices;
use life::{Place, Shape, User};
use messages::{Note, Tried};
use tally::Tally;
use watch::{BOUND, Watch};

/// How long, and from which seed.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The segments of each kind that are made, scribbled over and used.
    #[arg(long, default_value_t = 2000)]
    segments: u64,
    /// For how many seconds each kind is scribbled over while processes and threads work with it.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Another seed tries other things; the same one, the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Under AddressSanitizer: builds this program once more, with the nightly toolchain, and runs that.
    #[arg(long)]
    sanitized: bool,
}

impl Settings {
    /// The short form.
    pub fn short() -> Settings {
        Settings { segments: 300, seconds: 0.5, seed: 1, sanitized: false }
    }
}

/// What is tried, each in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages of plain data.
    Plain,
    /// Of plain data wider than a cache line, and aligned more than a stamp is.
    Wide,
    /// Without any bytes.
    Empty,
    /// Of bytes.
    Bytes,
    /// Of a serde type.
    Encoded,
    /// No queue, but memory.
    Memory,
    /// Queues of tasks of several kinds.
    Tasks,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Plain, Kind::Wide, Kind::Empty, Kind::Bytes, Kind::Encoded, Kind::Memory, Kind::Tasks];

    fn name(self) -> &'static str {
        match self {
            Kind::Plain => <u64 as Tried>::NAME,
            Kind::Wide => <[u128; 5] as Tried>::NAME,
            Kind::Empty => <() as Tried>::NAME,
            Kind::Bytes => <[u8] as Tried>::NAME,
            Kind::Encoded => <Postcard<Note> as Tried>::NAME,
            Kind::Memory => "shared memory",
            Kind::Tasks => "tasks",
        }
    }

    /// Does something with queues of these messages; nothing for memory, which is none, and tasks, which are others.
    fn with<T: OnKind>(self, what: T) -> Option<T::Outcome> {
        Some(match self {
            Kind::Plain => what.on::<u64>(),
            Kind::Wide => what.on::<[u128; 5]>(),
            Kind::Empty => what.on::<()>(),
            Kind::Bytes => what.on::<[u8]>(),
            Kind::Encoded => what.on::<Postcard<Note>>(),
            Kind::Memory | Kind::Tasks => return None,
        })
    }
}

/// Something that is done with queues of each kind of message.
trait OnKind {
    type Outcome;
    fn on<M: Tried + ?Sized>(self) -> Self::Outcome;
}

/// Runs all of it.
pub fn run(settings: &Settings) -> Vec<Verdict> {
    if settings.sanitized {
        return vec![sanitized(settings)];
    }
    vec![alone(settings), at_work(settings)]
}

fn verdict(title: String, first: &str) -> Verdict {
    let head = [first].iter().chain(&Tally::HEAD).map(ToString::to_string).collect();
    Verdict::new(title, head)
}

fn row(verdict: &mut Verdict, name: &str, tally: &Tally) {
    verdict.rows.push([name.to_owned()].into_iter().chain(tally.columns().map(|number| number.to_string())).collect());
}

/// Scribbled over between the calls: the same things happen in each run with the same seed.
fn alone(settings: &Settings) -> Verdict {
    let title = format!("Hostile segments, changed before opening and between calls (seed {})", settings.seed);
    let mut verdict = verdict(title, "messages");
    for (nth, kind) in Kind::ALL.iter().enumerate() {
        let words = ["hostile-alone", &nth.to_string(), &settings.seed.to_string(), &settings.segments.to_string()];
        let ended = Ended::of(start(&words), Duration::from_secs(600));
        row(&mut verdict, kind.name(), &ended.tally);
        verdict.violations.extend(ended.fault(&words));
    }
    verdict
}

/// What became of a child.
struct Ended {
    status: Option<ExitStatus>,
    tally: Tally,
    said: String,
}

impl Ended {
    /// Waits for a child; one that takes longer is killed.
    fn of(mut child: Child, most: Duration) -> Ended {
        // Meanwhile, for a pipe that is full would stop it.
        let (out, said) = (heard(child.stdout.take()), heard(child.stderr.take()));
        let start = Instant::now();
        let status = loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) => break Some(status),
                None if start.elapsed() > most => break None,
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        let _ = child.kill();
        let _ = child.wait();
        if !status.is_some_and(|status| status.success()) {
            clear_up_after(child.id());
        }
        let (out, said) = (out.join().expect("it only reads"), said.join().expect("it only reads"));
        let tally = out.lines().find_map(Tally::read).unwrap_or_default();
        Ended { status, tally, said: said.trim().chars().take(4000).collect() }
    }

    fn fault(&self, words: &[&str]) -> Option<String> {
        let how = match self.status {
            Some(status) if status.success() => return None,
            Some(status) => match status.signal() {
                Some(signal) => format!("ended by signal {signal}"),
                None => format!("ended with {status}"),
            },
            None => "did not end".to_owned(),
        };
        Some(format!("`proof child {}` {how}: {}", words.join(" "), self.said))
    }
}

/// One that died had no time to remove the segments it had made.
fn clear_up_after(process: u32) {
    let prefix = format!("hostile-{process}-");
    for listed in handover::segments().into_iter().flatten().filter(|listed| listed.name.starts_with(&prefix)) {
        let _ = handover::remove(&listed.name);
    }
    for file in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if file.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

fn heard(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut all));
        String::from_utf8_lossy(&all).into_owned()
    })
}

fn start(words: &[&str]) -> Child {
    let mut command = children::command(words);
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("this program can be started again")
}

/// Kills and collects a child, however its parent comes to its end.
struct Worker(Option<Child>);

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Scribbled over while processes and threads push and pop, some of whom are killed.
fn at_work(settings: &Settings) -> Verdict {
    let title = format!(
        "Hostile segments, changed while two processes of two threads each work with them and are killed at random \
         (seed {})",
        settings.seed
    );
    let mut verdict = verdict(title, "messages");
    verdict.head.push("kills".into());
    for (nth, kind) in Kind::ALL.iter().enumerate() {
        let mut choices = Choices::seeded(settings.seed + nth as u64);
        let (mut tally, mut kills) = (Tally::default(), 0);
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < settings.seconds {
            let until = Instant::now() + Duration::from_millis(200);
            let at_work = AtWork { kind: &nth.to_string(), choices: &mut choices, until };
            // Memory on its own has nobody at work in it; beside tasks a thread scribbles.
            let Some((part, killed, faults)) = kind.with(at_work) else { return verdict };
            tally += part;
            kills += killed;
            verdict.violations.extend(faults);
        }
        row(&mut verdict, kind.name(), &tally);
        verdict.rows.last_mut().expect("just pushed").push(kills.to_string());
    }
    verdict
}

struct AtWork<'a, 'c> {
    kind: &'a str,
    choices: &'a mut Choices<'c>,
    until: Instant,
}

impl OnKind for AtWork<'_, '_> {
    type Outcome = (Tally, u64, Vec<String>);

    fn on<M: Tried + ?Sized>(self) -> Self::Outcome {
        let AtWork { kind, choices, until } = self;
        let place = Place::Named(Place::name());
        let Place::Named(name) = &place else { unreachable!("just named") };
        let queue = Shape::any(choices).options().create::<M>(name).expect("a new name");
        let body = Body::of(queue.share().expect("its creator may"));
        let mut tally = Tally { segments: 1, ..Tally::default() };
        let (mut kills, mut faults) = (0, Vec::new());
        let employ = |choices: &mut Choices| {
            let words =
                ["hostile-at-work".to_owned(), kind.to_owned(), choices.below(1 << 32).to_string(), name.clone()];
            let words_now: Vec<&str> = words.iter().map(String::as_str).collect();
            (Worker(Some(start(&words_now))), words)
        };
        let mut workers = [employ(choices), employ(choices)];
        while Instant::now() < until {
            for _ in 0..choices.below(4) {
                body.scribble(choices);
                tally.edits += 1;
            }
            // What is corrupt stays corrupt: they are to get somewhere, too.
            if choices.one_in(8) {
                body.clear();
            }
            if choices.one_in(40) {
                body.scribble_header(choices);
                thread::sleep(Duration::from_micros(200));
                body.restore_header();
                tally.edits += 1;
            }
            if choices.one_in(200) {
                let nth = choices.below(2) as usize;
                workers[nth] = employ(choices);
                kills += 1;
            }
            thread::sleep(Duration::from_micros(choices.below(300)));
        }
        // They end by themselves when they are told that it is over; what they do meanwhile is bounded.
        handover::remove(name).expect("nobody else removes it");
        for (mut worker, words) in workers {
            let child = worker.0.take().expect("not waited for yet");
            let ended = Ended::of(child, BOUND * 2);
            tally += ended.tally;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            faults.extend(ended.fault(&words));
        }
        body.check_beyond();
        (tally, kills, faults)
    }
}

/// A child's part, if it is one of this run's.
pub fn child(words: &[String]) -> Option<ExitCode> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let tally = match words[..] {
        ["hostile-alone", kind, seed, segments] => {
            segments_alone(*Kind::ALL.get(kind.parse::<usize>().ok()?)?, seed.parse().ok()?, segments.parse().ok()?)
        }
        ["hostile-at-work", kind, seed, name] => {
            let work = Work { seed: seed.parse().ok()?, name: name.to_owned() };
            Kind::ALL.get(kind.parse::<usize>().ok()?)?.with(work)?
        }
        _ => return None,
    };
    println!("{tally}");
    Some(ExitCode::SUCCESS)
}

/// Makes so many segments of a kind, and treats them badly. What is tried depends on the seed alone.
pub fn segments_alone(kind: Kind, seed: u64, segments: u64) -> Tally {
    let watch = Watch::new(format!("{} from seed {seed}", kind.name()));
    let mut tally = Tally::default();
    for nth in 0..segments {
        let seed = seed << 32 | nth;
        let tried = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut user = User::new(Choices::seeded(seed), &watch);
            segment_of(kind, &mut user);
            user.tally
        }));
        match tried {
            Ok(tried) => tally += tried,
            Err(panicked) => {
                eprintln!("at segment {nth}");
                panic::resume_unwind(panicked)
            }
        }
    }
    tally
}

fn segment_of(kind: Kind, user: &mut User) {
    struct One<'u, 'a, 'c>(&'u mut User<'a, 'c>);
    impl OnKind for One<'_, '_, '_> {
        type Outcome = ();
        fn on<M: Tried + ?Sized>(self) {
            life::queue::<M>(self.0);
        }
    }
    match kind {
        Kind::Memory => memory::memory(user),
        Kind::Tasks => tasks::tasks(user),
        _ => kind.with(One(user)).expect("a queue's kind"),
    }
}

/// One segment's whole time, as a fuzzer's bytes say: which kind, what is done with it, and what is scribbled when.
pub fn fuzz(bytes: &[u8]) {
    static WATCH: std::sync::OnceLock<Watch> = std::sync::OnceLock::new();
    let watch = WATCH.get_or_init(Watch::resting);
    let mut user = User::new(Choices::given(bytes), watch);
    let kind = user.choices.of(&Kind::ALL);
    segment_of(kind, &mut user);
}

struct Work {
    seed: u64,
    name: String,
}

impl OnKind for Work {
    type Outcome = Tally;

    /// Two threads that push and pop until the queue has lost its name.
    fn on<M: Tried + ?Sized>(self) -> Tally {
        let Work { seed, name } = self;
        let watch = Watch::new(format!("at work with {}, seed {seed}", M::NAME));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let works = |pushes: bool| {
                let (watch, over, name) = (&watch, &over, &name);
                scope.spawn(move || work::<M>(seed, pushes, name, watch, over))
            };
            let both = [works(true), works(false)];
            let mut tally = Tally::default();
            for one in both {
                match one.join() {
                    Ok(done) => tally += done,
                    Err(panicked) => {
                        over.store(true, SeqCst);
                        panic::resume_unwind(panicked)
                    }
                }
            }
            tally
        })
    }
}

fn work<M: Tried + ?Sized>(seed: u64, pushes: bool, name: &str, watch: &Watch, over: &AtomicBool) -> Tally {
    let mut user = User::new(Choices::seeded(seed << 1 | u64::from(pushes)), watch);
    while !over.load(SeqCst) {
        let opened = Queue::<M>::open(name);
        if matches!(opened, Err(handover::Error::NotFound { .. })) {
            break;
        }
        let Some(queue) = user.open(opened) else { continue };
        if pushes {
            let Some(mut producer) = user.call(queue.producer()) else { continue };
            for _ in 0..50 {
                life::push_somehow(&mut user, &mut producer);
            }
        } else {
            let Some(mut consumer) = user.call(queue.consumer()) else { continue };
            for _ in 0..50 {
                life::pop_somehow(&mut user, &mut consumer);
            }
        }
    }
    user.tally
}

/// The same, built with AddressSanitizer.
fn sanitized(settings: &Settings) -> Verdict {
    let mut verdict = Verdict::new("Hostile segments under AddressSanitizer", vec!["what".into(), "outcome".into()]);
    let outcome = run_sanitized(settings);
    let said = match &outcome {
        Ok(status) if status.success() => "nothing found".to_owned(),
        Ok(status) => format!("{status}"),
        Err(error) => format!("not run: {error}"),
    };
    verdict.rows.push(vec!["the run above".into(), said.clone()]);
    if !outcome.is_ok_and(|status| status.success()) {
        verdict.violations.push(said);
    }
    verdict
}

fn run_sanitized(settings: &Settings) -> io::Result<ExitStatus> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sanitized");
    Command::new("cargo")
        .args(["+nightly", "run", "--quiet", "--manifest-path", manifest, "--target-dir", target])
        .args(["--target", "x86_64-unknown-linux-gnu", "--", "hostile"])
        .args(["--segments", &settings.segments.to_string(), "--seconds", &settings.seconds.to_string()])
        .args(["--seed", &settings.seed.to_string()])
        .env("RUSTFLAGS", "-Zsanitizer=address")
        // The toolchain that runs this program would be taken for that of the build.
        .env_remove("RUSTUP_TOOLCHAIN")
        .status()
}
