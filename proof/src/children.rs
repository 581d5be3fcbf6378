//! Processes of a run: the program starts itself again, with what to do in its arguments.

use std::env;
use std::process::{Command, ExitCode};

use crate::hostile;

/// What a child of each run does, by the first word of its task.
pub fn play(words: &[String]) -> ExitCode {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    match words {
        [run, rest @ ..] if run == "step" => return crate::scenes::play(rest),
        [run, rest @ ..] if run == "step-broadcast" => return crate::kills::broadcast::scenes::play(rest),
        [run, rest @ ..] if run == "step-tasks" => return crate::kills::tasks::scenes::play(rest),
        _ => {}
    }
    if let Some(code) = hostile::child(words) {
        return code;
    }
    eprintln!("proof: no such part of a run: {words:?}");
    ExitCode::from(2)
}

/// This program again, with a task. The tests name the program themselves.
pub fn command(words: &[&str]) -> Command {
    let program =
        env::var_os("PROOF_PROGRAM").map_or_else(|| env::current_exe().expect("this program has a path"), Into::into);
    let mut command = Command::new(program);
    command.arg("child").args(words);
    command
}
