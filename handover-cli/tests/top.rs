//! `top`, in a terminal made for the occasion, with its screen read back.
#![cfg(unix)]

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use std::fs;
use std::io::Write;
use std::process::{self, Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::{Name, Running, eventually, fails, well};
use rustix::process::Signal;
use terminal::{Size, Terminal, status};

const SMALL: Size = (80, 24);
/// Others may have queues while this runs: enough rows for them, too.
const TALL: Size = (100, 90);

fn top(size: Size, arguments: &[&str]) -> Terminal {
    let command = [&[env!("CARGO_BIN_EXE_handover"), "top"], arguments].concat();
    Terminal::run(size, &command, &[])
}

/// A name that comes before those of others.
fn early() -> Name {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Name(format!("0top-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed)))
}

fn create(name: &str, options: &[&str]) {
    well(&[&["create", name][..], options].concat());
}

fn row_of<'a>(screen: &'a str, name: &str) -> Option<&'a str> {
    screen.lines().find(|line| {
        line.get(1..).is_some_and(|line| line.starts_with(&format!("{name} ")))
            || line.starts_with(&format!("›{name} "))
    })
}

fn place_of(screen: &str, name: &str) -> Option<usize> {
    screen.lines().position(|line| line.trim_start_matches(['›', ' ']).starts_with(&format!("{name} ")))
}

/// A producer that is given lines to push.
fn pushing(name: &str) -> (Child, ChildStdin) {
    let mut push = common::handover(&["push", name]).stdin(Stdio::piped()).spawn().unwrap();
    let pipe = push.stdin.take().unwrap();
    (push, pipe)
}

#[test]
fn rates_move_while_messages_flow() {
    let name = early();
    create(&name, &["--capacity", "100"]);
    let terminal = top(TALL, &["--interval", "200ms"]);
    let at_rest = terminal.shows("the queue", |screen| row_of(screen, &name).is_some());
    let row = row_of(&at_rest, &name).unwrap();
    assert!(row.contains(" 0/100 ") && row.contains("stale"), "{row}");

    let mut pop = Running::start(&["pop", &name, "--follow"]);
    let (mut push, mut pipe) = pushing(&name);
    let feeding = thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) && pipe.write_all(b"a line\n").is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let rates = |screen: &str| -> Option<(f64, f64)> {
        let row = row_of(screen, &name)?;
        let mut words = row.split_whitespace().skip_while(|word| !word.contains("/100")).skip(1);
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    let flowing =
        terminal.shows("rates", |screen| rates(screen).is_some_and(|(came, went)| came > 20.0 && went > 20.0));
    let row = row_of(&flowing, &name).unwrap();
    assert!(row.contains("in use") && row.contains('▇'), "{row}");
    let pid = format!(" {} handover ", pop.child().id());
    terminal.shows("its members", |screen| screen.contains(&pid) && screen.contains("producer"));
    feeding.join().unwrap();
    assert!(push.wait().unwrap().success());
    terminal.shows("rest", |screen| rates(screen) == Some((0.0, 0.0)));
}

#[test]
fn queues_are_sorted_as_keys_say() {
    let (few, many) = (early(), early());
    create(&few, &[]);
    create(&many, &[]);
    assert!(common::fed(&["push", &many], b"1\n2\n3\n4\n5\n").status.success());
    well(&["push", &few, "x"]);
    let mut terminal = top(TALL, &["--interval", "50ms"]);
    let first = |one: &Name, other: &Name| {
        let (one, other) = (one.to_string(), other.to_string());
        move |screen: &str| match (place_of(screen, &one), place_of(screen, &other)) {
            (Some(one), Some(other)) => one < other,
            _ => false,
        }
    };
    terminal.shows("the order of names", first(&few, &many));
    terminal.type_keys("s");
    let sorted = terminal.shows("the order of depths", first(&many, &few));
    assert!(sorted.contains("by depth") && sorted.contains("DEPTH▾"), "{sorted}");
    terminal.type_keys("r");
    terminal.shows("it the other way round", |screen| screen.contains("by depth from below"));
    terminal.type_keys("r");
    terminal.shows("it back again", |screen| screen.contains("by depth,"));
    for order in ["rate in", "rate out", "members", "name"] {
        terminal.type_keys("s");
        terminal.shows(order, |screen| screen.contains(&format!("by {order}")));
    }
    terminal.shows("the order of names again", first(&few, &many));
}

#[test]
fn who_pauses_sees_what_stood_there_until_it_goes_on() {
    let name = early();
    create(&name, &[]);
    let mut terminal = top(TALL, &["--interval", "50ms"]);
    terminal.shows("the queue", |screen| row_of(screen, &name).is_some_and(|row| row.contains(" 0/1.0k")));
    terminal.type_keys("p");
    terminal.shows("the pause", |screen| screen.contains("PAUSED"));
    well(&["push", &name, "x"]);
    thread::sleep(Duration::from_millis(300));
    assert!(row_of(&terminal.text(), &name).unwrap().contains(" 0/1.0k"), "{}", terminal.text());
    terminal.type_keys("p");
    let on = terminal.shows("the message", |screen| row_of(screen, &name).is_some_and(|row| row.contains(" 1/1.0k")));
    assert!(!on.contains("PAUSED"), "{on}");
}

#[test]
fn a_task_queue_is_opened_with_its_times_and_workers() {
    let name = early();
    create(&name, &["--kind", "tasks"]);
    for _ in 0..5 {
        well(&["push", &name, "x", "--priority", "6"]);
    }
    {
        let worker = handover::Tasks::<[u8]>::open(&name).unwrap().worker().unwrap();
        (0..3).for_each(|_| worker.take().unwrap().done().unwrap());
    }
    let mut terminal = top(SMALL, &[&name, "--interval", "50ms"]);
    let opened = terminal.shows("it", |screen| screen.contains("2: 2 of priority 6"));
    for part in
        ["a task queue", "5 in, 3 out, 0 failed", "waited", "worked on", "p99", "nobody is attached", "deaths 0"]
    {
        assert!(opened.contains(part), "{part}:\n{opened}");
    }
    let mut work = Running::start(&["work", &name, "--", "sleep", "10"]);
    let line = |screen: &str, pid: u32| {
        screen.lines().any(|line| line.contains("worker") && line.contains(&pid.to_string()) && line.contains("1, for"))
    };
    let pid = work.child().id();
    terminal.shows("who works", |screen| line(screen, pid));
    terminal.type_keys("\x1b");
    terminal.shows("all", |screen| screen.contains("MEMBERS"));
    terminal.type_keys("\r");
    terminal.shows("it again", |screen| line(screen, pid));
    work.child().kill().unwrap();
    work.child().wait().unwrap();
    let dead = |line: &str| line.contains(&format!(" {pid} ")) && line.contains(" dead ");
    terminal.shows("its death", |screen| screen.lines().any(dead));
}

#[test]
fn a_broadcast_tells_how_far_its_readers_are_behind() {
    let name = early();
    create(&name, &["--kind", "broadcast", "--capacity", "16"]);
    let mut subscriber = Running::start(&["subscribe", &name]);
    eventually("a reader", || name.json()["readers"].as_array().unwrap().len() == 1);
    let terminal = top(SMALL, &[&name, "--interval", "50ms"]);
    terminal.shows("the reader", |screen| screen.contains("0, missed 0"));
    common::signal(subscriber.child(), Signal::STOP);
    terminal.shows("that it was stopped", |screen| screen.contains(" stopped "));
    assert!(common::fed(&["publish", &name], b"1\n2\n3\n").status.success());
    terminal.shows("that it is behind", |screen| screen.contains("3, missed 0"));
    common::signal(subscriber.child(), Signal::CONT);
    terminal.shows("that it has read", |screen| screen.contains("0, missed 0"));
}

#[test]
fn hundreds_of_queues_are_scrolled() {
    let first = early();
    create(&first, &[]);
    let names: Vec<Name> = (0..300).map(|number| Name(format!("~top-{}-{number:03}", process::id()))).collect();
    let _queues: Vec<_> = names.iter().map(|name| handover::Options::new(1).create::<[u8]>(name).unwrap()).collect();
    let mut terminal = top((120, 24), &[]);
    terminal.shows("a screenful", |screen| screen.contains(" in use   "));
    for (key, name) in [("G", &names[299]), ("k", &names[298]), ("\x1b[5~", &names[284]), ("\x1b[6~", &names[298])] {
        terminal.type_keys(key);
        terminal.shows(&format!("{key:?} to go to {}", name.0), |screen| screen.contains(&format!("›{}", name.0)));
    }
    terminal.type_keys("g");
    terminal.shows("the first", |screen| screen.contains("›0top"));
}

#[test]
fn a_queue_that_is_removed_is_told_to_be_gone() {
    let name = early();
    create(&name, &[]);
    let mut terminal = top(TALL, &[&name, "--interval", "50ms"]);
    terminal.shows("it", |screen| screen.contains("0 of 1,000"));
    well(&["rm", &name]);
    terminal.shows("that it is gone", |screen| screen.contains("It is gone"));
    create(&name, &["--capacity", "7"]);
    terminal.shows("the new one", |screen| screen.contains("0 of 7"));
    terminal.type_keys("\x7f");
    terminal.shows("all", |screen| row_of(screen, &name).is_some());
    well(&["rm", &name]);
    terminal.shows("it to be gone from there, too", |screen| row_of(screen, &name).is_none());
}

#[test]
fn what_can_not_be_opened_is_shown_with_the_reason() {
    let name = early();
    fs::write(format!("/dev/shm/handover.{}", &*name), "scribble").unwrap();
    let mut terminal = top(TALL, &[&name]);
    terminal.shows("why", |screen| screen.contains("is not a Handover segment"));
    terminal.type_keys("\x1b");
    terminal.shows("all", |screen| row_of(screen, &name).is_some_and(|row| row.contains("segment \"")));
    terminal.type_keys("q");
    assert_eq!(status(terminal.ended()), 0);
}

#[test]
fn a_queue_in_a_file_is_watched_by_its_path() {
    let path = std::env::temp_dir().join(format!("handover-top-{}", process::id()));
    let path = path.to_str().unwrap();
    well(&["create", path, "--capacity", "9"]);
    let mut terminal = top(SMALL, &[path, "--interval", "50ms"]);
    terminal.shows("it", |screen| screen.contains("0 of 9"));
    well(&["push", path, "x"]);
    terminal.shows("a message in it", |screen| screen.contains("1 of 9"));
    terminal.type_keys("q");
    assert!(terminal.ended().success());
    well(&["rm", path]);
}

#[test]
fn the_screen_follows_the_size_of_the_terminal() {
    let name = early();
    create(&name, &[]);
    let mut terminal = top(SMALL, &[]);
    let last = |screen: &str, rows: usize| screen.lines().nth(rows - 1).is_some_and(|line| line.contains("q quit"));
    terminal.shows("the last line", |screen| last(screen, 24));
    terminal.resize((160, 50));
    let wide = terminal.shows("the last line further down", |screen| last(screen, 50));
    assert!(wide.contains("WAITED p50/99"), "{wide}");
    terminal.resize((40, 8));
    terminal.shows("that it is too small", |screen| screen.contains("too small: 60 by 10"));
    terminal.resize(SMALL);
    terminal.shows("the last line again", |screen| last(screen, 24));
}

#[test]
fn keys_are_told_by_the_help() {
    let mut terminal = top(SMALL, &[]);
    terminal.shows("the screen", |screen| screen.contains("q quit"));
    terminal.type_keys("?");
    let help = terminal.shows("the help", |screen| screen.contains("sort by name, depth"));
    assert!(help.contains("Ctrl-C") && help.contains("how long tasks did"), "{help}");
    terminal.type_keys("x");
    terminal.shows("the screen again", |screen| !screen.contains("sort by name, depth"));
    terminal.type_keys("hq");
    assert!(terminal.ended().success());
}

#[test]
fn the_terminal_is_as_it_was_however_it_ends() {
    type End<'a> = (&'a str, i32, &'a dyn Fn(&mut Terminal));
    let ends: [End; 5] = [
        ("q", 0, &|terminal| terminal.type_keys("q")),
        ("Ctrl-C", 0, &|terminal| terminal.type_keys("\x03")),
        ("SIGINT", 130, &|terminal| terminal.signal(Signal::INT)),
        ("SIGTERM", 130, &|terminal| terminal.signal(Signal::TERM)),
        ("SIGHUP", 130, &|terminal| terminal.signal(Signal::HUP)),
    ];
    for (what, expected, end) in ends {
        let mut terminal = top(SMALL, &[]);
        terminal.shows("the screen", |screen| screen.contains("q quit"));
        assert!(terminal.screen().alternate_screen() && terminal.screen().hide_cursor());
        end(&mut terminal);
        assert_eq!(status(terminal.ended()), expected, "{what}");
        terminal.is_as_it_was();
        let told = terminal.last_text();
        assert_eq!(told.contains("interrupted; the terminal is as it was"), expected == 130, "{what}: {told}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn the_terminal_is_as_it_was_after_a_panic() {
    let command = [env!("CARGO_BIN_EXE_handover"), "top"];
    let mut terminal = Terminal::run(SMALL, &command, &[("HANDOVER_TOP_PANICS", "1"), ("RUST_BACKTRACE", "0")]);
    assert_eq!(status(terminal.ended()), 101);
    terminal.is_as_it_was();
    terminal.shows("why", |screen| screen.contains("panicked at") && screen.contains("as asked"));
}

#[test]
fn colours_are_left_off_if_asked() {
    let name = early();
    create(&name, &[]);
    for (settings, coloured) in [(&[("NO_COLOR", "1")][..], false), (&[("NO_COLOR", "")][..], true), (&[][..], true)] {
        let command = [env!("CARGO_BIN_EXE_handover"), "top"];
        let terminal = Terminal::run(SMALL, &command, settings);
        terminal.shows("the screen", |screen| screen.contains("q quit"));
        let screen = terminal.screen();
        let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
        let found = cells.filter_map(|(row, column)| screen.cell(row, column));
        let plain = |color| matches!(color, vt100::Color::Default);
        let colours = found.filter(|cell| !plain(cell.fgcolor()) || !plain(cell.bgcolor())).count();
        assert_eq!(colours > 0, coloured, "{settings:?}: {colours}");
    }
}

#[test]
fn without_a_terminal_or_a_queue_it_says_so() {
    fails(&["top"], 1, "top needs a terminal");
    let name = early();
    let mut terminal = top(SMALL, &[&name]);
    assert_eq!(status(terminal.ended()), 3);
    terminal.shows("why", |screen| screen.contains("does not exist"));
    terminal.is_as_it_was();
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let terminal = top(SMALL, &[]);
    terminal.shows("the screen", |screen| screen.contains("q quit"));
    let mut child = terminal.hang_up();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it goes on without a terminal");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn to_look_keeps_nothing_that_goes_with_its_last_user() {
    let terminal = top(SMALL, &["--interval", "10ms"]);
    terminal.shows("the screen", |screen| screen.contains("q quit"));
    for _ in 0..50 {
        let name = early();
        let queue = handover::Options::new(5).goes_with_last_user().create::<[u8]>(&name).unwrap();
        thread::sleep(Duration::from_millis(3));
        assert!(handover::kind(&name).is_ok(), "removed while it was used");
        drop(queue);
        eventually("it to go", || handover::kind(&name).is_err());
    }
}

#[test]
fn to_look_costs_next_to_nothing() {
    let names: Vec<Name> = (0..5).map(|_| early()).collect();
    names.iter().for_each(|name| create(name, &[]));
    let terminal = top(SMALL, &[]);
    terminal.shows("the screen", |screen| screen.contains("q quit"));
    let spent = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", terminal.pid())).unwrap();
        let words: Vec<u64> =
            stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|w| w.parse().unwrap()).collect();
        // In ticks of 10 ms.
        words.iter().sum::<u64>() * 10
    };
    let before = spent();
    thread::sleep(Duration::from_secs(4));
    // Not optimized, and others run beside it: a tenth of that is usual.
    assert!(spent() - before <= 120, "{} ms of 4000", spent() - before);
}
