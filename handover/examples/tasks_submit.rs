//! Tasks on different terms, done by another process, and the result of one of them.

use std::time::Duration;
use std::{env, process};

use handover::Tasks;
use handover::tasks::Options;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(name) = env::args().nth(1) {
        return work(&name);
    }
    let name = format!("jobs-{}", process::id());
    let jobs = Options::new().result_max(64).tries(2).goes_with_last_user().create::<[u8]>(&name)?;
    let submitter = jobs.submitter()?;
    submitter.submit(b"whenever there is time")?;
    submitter.task(b"urgent").priority(7).submit()?;
    submitter.task(b"never works").submit()?;
    submitter.task(b"in a moment").delay(Duration::from_millis(50)).submit()?;
    submitter.task(b"rebuild the index").key("rebuild").submit()?;
    let twice = submitter.task(b"rebuild the index").key("rebuild").submit();
    println!("{}", twice.expect_err("one waits already"));
    let answer = submitter.task(b"6 times 7").priority(0).request()?;

    let mut worker = process::Command::new(env::current_exe()?).arg(&name).spawn()?;
    println!("the answer is {}", String::from_utf8(answer.wait()?)?);
    jobs.close();
    worker.wait()?;
    for letter in jobs.dead_letters() {
        let task = String::from_utf8(letter.task?)?;
        println!("dead: {task}, after {} tries: {}", letter.tries, letter.reason);
    }
    Ok(())
}

fn work(name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let worker = Tasks::<[u8]>::open(name)?.worker()?;
    loop {
        let lease = match worker.take() {
            Ok(lease) => lease,
            Err(handover::Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match lease.task().as_slice() {
            b"never works" => lease.fail("as its name says")?,
            b"6 times 7" => lease.done_with(b"42")?,
            _ => lease.done()?,
        }
    }
}
