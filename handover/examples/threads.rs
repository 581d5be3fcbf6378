//! A queue between the threads of one process.

use std::thread;

fn main() -> Result<(), handover::Error> {
    let queue = handover::Options::new(1000).threads::<String>()?;
    let mut producer = queue.producer()?;
    thread::spawn(move || {
        for number in 0..3 {
            producer.push(format!("message {number}")).expect("nobody else closes it");
        }
        producer.close();
    });
    for message in queue.consumer()?.messages() {
        println!("{}", message?);
    }
    Ok(())
}
