//! What holds for every command: help with examples, ends that are quiet where nobody reads and said once where nothing can be
//! written, signals in the middle of whatever takes long, no colour where none is wanted, full disks.

mod common;

#[cfg(unix)]
use std::fs::{self, File};
use std::io;
#[cfg(unix)]
use std::io::Write;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    ENDS, Name, Running, Signal, commands, eventually, handover, listens, program, refused, run, signal, slower, text,
    well,
};
#[cfg(unix)]
use common::{fed, shell};

#[test]
fn the_help_of_every_command_has_examples_and_says_what_the_exit_status_means() {
    let commands = commands();
    assert!(commands.len() >= 18, "{commands:?}");
    for command in commands {
        let help = well(&[&command, "--help"]);
        assert_eq!(well(&["help", &command]), help);
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{help}"));
        assert!(examples.contains(&format!("handover {command}")), "{help}");
        assert!(help.contains("\nExit status: 0 "), "{help}");
    }
}

#[test]
fn help_fits_the_terminal() {
    for command in commands() {
        let output = handover(&[&command, "--help"]).env("COLUMNS", "80").output().unwrap();
        for line in text(&output.stdout).lines() {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
    }
}

#[test]
fn wherever_things_are_counted_their_number_can_be_said_by_thousands() {
    let name = Name::created(&["--capacity", "2k", "--max-capacity", "1M", "--message-size", "64", "--members", "8"]);
    assert_eq!(name.stat("capacity"), 2000);
    well(&["resize", &name, "3k"]);
    assert_eq!(name.stat("capacity"), 3000);
    well(&["produce", &name, "--rate", "1M", "--count", "2k", "--batch", "1k", "--report", "1k"]);
    assert_eq!(name.stat("pushed"), 2000);
    let popped = run(&["pop", &name, "--count", "1k", "--binary"]);
    assert_eq!(popped.stdout.len(), 1000 * (64 + 4), "{}", text(&popped.stderr));
    well(&["consume", &name, "-n", "1k", "--json"]);
    assert_eq!(name.stat("popped"), 2000);
    well(&["peek", &name, "--count", "1k"]);
    for (command, told) in [
        (&["create", "never", "--capacity", "1.5k"][..], "500, 200k, 1M"),
        (&["create", "never", "--members", "0"], "at least 1"),
        (&["pop", &name, "-n", "many"], "500, 200k, 1M"),
        (&["work", &name, "--jobs", "66k", "--", "true"], "at most 65,535"),
        (&["produce", &name, "--rate", "0"], "at least 1"),
        (&["produce", &name, "--rate", "2G"], "at most 1,000,000,000"),
    ] {
        refused(&run(command), 2, told);
    }
}

/// Segments in which something is, and what prints something of them.
struct Printing {
    names: [Name; 3],
}

impl Printing {
    fn new() -> Printing {
        let [queue, broadcast, tasks] = ["queue", "broadcast", "tasks"].map(|kind| Name::created(&["--kind", kind]));
        for command in [["push", &*queue], ["publish", &broadcast], ["push", &tasks]] {
            well(&[&command[..], &["kept"]].concat());
        }
        Printing { names: [queue, broadcast, tasks] }
    }

    /// What prints without changing anything.
    fn commands(&self) -> Vec<Vec<&str>> {
        let [queue, broadcast, tasks] = &self.names;
        vec![
            vec!["ls"],
            vec!["ls", "--json"],
            vec!["stat", queue],
            vec!["stat", broadcast, "--json"],
            vec!["peek", queue],
            vec!["peek", tasks, "--json"],
            vec!["letters", tasks],
            vec!["pop", queue],
            vec!["pop", queue, "--follow"],
            vec!["pop", tasks],
            vec!["subscribe", broadcast, "--from", "oldest"],
            vec!["completions", "bash"],
            vec!["man"],
            vec!["man", "push"],
        ]
    }

    /// What was not printed was not taken.
    fn all_is_there(&self) {
        let [queue, _, tasks] = &self.names;
        for name in [queue, tasks] {
            assert_eq!(well(&["peek", name]).matches("kept").count(), 1);
        }
    }
}

#[test]
fn where_nobody_reads_every_command_ends_quietly() {
    let printing = Printing::new();
    for command in printing.commands().into_iter().chain([vec!["--help"], vec!["--version"], vec!["push", "--help"]]) {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = handover(&command).stdout(writer).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{command:?}: {output:?}");
    }
    printing.all_is_there();
}

#[test]
#[cfg(unix)]
fn where_nothing_can_be_written_every_command_says_so_once() {
    let printing = Printing::new();
    for command in printing.commands().into_iter().chain([vec!["--help"], vec!["--version"], vec!["push", "--help"]]) {
        let output =
            handover(&command).stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(
            said.starts_with("handover: standard output takes nothing: No space left on device"),
            "{command:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
    }
    printing.all_is_there();
}

#[test]
#[cfg(unix)]
fn reports_that_can_not_be_written_end_what_is_reported() {
    let name = Name::created(&[]);
    for command in
        [&["produce", &*name, "--report", "1"][..], &["consume", &name, "--report", "1"], &["demo", "--seconds", "30"]]
    {
        let output = handover(command).stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(
            said.starts_with("handover: standard output takes nothing: ") && said.lines().count() == 1,
            "{command:?}: {said}"
        );
    }
    // Each was stopped by its first report; what was not told of was not taken.
    assert_eq!((name.stat("pushed"), name.stat("popped"), name.stat("depth")), (1, 0, 1));
}

#[test]
#[cfg(unix)]
fn a_limit_on_files_is_told_and_kills_nobody() {
    let folder = std::env::temp_dir().join(format!("handover-limit-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let name = Name::created(&["--message-size", "4M", "--capacity", "1"]);
    assert!(fed(&["push", &name], &vec![b'x'; 3_000_000]).status.success());
    let at = folder.display();
    let output = shell(&format!(
        "ulimit -f 1000; handover create --file {at}/q --capacity 100000; echo $?; handover pop {} > {at}/out; echo $?",
        &*name
    ));
    let said = text(&output.stderr);
    assert_eq!(text(&output.stdout), "1\n1\n", "{said}");
    let (created, popped) = said.split_once('\n').unwrap();
    assert!(created.contains("can't be reserved") && created.contains("ulimit -f"), "{said}");
    assert!(popped.contains("standard output takes nothing: File too large") && popped.lines().count() == 1, "{said}");
    assert!(!fs::exists(folder.join("q")).unwrap());
    // It is there still.
    assert_eq!(run(&["pop", &name, "--no-wait"]).stdout.len(), 3_000_001);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    // A small disk, of this process and its children alone.
    let alone = |line: &str| shell(&format!("unshare --user --map-root-user --mount bash -c '{line}'"));
    if !alone("mount -t tmpfs -o size=64k none /mnt").status.success() {
        return eprintln!("nobody may mount anything here, so no disk is full");
    }
    let output = alone(
        "mount -t tmpfs -o size=64k none /dev/shm && mount -t tmpfs -o size=64k none /mnt
        handover create large --capacity 100000; echo $?
        handover create --file /mnt/large --capacity 100000; echo $?
        handover create --kind tasks large; echo $?
        handover produce large --create --size 1K; echo $?
        ls -A /dev/shm /mnt
        handover create small --capacity 5 && handover push small fits && handover pop small",
    );
    let said = text(&output.stderr);
    assert_eq!(text(&output.stdout), "1\n1\n1\n1\n/dev/shm:\n\n/mnt:\nfits\n", "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
    for (line, shows) in said.lines().zip(["/dev/shm", "/mnt", "/dev/shm", "/dev/shm"]) {
        assert!(
            line.ends_with(&format!(
                " bytes can't be reserved; make it smaller, or free some (df -h {shows} shows what is there, ulimit -f how large a file may be)"
            )),
            "{line}"
        );
    }
}

/// A command that takes long, as it stands in the middle of it.
struct Long {
    arguments: Vec<String>,
    /// What it is about.
    name: Name,
}

/// All that block, each with what it waits for.
fn that_take_long() -> Vec<Long> {
    let queue = &["--kind", "queue", "--capacity", "2", "--max-capacity", "4"][..];
    let (full, empty) = (2, 0);
    let program = program();
    let table: [(&str, &[&str], &[&str], u32); 15] = [
        ("push", queue, &[], empty),
        ("push", queue, &["stuck"], full),
        ("push", &["--kind", "tasks", "--capacity", "2"], &["stuck"], full),
        ("pop", queue, &[], empty),
        ("pop", queue, &["--follow"], empty),
        ("pop", &["--kind", "tasks"], &[], empty),
        ("publish", &["--kind", "broadcast"], &[], empty),
        ("subscribe", &["--kind", "broadcast"], &[], empty),
        ("work", &["--kind", "tasks"], &["--jobs", "2", "--", &program], empty),
        ("resize", queue, &["1"], full),
        ("resize", &["--kind", "tasks", "--capacity", "2"], &["1"], full),
        ("produce", queue, &[], full),
        ("produce", &["--kind", "tasks"], &["--rate", "1"], empty),
        ("consume", queue, &[], empty),
        ("consume", &["--kind", "broadcast"], &["--json"], empty),
    ];
    let long = |(command, options, arguments, messages): (&str, &[&str], &[&str], u32)| {
        let name = Name::created(options);
        for _ in 0..messages {
            well(&["push", &name, "in it"]);
        }
        let arguments = [&[command, &*name][..], arguments].concat().into_iter().map(str::to_owned).collect();
        Long { arguments, name }
    };
    table.into_iter().map(long).collect()
}

#[test]
fn a_signal_in_the_middle_ends_every_command_at_once_and_leaves_all_in_order() {
    for how in ENDS {
        // Windows does not say which it was.
        let drains = cfg!(unix) && how != Signal::INT;
        for Long { arguments, name } in that_take_long() {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut running = Running(Some(handover(&words).stdin(Stdio::piped()).spawn().unwrap()));
            // Nothing more comes, and it does not end.
            let held_open = running.child().stdin.take();
            in_the_middle(running.child(), &name, words[0]);
            let begun = Instant::now();
            signal(running.child(), how);
            let output = running.output();
            drop(held_open);
            let status = if words[0] == "work" && drains { 0 } else { 130 };
            assert_eq!(output.status.code(), Some(status), "{how:?} {arguments:?}: {output:?}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{how:?} {arguments:?}: {:?}", begun.elapsed());
            said_at_most_once(&output, &arguments);
            // Nobody is attached any more; what ends at any instruction is found dead by the next one.
            let (left, dead) = (name.json().to_string(), words[0] == "resize");
            assert!(
                !left.contains(if dead { "\"alive\":true" } else { "\"alive\":" }),
                "{how:?} {arguments:?}: {left}"
            );
        }
    }
}

/// It listens to signals, and is there, or waits.
fn in_the_middle(child: &Child, name: &Name, command: &str) {
    eventually("it to listen", || listens(child, &ENDS));
    if command == "resize" {
        // Nobody can see that it waits.
        thread::sleep(Duration::from_millis(100) * slower());
    } else {
        eventually("it to attach", || {
            name.json().to_string().contains("\"alive\":true") || name.json()["writer_alive"] == true
        });
    }
}

fn said_at_most_once(output: &Output, arguments: &[String]) {
    let said = text(&output.stderr);
    assert!(
        said.is_empty() || said.starts_with("handover: interrupted") && said.lines().count() == 1,
        "{arguments:?}: {said}"
    );
}

#[test]
#[cfg(unix)]
fn two_terminals_push_and_two_pop_and_each_line_is_on_one_of_them() {
    if !shell("command -v script").status.success() {
        return eprintln!("there is no script(1) here, which makes a terminal");
    }
    let name = Name::created(&["--capacity", "8"]);
    let follow = |extra: &str| {
        let line = format!("handover pop {} --follow {extra}", &*name);
        let folder = std::path::Path::new(env!("CARGO_BIN_EXE_handover")).parent().unwrap().display().to_string();
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut pops = [follow(""), follow("")];
    // On a terminal what is typed are the messages, and Ctrl-D their end.
    let typed = |from: u32, to: u32| {
        let lines = (from..to).map(|number| format!("{number}\\n")).collect::<String>();
        shell(&format!(
            "(printf '{lines}'; sleep 0.3; printf '\\4') | script -qec 'handover push {}' /dev/null",
            &*name
        ))
    };
    thread::scope(|scope| {
        for pushed in [(0, 50), (50, 100)].map(|(from, to)| scope.spawn(move || typed(from, to))) {
            assert!(pushed.join().unwrap().status.success());
        }
    });
    eventually("all to be taken", || name.stat("popped") == 100);
    well(&["close", &name]);
    for pop in &mut pops {
        drop(pop.stdin.take().map(|mut input| input.flush()));
    }
    let mut numbers: Vec<u32> = pops
        .into_iter()
        .flat_map(|pop| {
            let printed = text(&pop.wait_with_output().unwrap().stdout);
            printed.lines().filter_map(|line| line.trim().parse().ok()).collect::<Vec<u32>>()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<u32>>());
}

#[test]
#[cfg(unix)]
fn colour_is_for_terminals_that_want_it() {
    if !shell("command -v script").status.success() {
        return eprintln!("there is no script(1) here, which makes a terminal");
    }
    let on_a_terminal = |line: &str| text(&shell(&format!("TERM=xterm script -qec '{line}' /dev/null")).stdout);
    assert!(on_a_terminal("handover --help").contains('\x1b'));
    for line in
        ["NO_COLOR=1 handover --help", "NO_COLOR=1 handover push", "NO_COLOR=1 handover ls", "handover --help | cat"]
    {
        assert!(!on_a_terminal(line).contains("\x1b["), "{line}");
    }
}
