//! Prices fanned out to processes: one writer, and readers that each see every price, or are told how many they missed.

use std::{env, process};

use handover::broadcast::{Broadcast, Options, Start};
use handover::zerocopy::{FromBytes, Immutable, IntoBytes};

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[zerocopy(crate = "handover::zerocopy")]
#[repr(C)]
struct Quote {
    instrument: u32,
    size: u32,
    price: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(name) = env::args().nth(1) {
        return read(&name);
    }
    let name = format!("quotes-{}", process::id());
    // Quotes are kept for readers that lag: so many.
    let quotes = Options::new(1024).goes_with_last_user().create::<Quote>(&name)?;
    let mut writer = quotes.writer()?;
    let readers: Result<Vec<process::Child>, _> =
        (0..2).map(|_| process::Command::new(env::current_exe()?).arg(&name).spawn()).collect();
    // The writer waits for nobody; here it waits until there is somebody.
    while quotes.report().readers.len() < 2 {
        std::thread::yield_now();
    }
    for tick in 0..10_000 {
        writer.publish(Quote { instrument: tick % 3, size: 100, price: 10_000 + u64::from(tick) })?;
    }
    writer.close();
    for mut reader in readers? {
        reader.wait()?;
    }
    Ok(())
}

fn read(name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut reader = Broadcast::<Quote>::open(name)?.reader(Start::Oldest)?;
    let (mut seen, mut missed, mut last) = (0, 0, [0; 3]);
    loop {
        match reader.next() {
            Ok(quote) => {
                seen += 1;
                last[quote.message.instrument as usize] = quote.message.price;
            }
            Err(handover::Error::Missed { count }) => missed += count,
            Err(handover::Error::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{} quotes seen or known to be missed, last prices {last:?}", seen + missed);
    Ok(())
}
