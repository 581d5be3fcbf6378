//! A terminal made for the occasion: a program runs in it, keys are typed, and what it shows is read back.
#![allow(dead_code, reason = "each program that uses it is one of its own, and none uses everything")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

/// Columns and rows.
pub type Size = (u16, u16);

pub struct Terminal {
    /// The end at which a person would sit.
    person: File,
    /// The program's end, kept open so that it can be looked into when the program is gone.
    program: OwnedFd,
    shown: Arc<Mutex<vt100::Parser<Frames>>>,
    child: Ended,
    /// What was set before the program began.
    before: String,
    looking_away: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Runs a command in a new terminal of that size.
    pub fn run<S: AsRef<OsStr>>(size: Size, command: &[S], settings: &[(&str, &str)]) -> Terminal {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let program = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        tcsetwinsize(&person, winsize(size)).unwrap();
        let before = set(&program);
        let stream = || Stdio::from(program.try_clone().unwrap());
        // In a session of its own, of which this is the terminal: the same process goes on as the command.
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(command)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(settings.iter().copied())
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        let shown =
            Arc::new(Mutex::new(vt100::Parser::new_with_callbacks(some(size.1), some(size.0), 0, Frames::default())));
        let person = File::from(person);
        let looking_away = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (mut person, shown, looking_away) =
                (person.try_clone().unwrap(), Arc::clone(&shown), Arc::clone(&looking_away));
            move || {
                let (mut bytes, moment) = ([0; 4096], Timespec { tv_sec: 0, tv_nsec: 20_000_000 });
                while !looking_away.load(Relaxed) {
                    if poll(&mut [PollFd::new(&person, PollFlags::IN)], Some(&moment)).unwrap() > 0 {
                        // It fails when nobody is at the other end any more.
                        let Ok(count) = person.read(&mut bytes) else { return };
                        shown.lock().unwrap().process(&bytes[..count]);
                    }
                }
            }
        });
        Terminal { person, program, shown, child: Ended(Some(child)), before, looking_away, reader }
    }

    pub fn pid(&self) -> u32 {
        self.child.0.as_ref().unwrap().id()
    }

    pub fn type_keys(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, size: Size) {
        self.shown.lock().unwrap().screen_mut().set_size(some(size.1), some(size.0));
        tcsetwinsize(&self.person, winsize(size)).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.0.as_ref().unwrap()), signal).unwrap();
    }

    /// What is to be seen now, or as soon as it is drawn to its end.
    pub fn screen(&self) -> vt100::Screen {
        let begun = Instant::now();
        loop {
            let shown = self.shown.lock().unwrap();
            if !shown.callbacks().drawing || begun.elapsed() > Duration::from_secs(5) {
                return shown.screen().clone();
            }
            drop(shown);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What is to be read now, a line each.
    pub fn text(&self) -> String {
        self.screen().contents()
    }

    /// Waits until something is to be seen, and returns it.
    #[track_caller]
    pub fn shows(&self, what: &str, seen: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if seen(&text) {
                return text;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "still waiting for {what}:\n{text}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the terminal away, as when a connection is lost, and returns the program that was in it.
    pub fn hang_up(self) -> Child {
        let Terminal { person, program, mut child, looking_away, reader, .. } = self;
        looking_away.store(true, Relaxed);
        reader.join().unwrap();
        drop((person, program));
        child.0.take().unwrap()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.0.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// How it ended.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.0.as_mut().unwrap().try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "still running:\n{}", self.text());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What is to be read when all that the program wrote is shown, for one that has ended.
    pub fn last_text(&self) -> String {
        const MARK: &str = "that was all";
        rustix::io::write(&self.program, MARK.as_bytes()).unwrap();
        self.shows("what was written last", |text| text.contains(MARK))
    }

    /// Whether the terminal is as the program found it: as it was set, out of the other screen, with a cursor.
    #[track_caller]
    pub fn is_as_it_was(&self) {
        let now = set(&self.program);
        assert_eq!(now, self.before);
        self.shows("the first screen", |_| {
            let screen = self.screen();
            !screen.alternate_screen() && !screen.hide_cursor()
        });
    }
}

/// As the terminal is set now, in words that can be compared.
fn set(terminal: impl AsFd) -> String {
    format!("{:?}", tcgetattr(terminal).unwrap())
}

fn some(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has columns and rows")
}

fn winsize((columns, rows): Size) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The status as a shell would tell it.
pub fn status(ended: ExitStatus) -> i32 {
    ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0))
}

/// Whether the program has said that it is about to draw, and not that it is done.
#[derive(Default)]
struct Frames {
    drawing: bool,
}

impl vt100::Callbacks for Frames {
    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        first: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        letter: char,
    ) {
        if first == Some(b'?') && parameters == [&[2026]] {
            self.drawing = letter == 'h';
        }
    }
}

/// Ends the program, unless somebody else has taken it over.
struct Ended(Option<Child>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
