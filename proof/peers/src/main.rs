//! Other people's queues, and this project's, under the same random kills.
//!
//! Two senders and two receivers, each a process. Every few milliseconds one of them, whichever, is killed (`SIGKILL`)
//! and another takes its seat. A ledger beside the queue says what was sent and what arrived.

mod ledger;
mod queues;

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use clap::Parser;
use ledger::{At, Ledger, SEATS};
use queues::Queue;

/// Run queues under random kills, and say what became of their messages.
#[derive(Parser)]
#[command(name = "peers", max_term_width = 100)]
struct Arguments {
    /// For how long each is run.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Only this one: handover, boost, cloudtoid, iceoryx2 or iceoryx2-discarding.
    #[arg(long)]
    only: Option<String>,
    /// Another seed kills others at other times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One process of a run.
    #[arg(long, hide = true, num_args = 4)]
    child: Vec<String>,
}

/// If nothing arrives for so long, nobody more is killed until something does: recovery may need the living, and time.
const STANDS_STILL: Duration = Duration::from_millis(500);
/// If nothing arrives for so long after the last was sent, it is empty: longer than any of them takes to recover.
const EMPTIES: Duration = Duration::from_secs(12);
/// If nothing arrives for so long, although senders and receivers live and are let live, it hangs. One of the queues
/// takes 10 s to declare somebody dead.
const HANGS: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let [queue, name, seat, ledger] = &arguments.child[..] {
        return work(queue, name, seat.parse().unwrap_or(SEATS), ledger);
    }
    println!(
        "| queue | version | kills | sent | arrived | lost | doubled, unmarked | marked | garbage | longest standstill | hung | usable after |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|");
    for queue in Queue::ALL {
        if arguments.only.as_ref().is_none_or(|only| only == queue.name()) {
            match queue.version() {
                Some(version) => run(queue, &version, &arguments),
                None => println!("| {} | not installed |", queue.name()),
            }
        }
    }
    println!(
        "\nlost: sending returned, and nobody received it. Where a queue can't be asked to keep a message until its \
         receiver has noted it, as many as receivers were killed in the call may have been in their hands: those are \
         taken off (\"in hand\"). iceoryx2 here is publish and subscribe: each reader gets all, a message is lost if no \
         reader got it, and a sender knows that some reader's buffer took it when sending returned."
    );
    ExitCode::SUCCESS
}

/// Even seats send, odd ones receive.
fn work(queue: &str, name: &str, seat: usize, ledger: &str) -> ExitCode {
    let Some(queue) = Queue::ALL.into_iter().find(|known| known.name() == queue) else { return ExitCode::FAILURE };
    let Ok(ledger) = Ledger::open(ledger) else { return ExitCode::FAILURE };
    if seat.is_multiple_of(2) {
        let Some(mut send) = queue.sender(name) else { return ExitCode::FAILURE };
        while let Some(message) = ledger.begin() {
            ledger.is_at(seat, At::Inside);
            while !send(message) {}
            ledger.sent(message);
            ledger.is_at(seat, At::Between);
        }
    } else {
        let Some(mut receive) = queue.receiver(name) else { return ExitCode::FAILURE };
        loop {
            ledger.is_at(seat, At::Inside);
            receive(&mut |message, marked| {
                let known = ledger.received(message, marked);
                ledger.count(seat, !known);
            });
            ledger.is_at(seat, At::Between);
        }
    }
    ExitCode::SUCCESS
}

/// The processes on their seats, killed when this goes.
struct Seats<'a> {
    queue: Queue,
    name: &'a str,
    ledger: &'a Ledger,
    children: Vec<(Child, Instant)>,
    kills: u64,
    /// Receivers that were killed in a call.
    in_hand: u64,
}

impl Seats<'_> {
    fn start(&self, seat: usize) -> (Child, Instant) {
        let mut command = Command::new(env::current_exe().expect("this program has a path"));
        command.args(["--child", self.queue.name(), self.name, &seat.to_string(), &ledger_name(self.name)]);
        // What the peers say of the dead they find is not for the table.
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        (child.expect("this program can be started again"), Instant::now())
    }

    fn fill(&mut self) {
        for seat in 0..SEATS {
            self.ledger.is_at(seat, At::Beginning);
            let child = self.start(seat);
            self.children.push(child);
        }
    }

    fn kill(&mut self, seat: usize) {
        let (child, _) = &mut self.children[seat];
        let _ = child.kill();
        let _ = child.wait();
        self.kills += 1;
        if seat % 2 == 1 && self.ledger.at(seat) == At::Inside {
            self.in_hand += 1;
        }
        self.ledger.is_at(seat, At::Beginning);
    }

    fn replace(&mut self, seat: usize) {
        self.kill(seat);
        self.children[seat] = self.start(seat);
    }

    /// Whoever could not begin, or ended, is started again; that is no kill.
    fn tend(&mut self) {
        for seat in 0..SEATS {
            if self.children[seat].0.try_wait().is_ok_and(|status| status.is_some()) {
                self.children[seat] = self.start(seat);
            }
        }
    }

    fn clear(&mut self) {
        for (child, _) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.children.clear();
    }
}

impl Drop for Seats<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

fn ledger_name(name: &str) -> String {
    format!("{name}-ledger")
}

/// Removes a queue and its ledger, however the run ends.
struct Named(Queue, String);

impl Drop for Named {
    fn drop(&mut self) {
        self.0.remove(&self.1);
        let _ = handover::SharedMemory::remove(&ledger_name(&self.1));
    }
}

fn run(queue: Queue, version: &str, arguments: &Arguments) {
    let named = Named(queue, format!("peers-{}-{}", queue.name(), process::id()));
    let name = named.1.as_str();
    let ledger = Ledger::create(&ledger_name(name)).expect("memory for the ledger");
    let kept = queue.prepare(name);
    let mut seats = Seats { queue, name, ledger: &ledger, children: Vec::new(), kills: 0, in_hand: 0 };
    seats.fill();

    let mut random = arguments.seed | 1;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random >> 11
    };
    let start = Instant::now();
    let (mut arrived, mut moved, mut still) = (0, Instant::now(), Duration::ZERO);
    let (mut hung, mut kills_then) = (None, 0);
    // A standstill that began in time is seen to its end.
    while (start.elapsed().as_secs_f64() < arguments.seconds || moved.elapsed() > STANDS_STILL) && !ledger.is_full() {
        thread::sleep(Duration::from_micros(1000 + next() % 6000));
        seats.tend();
        let seat = next() as usize % SEATS;
        let let_live = moved.elapsed() > STANDS_STILL;
        // One that has not got to work is let begin: starting takes longer than the time between two kills.
        if !let_live && ledger.at(seat) != At::Beginning {
            seats.replace(seat);
        }
        let now = ledger.counts().0;
        still = still.max(moved.elapsed());
        if now != arrived {
            (arrived, moved, kills_then) = (now, Instant::now(), seats.kills);
        } else if moved.elapsed() > HANGS {
            hung = Some(moved.duration_since(start));
            break;
        }
    }
    // Nothing more is killed. What is still in the queue has time to arrive.
    let mut emptied = Instant::now();
    if hung.is_none() {
        ledger.end();
        while emptied.elapsed() < EMPTIES {
            thread::sleep(Duration::from_millis(5));
            // Senders have ended.
            for seat in [1, 3] {
                if seats.children[seat].0.try_wait().is_ok_and(|status| status.is_some()) {
                    seats.children[seat] = seats.start(seat);
                }
            }
            let now = ledger.counts().0;
            if now != arrived {
                (arrived, emptied) = (now, Instant::now());
            }
        }
    }
    // The receivers' last call is one without a message: they have nothing in their hands.
    let in_hand = seats.in_hand;
    let kills = seats.kills;
    seats.clear();
    drop(seats);
    let balance = ledger.balance(queue.all_get_all());
    let (_, garbage) = ledger.counts();
    let excused = if queue.notes_before_it_takes() { 0 } else { in_hand.min(balance.missing) };
    let lost = match (hung, excused) {
        // What is stuck in a queue that hangs is not lost but out of reach.
        (Some(_), _) => format!("{} out of reach", balance.missing),
        (None, 0) => balance.missing.to_string(),
        (None, excused) => format!("{} ({excused} in hand)", balance.missing - excused),
    };
    let doubled = if queue.all_get_all() { "-".to_owned() } else { balance.doubled.to_string() };
    let hung = hung.map_or("no".to_owned(), |after| format!("after {:.2} s, {kills_then} kills", after.as_secs_f64()));
    let usable = if usable(queue, name) { "yes" } else { "no, until it is removed" };
    drop(kept);
    println!(
        "| {} | {version} | {kills} | {} | {arrived} | {lost} | {doubled} | {} | {garbage} | {:.0} ms | {hung} | {usable} |",
        queue.name(),
        balance.sent,
        balance.redelivered,
        still.as_secs_f64() * 1e3,
    );
}

/// Whether new processes can use the same queue, all others being dead, without its being removed.
fn usable(queue: Queue, name: &str) -> bool {
    let _ = handover::SharedMemory::remove(&ledger_name(name));
    let ledger = Ledger::create(&ledger_name(name)).expect("memory for the ledger");
    let mut seats = Seats { queue, name, ledger: &ledger, children: Vec::new(), kills: 0, in_hand: 0 };
    seats.fill();
    let start = Instant::now();
    let mut moves = 0;
    // More than is left in it.
    while moves < 10_000 && start.elapsed() < HANGS {
        thread::sleep(Duration::from_millis(5));
        seats.tend();
        moves = ledger.counts().0;
    }
    moves >= 1000
}
