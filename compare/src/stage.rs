//! One run, in a process of its own: the queue is made, its endpoints work, and what each did is printed. A run that hangs or
//! crashes is then one run, and leaves nothing behind in the next one's memory.

use std::any::Any;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use disruptor::BusySpin;
use handover::{Consumer, Producer, Queue, Wait};

use crate::contenders::Contender as C;
use crate::ends::{self, Done, Kilobyte, Large, Put, Take, Worded};
use crate::plan::{Plan, Size, Work};
use crate::queues::broadcasts::{Everybody, TokioTake};
use crate::queues::processes::{Handover, options};
use crate::queues::tasks::TaskQueue;
use crate::queues::threads::{DisruptorPut, DisruptorTake, Guarded};
use crate::queues::{Across, PREFIX, Place, brokers, crates, limits, processes as kernel};
use crate::roles::Role;
use crate::shared::board::Board;
use crate::shared::load::{Line, Load, Tally};
use crate::shared::machine;
use crate::shared::processes::{Team, all_handed_over};
use crate::shared::race::Effort;

/// What a child says instead of what it did.
pub const REFUSED: &str = "refused: ";
/// The same, when it had no time to choose its words.
pub const FAILED: &str = "failed: ";

/// In the process of the run.
pub fn play(numbers: &[u64]) {
    say_what_fails();
    let plan = Plan::from_numbers(numbers);
    crossfire::detect_backoff_cfg();
    let done = match plan.cell.size {
        Size::Word => play_with::<u64>(&plan),
        Size::Line => play_with::<Line>(&plan),
        Size::Kilobyte => play_with::<Kilobyte>(&plan),
        Size::Large => play_with::<Large>(&plan),
    };
    match done {
        Ok(done) => done.iter().for_each(|done| println!("{}", done.to_line())),
        Err(why) => println!("{REFUSED}{why}"),
    }
}

/// In the process of one endpoint.
pub fn play_endpoint(numbers: &[u64]) {
    say_what_fails();
    let plan = Plan::from_numbers(&numbers[..Plan::NUMBERS]);
    // The run's process may have been killed before this one asked to go with it; nobody would ever start it.
    if u64::from(std::os::unix::process::parent_id()) != numbers[Plan::NUMBERS + 1] {
        return;
    }
    match plan.cell.size {
        Size::Word => endpoint::<u64>(&plan, numbers),
        Size::Line => endpoint::<Line>(&plan, numbers),
        Size::Kilobyte => endpoint::<Kilobyte>(&plan, numbers),
        Size::Large => endpoint::<Large>(&plan, numbers),
    }
}

fn say_what_fails() {
    std::panic::set_hook(Box::new(|panic| {
        // Nobody may be there to read it.
        let _ = writeln!(std::io::stdout(), "{FAILED}{}", panic.to_string().replace('\n', " "));
        // All of it: the other endpoints would wait for ever.
        std::process::exit(1);
    }));
}

fn play_with<L: Load + std::fmt::Debug>(plan: &Plan) -> Result<Vec<Done>, String>
where
    Producer<L>: Put<L>,
    Consumer<L>: Take<L>,
{
    let cell = plan.cell;
    let capacity = cell.capacity;
    let ours = |one: bool, wait: Wait| {
        on_threads::<L, _, _>(plan, || {
            let queue = options(capacity, one).threads::<L>().expect("a queue");
            (producers(&queue, cell.producers, wait), consumers(&queue, cell.consumers, wait))
        })
    };
    match plan.entry.contender {
        C::Threads => ours(false, Wait::Balanced),
        C::ThreadsSpin => ours(false, Wait::Spin),
        C::ThreadsPark => ours(false, Wait::Park),
        C::OneThreads => ours(true, Wait::Balanced),
        C::OneThreadsSpin => ours(true, Wait::Spin),
        C::OneThreadsPark => ours(true, Wait::Park),
        C::SegmentThreads => on_threads::<L, _, _>(plan, || {
            let queue = options(capacity, false).anonymous::<L>().expect("a queue");
            (producers(&queue, cell.producers, Wait::Balanced), consumers(&queue, cell.consumers, Wait::Balanced))
        }),
        C::Crossbeam => on_threads::<L, _, _>(plan, || spread(plan, crossbeam_channel::bounded::<L>(capacity))),
        C::Crossfire => on_threads::<L, _, _>(plan, || spread(plan, crossfire::mpmc::bounded_blocking::<L>(capacity))),
        C::CrossfireOne => on_threads::<L, _, _>(plan, || pair(crossfire::spsc::bounded_blocking::<L>(capacity))),
        C::Kanal => on_threads::<L, _, _>(plan, || spread(plan, kanal::bounded::<L>(capacity))),
        C::Flume => on_threads::<L, _, _>(plan, || spread(plan, flume::bounded::<L>(capacity))),
        C::Std => on_threads::<L, _, _>(plan, || to_one(plan, std::sync::mpsc::sync_channel::<L>(capacity))),
        C::AsyncChannel => on_threads::<L, _, _>(plan, || spread(plan, async_channel::bounded::<L>(capacity))),
        C::Thingbuf => on_threads::<L, _, _>(plan, || to_one(plan, thingbuf::mpsc::blocking::channel::<L>(capacity))),
        C::Guarded => on_threads::<L, _, _>(plan, || {
            let queue = Guarded::<L>::new(capacity);
            let ends = |count| (0..count).map(|_| Worded(Arc::clone(&queue))).collect::<Vec<_>>();
            (ends(cell.producers), ends(cell.consumers))
        }),
        C::Rtrb => on_threads::<L, _, _>(plan, || pair(rtrb::RingBuffer::<L>::new(capacity))),
        C::Disruptor => on_threads::<L, _, _>(plan, || {
            let builder = disruptor::build_single_producer(capacity, L::default, BusySpin);
            let (poller, builder) = builder.new_event_poller();
            (vec![DisruptorPut(builder.build())], vec![DisruptorTake(poller)])
        }),
        C::AllThreads => to_all::<L, true, 0>(plan),
        C::AllThreadsSpin => to_all::<L, true, 1>(plan),
        C::AllThreadsPark => to_all::<L, true, 2>(plan),
        C::AllThreadsOrdinary => to_all::<L, false, 0>(plan),
        C::Tokio => on_threads::<L, _, _>(plan, || {
            let (sender, _) = tokio::sync::broadcast::channel::<L>(capacity);
            let takes = (0..cell.consumers).map(|_| TokioTake::of(&sender)).collect();
            (vec![sender], takes)
        }),
        C::DisruptorAll if cell.consumers == 1 => on_threads::<L, _, _>(plan, || {
            let builder = disruptor::build_single_producer(capacity, L::default, BusySpin);
            let (poller, builder) = builder.new_event_poller();
            (vec![DisruptorPut(builder.build())], vec![DisruptorTake(poller)])
        }),
        C::DisruptorAll => on_threads::<L, _, _>(plan, || {
            let builder = disruptor::build_single_producer(capacity, L::default, BusySpin);
            let (first, builder) = builder.new_event_poller();
            let (second, mut builder) = builder.new_event_poller();
            let mut takes = vec![DisruptorTake(first), DisruptorTake(second)];
            for _ in 2..cell.consumers {
                let (next, with_it) = builder.new_event_poller();
                builder = with_it;
                takes.push(DisruptorTake(next));
            }
            (vec![DisruptorPut(builder.build())], takes)
        }),
        C::SpunOn => on_threads::<L, _, _>(plan, || {
            let word = limits::SpunOn::default();
            (vec![Worded(word.clone())], vec![Worded(word)])
        }),
        C::SleptOn => on_threads::<L, _, _>(plan, || {
            let word = limits::SleptOn::default();
            (vec![Worded(word.clone())], vec![Worded(word)])
        }),
        C::Stream => on_threads::<L, _, _>(plan, || {
            let (put, take) = limits::stream::<L>(capacity);
            (vec![Worded(put)], vec![Worded(take)])
        }),
        _ => across::<L, _>(plan, How(plan)),
    }
}

fn producers<M: handover::Message + ?Sized>(queue: &Queue<M>, count: usize, wait: Wait) -> Vec<Producer<M>> {
    let make = |_| {
        let mut end = queue.producer().expect("a producer");
        end.set_wait(wait);
        end
    };
    (0..count).map(make).collect()
}

fn consumers<M: handover::Message + ?Sized>(queue: &Queue<M>, count: usize, wait: Wait) -> Vec<Consumer<M>> {
    let make = |_| {
        let mut end = queue.consumer().expect("a consumer");
        end.set_wait(wait);
        end
    };
    (0..count).map(make).collect()
}

fn to_all<L: Load, const GATING: bool, const WAIT: u8>(plan: &Plan) -> Result<Vec<Done>, String> {
    on_threads::<L, _, _>(plan, || {
        let all = Everybody::<GATING, WAIT>::create::<L>(plan.cell.capacity).expect("a broadcast");
        let readers = (0..plan.cell.consumers).map(|_| Everybody::<GATING, WAIT>::reader(&all)).collect();
        (vec![Everybody::<GATING, WAIT>::writer(&all)], readers)
    })
}

/// So many handles and no more: a channel ends with the last of them.
fn spread<P: Clone, T: Clone>(plan: &Plan, (put, take): (P, T)) -> (Vec<P>, Vec<T>) {
    let several = |count| std::iter::repeat_n(take.clone(), count).collect();
    (std::iter::repeat_n(put, plan.cell.producers).collect(), several(plan.cell.consumers))
}

fn to_one<P: Clone, T>(plan: &Plan, (put, take): (P, T)) -> (Vec<P>, Vec<T>) {
    (std::iter::repeat_n(put, plan.cell.producers).collect(), vec![take])
}

fn pair<P, T>((put, take): (P, T)) -> (Vec<P>, Vec<T>) {
    (vec![put], vec![take])
}

fn nothing(pairs: Vec<(u64, u64)>) -> Done {
    let now = machine::now();
    Done { effort: Effort { start: now, end: now, cpu: 0, tally: Tally::default() }, pairs }
}

/// How much memory this process takes beside its program's file, shared memory included, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").expect("what this process has in memory");
    let lines = status.lines().filter(|line| line.starts_with("Pss_Anon:") || line.starts_with("Pss_Shmem:"));
    let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.sum::<u64>() * 1024
}

/// Fills what was just made to three quarters, and says what that took.
fn weigh<L: Load, P: Put<L>, T>(plan: &Plan, before: u64, make: impl FnOnce() -> (P, T)) -> Done {
    let (mut put, _take) = make();
    (0..plan.cell.capacity as u64 * 3 / 4).for_each(|number| put.put(L::of(number)));
    let done = nothing(vec![(resident().saturating_sub(before), 1)]);
    // Ends that wait for somebody to take it all would wait for ever.
    std::mem::forget(put);
    done
}

/// Endpoints as threads of this process.
fn on_threads<L: Load, P: Put<L> + Send, T: Take<L> + Send>(
    plan: &Plan,
    make: impl Fn() -> (Vec<P>, Vec<T>),
) -> Result<Vec<Done>, String> {
    let board = Board::new();
    match plan.work {
        Work::Start { times } => {
            let mut pairs = Vec::new();
            for _ in 0..times {
                let begun = machine::now();
                let ends = make();
                let made = machine::now() - begun;
                drop(ends);
                pairs.push((made, 0));
            }
            return Ok(vec![nothing(pairs)]);
        }
        Work::Weigh => {
            let first = |(mut puts, mut takes): (Vec<P>, Vec<T>)| (puts.remove(0), takes.remove(0));
            return Ok(vec![weigh::<L, P, T>(plan, resident(), || first(make()))]);
        }
        Work::Alone { messages } => {
            let (mut puts, takes) = make();
            let put = puts.first_mut().expect("a producer");
            let begun = machine::now();
            (0..messages).for_each(|number| put.put(L::of(number)));
            let took = machine::now() - begun;
            drop(takes);
            return Ok(vec![nothing(vec![(took, messages)])]);
        }
        _ => {}
    }
    let done = thread::scope(|scope| {
        let board = &board;
        let mut running = Vec::new();
        let (puts, takes) = make();
        if let Work::Trips { .. } = plan.work {
            let (backs, answers) = make();
            let one = |ends: Vec<P>, takes: Vec<T>| ends.into_iter().zip(takes).next().expect("an end each");
            let ((there, answer), (back, question)) = (one(puts, answers), one(backs, takes));
            running.push(scope.spawn(move || ends::ask(plan, board, there, answer)));
            running.push(scope.spawn(move || ends::answer(plan, board, back, question)));
        } else {
            let producers = puts.len();
            for (nth, put) in puts.into_iter().enumerate() {
                running.push(scope.spawn(move || ends::push(plan, nth, board, put)));
            }
            for (nth, take) in takes.into_iter().enumerate() {
                running.push(scope.spawn(move || ends::pop(plan, producers + nth, board, take)));
            }
        }
        board.start(running.len());
        running.into_iter().map(|thread| thread.join().expect("an endpoint")).collect()
    });
    Ok(done)
}

/// What is done with a queue between processes once its type is known.
trait With<L: Load> {
    type Out;
    fn with<Q: Across<L>>(self) -> Self::Out;
}

fn across<L: Load + std::fmt::Debug, W: With<L>>(plan: &Plan, what: W) -> W::Out
where
    Producer<L>: Put<L>,
    Consumer<L>: Take<L>,
{
    match plan.entry.contender {
        C::Processes => what.with::<Handover<false, 0>>(),
        C::ProcessesSpin => what.with::<Handover<false, 1>>(),
        C::ProcessesPark => what.with::<Handover<false, 2>>(),
        C::OneProcesses => what.with::<Handover<true, 0>>(),
        C::OneProcessesSpin => what.with::<Handover<true, 1>>(),
        C::OneProcessesPark => what.with::<Handover<true, 2>>(),
        C::Iceoryx => what.with::<crates::Iceoryx>(),
        C::Cloudtoid => what.with::<crates::Cloudtoid>(),
        C::IpcChannel => what.with::<crates::IpcChannel>(),
        C::DisruptorMp => what.with::<crates::DisruptorMp>(),
        C::ShmemIpc => what.with::<crates::ShmemIpc>(),
        C::Boost => what.with::<kernel::Boost>(),
        C::Mq => what.with::<kernel::Mq>(),
        C::Pipe => what.with::<kernel::Pipe>(),
        C::Socket => what.with::<kernel::Socket>(),
        C::Semaphores => what.with::<kernel::Semaphores>(),
        C::AllProcesses => what.with::<Everybody<true, 0>>(),
        C::AllProcessesSpin => what.with::<Everybody<true, 1>>(),
        C::AllProcessesPark => what.with::<Everybody<true, 2>>(),
        C::AllProcessesOrdinary => what.with::<Everybody<false, 0>>(),
        C::IceoryxAll => what.with::<crates::Iceoryx>(),
        C::DisruptorMpAll => what.with::<crates::DisruptorMp>(),
        C::Tasks => what.with::<TaskQueue<0>>(),
        C::TasksSpin => what.with::<TaskQueue<1>>(),
        C::Redis => what.with::<brokers::Redis>(),
        C::Nats => what.with::<brokers::Nats>(),
        between_threads => unreachable!("{between_threads:?} has no processes"),
    }
}

/// Makes the queue, and has children work on it.
struct How<'p>(&'p Plan);

fn place(plan: &Plan, run: u64, which: u64, nth: usize, board: &Arc<Board>) -> Place {
    Place { name: format!("{PREFIX}.{run}.{which}"), cell: plan.cell, board: Arc::clone(board), nth }
}

fn is_trip(plan: &Plan) -> bool {
    matches!(plan.work, Work::Trips { .. })
}

impl<L: Load> With<L> for How<'_> {
    type Out = Result<Vec<Done>, String>;

    fn with<Q: Across<L>>(self) -> Self::Out {
        let plan = self.0;
        let board = Arc::new(Board::new());
        let run = u64::from(std::process::id());
        match plan.work {
            Work::Start { times } => {
                let mut pairs = Vec::new();
                for which in 0..times {
                    let place = place(plan, run, which, 0, &board);
                    let begun = machine::now();
                    let made = Q::make(&place)?;
                    let created = machine::now() - begun;
                    let again = made.descriptors.iter().map(|fd| fd.try_clone().expect("a descriptor")).collect();
                    // Receivers first, as some senders wait for one. In threads, as some wait for each other.
                    let opened = thread::scope(|scope| {
                        let begun = machine::now();
                        let opening = scope.spawn(|| drop(Q::take(&place, made.descriptors)));
                        // It stays until the receiver, who may wait for it, has seen it.
                        let _put = Q::put(&place, again);
                        opening.join().expect("a receiver");
                        machine::now() - begun
                    });
                    drop(made.keep);
                    pairs.push((created, opened));
                }
                return Ok(vec![nothing(pairs)]);
            }
            Work::Weigh => {
                let place = place(plan, run, 0, 0, &board);
                let before = resident();
                let made = Q::make(&place)?;
                let again = made.descriptors.iter().map(|fd| fd.try_clone().expect("a descriptor")).collect();
                // The receiver in a thread, as some senders wait for it, and for as long as they are there.
                let (opened, weighed) = (board.word(1), board.word(2));
                let done = thread::scope(|scope| {
                    let done = weigh::<L, Q::Put, ()>(plan, before, || {
                        scope.spawn(|| {
                            let _take = Q::take(&place, made.descriptors);
                            board.set(opened, 1);
                            board.await_word(weighed, 1);
                        });
                        let put = Q::put(&place, again);
                        board.await_word(opened, 1);
                        (put, ())
                    });
                    board.set(weighed, 1);
                    done
                });
                drop(made.keep);
                return Ok(vec![done]);
            }
            _ => {}
        }
        let queues = if is_trip(plan) { 2 } else { 1 };
        let mut keep: Vec<Box<dyn Any>> = Vec::new();
        let mut descriptors = vec![board.share()];
        for which in 0..queues {
            let made = Q::make(&place(plan, run, which, 0, &board))?;
            keep.push(made.keep);
            descriptors.extend(made.descriptors);
        }
        let mut team = Team::new(descriptors);
        let endpoints = plan.cell.producers + plan.cell.consumers;
        for nth in 0..endpoints {
            let mut numbers = plan.to_numbers();
            numbers.extend([nth as u64, run]);
            team.enlist(Role::Endpoint, &numbers);
        }
        let starting = Arc::clone(&board);
        // Not waited for: if an endpoint fails before, nobody starts.
        thread::spawn(move || starting.start(endpoints));
        let done = outcome(team)?.iter().map(|line| Done::from_line(line).expect("an endpoint's line")).collect();
        drop(keep);
        Ok(done)
    }
}

/// What all children printed, or what the first that failed said.
fn outcome(mut team: Team) -> Result<Vec<String>, String> {
    let mut running = true;
    while running {
        thread::sleep(Duration::from_millis(2));
        running = false;
        for child in &mut team.children {
            match child.try_wait().expect("a child to wait for") {
                None => running = true,
                Some(status) if status.success() => {}
                Some(status) => {
                    let mut said = String::new();
                    child.stdout.take().expect("piped").read_to_string(&mut said).expect("what the child prints");
                    let why = said.lines().find_map(|line| line.strip_prefix(FAILED)).unwrap_or("without a word");
                    return Err(format!("an endpoint ends with {status}: {why}"));
                }
            }
        }
    }
    Ok(team.results())
}

/// Opens an end of the queue, and works.
struct AtEnd<'p> {
    plan: &'p Plan,
    nth: usize,
    run: u64,
}

impl<L: Load> With<L> for AtEnd<'_> {
    type Out = Done;

    fn with<Q: Across<L>>(self) -> Done {
        let AtEnd { plan, nth, run } = self;
        let mut descriptors: Vec<OwnedFd> = all_handed_over();
        let board = Arc::new(Board::from_fd(descriptors.remove(0)));
        let seconds = if is_trip(plan) { descriptors.split_off(Q::DESCRIPTORS) } else { Vec::new() };
        let [there, back] = [0, 1].map(|which| {
            let nth = if nth < plan.cell.producers { nth } else { nth - plan.cell.producers };
            place(plan, run, which, nth, &board)
        });
        match (is_trip(plan), nth < plan.cell.producers) {
            (true, true) => {
                let put = Q::put(&there, descriptors);
                ends::ask(plan, &board, put, Q::take(&back, seconds))
            }
            (true, false) => {
                let take = Q::take(&there, descriptors);
                ends::answer(plan, &board, Q::put(&back, seconds), take)
            }
            (false, true) => ends::push(plan, nth, &board, Q::put(&there, descriptors)),
            (false, false) => ends::pop(plan, nth, &board, Q::take(&there, descriptors)),
        }
    }
}

fn endpoint<L: Load + std::fmt::Debug>(plan: &Plan, numbers: &[u64])
where
    Producer<L>: Put<L>,
    Consumer<L>: Take<L>,
{
    let (nth, run) = (numbers[Plan::NUMBERS] as usize, numbers[Plan::NUMBERS + 1]);
    let done = across::<L, _>(plan, AtEnd { plan, nth, run });
    println!("{}", done.to_line());
}
