//! A queue between two processes: the second is this program once more, told the queue's name.

use handover::{Options, Queue};
use std::{env, process};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(name) = env::args().nth(1) {
        for number in Queue::<u64>::open(&name)?.consumer()?.messages() {
            println!("{}", number?);
        }
        return Ok(());
    }
    let name = format!("numbers-{}", process::id());
    let queue = Options::new(1000).goes_with_last_user().create::<u64>(&name)?;
    let mut child = process::Command::new(env::current_exe()?).arg(&name).spawn()?;
    queue.producer()?.push_batch(0..3)?;
    queue.close();
    child.wait()?;
    Ok(())
}
