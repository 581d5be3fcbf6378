//! `bench` and `tune`, through the built command. What is measured is the machine's affair: no test says how fast it is.

mod common;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

#[cfg(unix)]
use common::shell;
use common::{ENDS, KILLED, Name, Running, Signal, eventually, fails, handover, processes_of, run, text, well};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&well(arguments)).unwrap()
}

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = std::env::temp_dir().join(&*Name::new());
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A picture in which something is drawn, whose every element is closed and whose every number is one.
fn assert_is_svg(path: &str) {
    let svg = fs::read_to_string(path).unwrap();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    for line in svg.lines().skip(1).filter(|line| *line != "</svg>") {
        assert!(line.starts_with('<') && (line.ends_with("/>") || line.ends_with("</text>")), "{line}");
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
    }
    assert!(svg.matches("<text").count() > 10 && svg.contains("<circle"), "{svg}");
}

fn assert_is_png(path: &str) {
    let picture = tiny_skia::Pixmap::load_png(Path::new(path)).unwrap();
    let white = picture.pixels().iter().filter(|pixel| pixel.red() == 255 && pixel.blue() == 255).count();
    let all = picture.pixels().len();
    assert!(white > all / 2 && white < all * 99 / 100, "{white} of {all} pixels are white");
}

/// Whatever is said where nobody looks is said without colours and bars.
fn assert_plain(output: &Output) {
    assert!(output.stderr.is_empty() && !output.stdout.contains(&0x1b), "{output:?}");
}

#[test]
fn bench_measures_everything_beside_the_machines_limits() {
    let folder = Folder::new();
    let measured = json(&["bench", "--quick", "--json", "--plot", &folder.file("all.svg")]);
    assert_is_svg(&folder.file("all.svg"));
    assert_eq!((&measured["complete"], &measured["rounds"]), (&true.into(), &2.into()), "{measured:#}");
    let limits = measured["limits"].as_array().unwrap();
    assert!(limits.iter().all(|limit| limit["median"].as_f64().unwrap() > 0.0), "{limits:#?}");
    let figures = measured["figures"].as_array().unwrap();
    for figure in figures {
        let number = |name: &str| figure[name].as_f64().unwrap_or_else(|| panic!("{name}: {figure:#}"));
        assert!(0.0 <= number("least") && number("least") <= number("median"), "{figure:#}");
        assert!(number("median") <= number("greatest"), "{figure:#}");
        assert_eq!(figure["rounds"].as_array().unwrap().len(), 2, "{figure:#}");
        let limit = limits.iter().find(|limit| limit["limit"] == figure["limit"]);
        assert_eq!(limit.is_some(), figure["ratio_to_limit"].is_number(), "{figure:#}");
    }
    for kind in ["queue", "broadcast", "tasks"] {
        for between in ["threads", "processes"] {
            for (measure, wait) in [("throughput", "balanced"), ("round trip", "spin"), ("round trip", "park")] {
                let fits = |figure: &&Value| {
                    figure["kind"] == kind
                        && figure["between"] == between
                        && figure["measure"] == measure
                        && figure["wait"] == wait
                };
                assert!(figures.iter().any(|figure| fits(&figure)), "{kind} {between} {measure} {wait}");
            }
        }
    }
    let has = |name: &str, value: u64| figures.iter().any(|figure| figure[name] == value);
    assert!(has("batch", 32) && has("producers", 4) && has("message_size", 64), "{figures:#?}");
}

#[test]
fn bench_tells_people_in_tables() {
    let folder = Folder::new();
    let output = run(&["bench", "--quick", "--only", "queue,threads", "--plot", &folder.file("figures.png")]);
    assert_is_png(&folder.file("figures.png"));
    assert!(output.status.success(), "{output:?}");
    assert_plain(&output);
    let told = text(&output.stdout);
    for part in ["This machine: ", "Million messages a second", "Round trips in microseconds", "queue for one, 1 to 1 "]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("broadcast") && !told.contains("tasks"), "{told}");
}

#[test]
fn bench_measures_only_what_it_is_asked_for() {
    let only = |what: &str| json(&["bench", "--quick", "--json", "--only", what]);
    let measured = only("latency,tasks");
    let figures = measured["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 4, "spinning and asleep, between threads and between processes: {figures:#?}");
    assert!(figures.iter().all(|figure| figure["kind"] == "tasks" && figure["measure"] == "round trip"));
    let measured = only("limits");
    assert!(measured["figures"].as_array().unwrap().is_empty() && !measured["limits"].as_array().unwrap().is_empty());
}

#[test]
fn tune_without_a_load_finds_what_full_speed_needs() {
    let folder = Folder::new();
    let tuned = json(&["tune", "--quick", "--json", "--plot", &folder.file("curve.png")]);
    assert_is_png(&folder.file("curve.png"));
    assert_eq!((&tuned["complete"], &tuned["load"]), (&true.into(), &Value::Null), "{tuned:#}");
    let speed = tuned["full_speed"].as_array().unwrap();
    assert!(speed.len() > 5 && speed.iter().all(|point| point["messages_a_second"]["median"].as_f64().unwrap() > 0.0));
    let recommended = &tuned["recommended"];
    assert!(speed.iter().any(|point| point["capacity"] == recommended["capacity"]), "{recommended:#}");
    assert_eq!(recommended["capacity"], recommended["capacity_for_95_percent_of_full_speed"]);
    assert_eq!(tuned["waits"].as_array().unwrap().len(), 3);
    assert!(tuned["layouts"].as_array().unwrap().len() >= 4, "{tuned:#}");
    assert!(!recommended["reasons"].as_array().unwrap().is_empty());
}

// Where a name goes with its last user, the command that makes it stays.
#[cfg(unix)]
#[test]
fn what_tune_recommends_for_a_load_can_be_made_as_it_says() {
    for (kind, more) in [("queue", &[][..]), ("queue", &["--producers", "2"]), ("broadcast", &[]), ("tasks", &[])] {
        let load = ["tune", "--quick", "--json", "--rate", "5k", "--burst", "100", "--size", "100", "--kind", kind];
        let tuned = json(&[&load[..], more].concat());
        let recommended = &tuned["recommended"];
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{tuned:#}"));
        assert_eq!((&tuned["load"]["rate"], &tuned["load"]["burst"]), (&5000.into(), &100.into()));
        assert!(number(&tuned["longest_pause_ns"]) > 0.0);
        for point in tuned["under_load"].as_array().unwrap() {
            let share = number(&point["share_that_waited"]["median"]);
            assert!((0.0..=1.0).contains(&share) && number(&point["delay_ns"]["p99_9"]) > 0.0, "{point:#}");
        }
        if let Some(smallest) = recommended["capacity_without_waiting"].as_u64() {
            assert!(number(&recommended["capacity"]) >= smallest as f64, "{recommended:#}");
        }
        let name = Name::new();
        let line = recommended["create"].as_str().unwrap().replace("NAME", &name);
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        assert_eq!(well(&words), "");
        assert_eq!(name.json()["capacity"], recommended["capacity"]);
        assert!(recommended["rust"].as_str().unwrap().contains(&format!("{}", recommended["capacity"])));
    }
}

#[test]
fn tune_shows_the_curve_and_gives_reasons() {
    let folder = Folder::new();
    let output = run(&["tune", "--quick", "--rate", "10k", "--burst", "200", "--plot", &folder.file("curve.svg")]);
    assert!(output.status.success(), "{output:?}");
    assert_plain(&output);
    assert_is_svg(&folder.file("curve.svg"));
    let told = text(&output.stdout);
    for part in [
        "10,000 messages a second, 200 at once",
        "Full speed",
        "└──",
        "had to wait",
        "Recommended: capacity ",
        "By calculation",
        "memory node",
        "  handover create NAME --capacity ",
        "--message-size 64 --producers one",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let braille = told.chars().filter(|letter| ('\u{2801}'..='\u{28ff}').contains(letter)).count();
    assert!(braille > 50, "{told}");
    let code = |line: &&str| line.starts_with("  handover");
    assert!(told.lines().filter(|line| !code(line)).all(|line| line.chars().count() <= 110), "{told}");
}

#[cfg(unix)]
#[test]
fn on_a_terminal_there_are_colours_and_a_bar_and_no_colours_where_none_are_wanted() {
    let on_terminal = |before: &str| {
        let line = format!("{before} script -qec 'stty cols 90; handover tune --quick' /dev/null");
        let output = shell(&line);
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    if !shell("command -v script").status.success() {
        return;
    }
    let colours = ["\x1b[31m", "\x1b[34m"];
    let told = on_terminal("unset NO_COLOR; TERM=xterm");
    assert!(colours.iter().all(|colour| told.contains(colour)) && told.contains(" %  "), "{told}");
    let told = on_terminal("NO_COLOR=1 TERM=xterm");
    assert!(!colours.iter().any(|colour| told.contains(colour)) && told.contains(" %  "), "{told}");
    let without_bar = told.rsplit_once("\x1b[").map_or(&*told, |(_, text)| text);
    assert!(without_bar.contains("Recommended: capacity"), "the bar is gone when the figures come: {told}");
}

#[test]
fn tune_draws_with_plain_letters_where_there_are_no_others() {
    let output = handover(&["tune", "--quick"]).env("TERM", "linux").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains('•') && !told.contains(|letter| ('\u{2801}'..='\u{28ff}').contains(&letter)), "{told}");
}

#[test]
fn a_load_that_is_more_than_can_be_taken_is_said_to_be_so() {
    let tuned = json(&["tune", "--quick", "--json", "--rate", "1M", "--work", "1ms", "--size", "8"]);
    let recommended = &tuned["recommended"];
    assert_eq!(recommended["enough_load_can_be_taken"], false, "{recommended:#}");
    let reason = recommended["reasons"][0].as_str().unwrap();
    assert!(reason.contains("no buffer is large enough"), "{reason}");
}

#[test]
fn an_interrupted_bench_says_what_it_has_measured_and_ends_its_processes() {
    for signal in ENDS {
        let mut bench = Running::start(&["bench", "--only", "processes,queue"]);
        let pid = bench.child().id();
        eventually("a process that is measured", || processes_of(pid) > 1);
        let output = bench.end(signal);
        assert_eq!(output.status.code(), Some(130));
        let said = text(&output.stderr);
        assert!(
            said.contains("interrupted; what was measured so far stands above") && said.lines().count() == 1,
            "{said}"
        );
        assert!(
            text(&output.stdout).contains("cache line, there and back")
                || std::thread::available_parallelism().unwrap().get() == 1
        );
        assert_eq!(processes_of(pid), 0);
    }
}

#[test]
fn an_interrupted_tune_says_what_it_has_measured_and_recommends_nothing() {
    for signal in ENDS {
        let mut tune = Running::start(&["tune", "--json", "--rate", "1k"]);
        let pid = tune.child().id();
        eventually("a process that is measured", || processes_of(pid) > 1);
        let output = tune.end(signal);
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let tuned: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&tuned["complete"], &tuned["recommended"]), (&false.into(), &Value::Null));
        assert!(text(&output.stderr).contains("interrupted"), "{output:?}");
        assert_eq!(processes_of(pid), 0);
    }
}

#[test]
fn what_is_measured_ends_with_a_command_that_is_killed() {
    for arguments in [&["bench", "--only", "processes,throughput"][..], &["tune"]] {
        let mut command = Running::start(arguments);
        let pid = command.child().id();
        eventually("a process that is measured", || processes_of(pid) > 1);
        assert_eq!(command.end(Signal::KILL).status.code(), KILLED.0);
        eventually("its processes to end", || processes_of(pid) == 0);
    }
}

#[cfg(unix)]
#[test]
fn tables_fit_the_terminal() {
    let on_terminal = |columns: usize| {
        let bench = "handover bench --quick --only limits,latency,threads 2>/dev/null";
        text(&shell(&format!("script -qec 'stty cols {columns}; {bench}' /dev/null")).stdout)
    };
    if !shell("command -v script").status.success() {
        return;
    }
    for (columns, rounds) in [(80, false), (120, true)] {
        let told = on_terminal(columns);
        assert!(told.contains("\nqueue, asleep ") && told.contains("threads"), "{told}");
        assert_eq!(told.contains('['), rounds, "{told}");
        for line in told.lines() {
            assert!(line.trim_end().chars().count() <= columns, "{columns}: {line}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_killed_process_that_is_measured_is_told_and_nothing_hangs() {
    let mut bench = Running::start(&["bench", "--only", "processes,throughput"]);
    let pid = bench.child().id();
    let mut victim = None;
    eventually("a process that is measured", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        victim = children.split_whitespace().next().and_then(|child| child.parse::<i32>().ok());
        victim.is_some()
    });
    let victim = rustix::process::Pid::from_raw(victim.unwrap()).unwrap();
    // It may have ended by itself in the very moment; then the next one is.
    let _ = rustix::process::kill_process(victim, Signal::KILL);
    let output = bench.output();
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("a process that was measured ended")
            || output.status.success(),
        "{said}"
    );
    assert_eq!(processes_of(pid), 0);
}

#[test]
fn bench_and_tune_end_quietly_when_nobody_reads_on() {
    for arguments in [&["bench", "--quick", "--only", "limits"][..], &["tune", "--quick"]] {
        let mut command = handover(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(command.stdout.take());
        let mut said = String::new();
        command.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(command.wait().unwrap().success() && said.is_empty(), "{said}");
    }
}

#[test]
fn what_can_not_be_meant_is_refused_before_anything_is_measured() {
    for arguments in [
        &["bench", "--only", "everything"][..],
        &["bench", "--plot", "figures.gif"],
        &["bench", "5"],
        &["tune", "--burst", "5"],
        &["tune", "--rate", "0"],
        &["tune", "--rate", "1.5k"],
        &["tune", "--size", "0"],
        &["tune", "--size", "2M"],
        &["tune", "--producers", "0"],
        &["tune", "--kind", "broadcast", "--producers", "2"],
        &["tune", "--work", "5s"],
        &["tune", "--pause", "5ms"],
        &["tune", "--rate", "1k", "--burst", "9M"],
        &["tune", "--plot", "curve"],
    ] {
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(refused.stdout.is_empty() && text(&refused.stderr).contains("--help"), "{arguments:?}: {refused:?}");
    }
    for command in ["bench", "tune"] {
        fails(&[command, "--plot", "no/such/folder/plot.svg"], 1, "name a file in a folder that exists");
    }
}
