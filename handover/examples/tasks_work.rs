//! A worker that is killed in the middle of a task, and another that is given it.

use std::io::{BufRead, BufReader};
use std::time::Duration;
use std::{env, process, thread};

use handover::Tasks;
use handover::tasks::Options;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(name) = env::args().nth(1) {
        // Finishes its task when it is asked to end by SIGTERM or Ctrl-C, and leaves when the queue is closed and drained.
        Tasks::<u64>::open(&name)?.worker()?.run(|lease| {
            println!("task {}, try {}", lease.task(), lease.tries());
            thread::sleep(Duration::from_secs(3600));
            Ok::<(), String>(())
        })?;
        return Ok(());
    }
    let name = format!("jobs-{}", process::id());
    let jobs = Options::new().goes_with_last_user().create::<u64>(&name)?;
    jobs.submitter()?.submit_batch([1, 2, 3])?;

    let mut command = process::Command::new(env::current_exe()?);
    let mut first = command.arg(&name).stdout(process::Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(first.stdout.take().expect("piped")).read_line(&mut line)?;
    print!("{line}");
    first.kill()?; // SIGKILL, an hour before it is done

    jobs.close();
    let done = jobs.worker()?.run(|lease| {
        println!("task {}, try {}", lease.task(), lease.tries());
        Ok::<(), String>(())
    })?;
    println!("{done} done");
    first.wait()?;
    Ok(())
}
