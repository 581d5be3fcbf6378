//! `work`: a command for each task.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use clap::Args;
use handover::Error;
use handover::tasks::{Lease, Worker};

use crate::interrupt::{Interrupt, LOOK};
use crate::system::child::Bond;
use crate::system::companion::Companion;
use crate::system::programs;
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;

#[derive(Args, Debug)]
pub(crate) struct Work {
    /// The name of a task queue; with a slash in it, the path of its file.
    name: Target,
    /// How many tasks are worked on at a time.
    #[arg(long, short, value_name = "N", default_value = "1", value_parser = units::count::<u16>)]
    jobs: u16,
    /// What is run for each task, with its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

pub(crate) const EXAMPLE: &str = "\
The command has the task on its standard input, its number in HANDOVER_TASK, and in HANDOVER_TRY which try it is. If it
ends with exit status 0 the task is done; else it has failed, and is tried again later or becomes a dead letter.

It works until the queue is closed and nothing is left. SIGTERM and Ctrl-C let the tasks in work be finished, and then it
leaves; a second one ends it at once. However it ends, the commands that it still runs are killed with it (what these
have started in turn is theirs to end), and another worker has their tasks within milliseconds.

Examples:
  handover work jobs -- sh -c 'read file && gzip \"$file\"'
  handover work jobs --jobs 8 -- ./resize-picture";

pub(crate) fn work(wanted: &Work) -> Result<(), Trouble> {
    let tasks = wanted.name.tasks()?;
    // A command that isn't there must not cost any task a try.
    let program = find(&wanted.command[0])?;
    let interrupt = Interrupt::listen()?;
    let _bond = Bond::tie()?;
    let leave = AtomicBool::new(false);
    let mut workers = Vec::new();
    for _ in 0..wanted.jobs {
        workers.push(tasks.worker()?);
    }
    let (interrupt, leave, program) = (&interrupt, &leave, program.as_path());
    let one = |worker: &Worker<[u8]>| {
        let stop = || interrupt.asked() || leave.load(Relaxed);
        let result = until_stopped(worker, &stop, |lease| {
            run(program, &wanted.command, lease).map_err(|error| {
                let program = program.display();
                Trouble::Failed(format!("{program} can't be run: {error}; its task was given back"))
            })
        });
        if result.is_err() {
            leave.store(true, Relaxed);
        }
        result
    };
    thread::scope(|scope| -> Result<(), Trouble> {
        let threads: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || one(&worker))).collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect();
        results.into_iter().collect()
    })?;
    if interrupt.by_ctrl_c() {
        return Err(Trouble::Interrupted("the tasks in work were finished"));
    }
    Ok(())
}

/// What the command said of its task.
type Said = Result<(), String>;

fn until_stopped(
    worker: &Worker<[u8]>,
    stop: &dyn Fn() -> bool,
    run: impl Fn(&Lease<'_, [u8]>) -> Result<Said, Trouble>,
) -> Result<(), Trouble> {
    while !stop() {
        let lease = match worker.take_timeout(LOOK) {
            Ok(lease) => lease,
            Err(Error::Empty) => continue,
            Err(Error::Closed) => break,
            Err(error) => return Err(error.into()),
        };
        let (id, tries) = (lease.id(), lease.tries());
        // Where it can't be run, its lease is dropped: the task is another worker's.
        let said = run(&lease)?;
        if let Err(reason) = &said {
            tell(&format!("task {id}, try {tries}: {reason}"));
        }
        let heard = match said {
            Ok(()) => lease.done(),
            Err(reason) => lease.fail(&reason),
        };
        match heard {
            // It was too slow, and the next one may not be.
            Err(error @ Error::LeaseLost) => tell(&format!("task {id}: {error}")),
            other => other?,
        }
    }
    Ok(())
}

/// Nobody may be there to read it.
fn tell(what: &str) {
    let _ = writeln!(io::stderr(), "handover: {what}");
}

fn run(program: &Path, command: &[OsString], lease: &Lease<'_, [u8]>) -> io::Result<Said> {
    let (task, tries) = (lease.id().to_string(), lease.tries().to_string());
    // This thread ends after it: it waits below.
    let mut companion = Companion::start(program, command, |started| {
        started.env("HANDOVER_TASK", task).env("HANDOVER_TRY", tries).stdin(Stdio::piped())
    })?;
    let mut input = companion.input().expect("piped");
    match input.write_all(lease.task()) {
        // It need not read its task.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            companion.kill();
            return Err(error);
        }
        _ => drop(input),
    }
    let status = companion.wait()?;
    Ok(if status.success() { Ok(()) } else { Err(programs::ended(status)) })
}

/// The program that a command names.
fn find(command: &OsString) -> Result<PathBuf, Trouble> {
    let missing = || Trouble::Failed(format!("there is no program {}; check its name", command.display()));
    programs::find(command).ok_or_else(missing)
}
