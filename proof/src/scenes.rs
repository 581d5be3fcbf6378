//! What a stepped process does, in which state of the queue, and what may be found when it dies in it.

use std::collections::VecDeque;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use handover::{Consumer, Options, Producer, Queue, Role, Wait};

use crate::step::{Page, Shared, between_marks, reported};

/// A message of four words that must agree.
pub type Wide = [u64; 4];

/// The message of that number.
pub fn wide(number: u64) -> Wide {
    [number, !number, number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number.rotate_left(17) ^ 0x5555_5555]
}

/// The number of a message, if it is whole.
pub fn number(message: &Wide) -> Option<u64> {
    (*message == wide(message[0])).then_some(message[0])
}

/// How many messages the operations on batches are for.
pub const BATCH: usize = 3;

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All there are.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// What it is called.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The one of that name.
            pub fn of(word: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// What the stepped process does.
    Operation {
        /// One message, where there is room.
        Push = "push",
        /// The first push of a new handle, which searches for the dead before it.
        FirstPush = "first-push",
        /// As many of three messages as there is room for.
        PushBatch = "push-batch",
        /// A loan that is written and sent.
        LoanSend = "loan-send",
        /// A loan that is given up.
        LoanDrop = "loan-drop",
        /// A push into a full ring, until somebody makes room.
        PushBlocked = "push-blocked",
        /// One message, where there is one.
        Pop = "pop",
        /// The first pop of a new handle.
        FirstPop = "first-pop",
        /// Up to three messages.
        PopBatch = "pop-batch",
        /// A message received in place and finished.
        ReceiveDone = "receive-done",
        /// A message received in place and handed back.
        ReceiveDrop = "receive-drop",
        /// A pop from an empty ring, until somebody pushes.
        PopBlocked = "pop-blocked",
        /// Closing the queue.
        Close = "close",
        /// A new producer.
        AttachProducer = "attach-producer",
        /// A new consumer.
        AttachConsumer = "attach-consumer",
        /// A producer that leaves.
        DetachProducer = "detach-producer",
        /// A consumer that leaves.
        DetachConsumer = "detach-consumer",
        /// A new queue with a name.
        Create = "create",
        /// Opening a queue by its name.
        Open = "open",
        /// Opening one that is there, or is not.
        OpenOrCreate = "open-or-create",
        /// The last user's leave of a queue that goes with it.
        Leave = "leave",
    }
}

words! {
    /// Which ring.
    Ring {
        /// Any number of producers and consumers.
        Many = "many",
        /// One of each.
        One = "one",
    }
}

words! {
    /// What the queue holds before.
    State {
        /// Nothing.
        Empty = "empty",
        /// One message.
        Single = "one",
        /// All but one slot.
        AlmostFull = "one-short",
        /// Every slot.
        Full = "full",
        /// The next slots are the ring's last and its first.
        Wrapping = "wrapping",
        /// A message that was handed back, and one that nobody has had.
        Orphan = "orphan",
        /// A push that came to nothing, and a message behind it.
        Void = "void",
        /// Nothing but pushes that came to nothing, in every slot.
        Voids = "voids",
    }
}

impl Operation {
    /// The kind of handle it is about.
    pub fn role(self) -> Option<Role> {
        use Operation::*;
        match self {
            Push | FirstPush | PushBatch | LoanSend | LoanDrop | PushBlocked | AttachProducer | DetachProducer => {
                Some(Role::Producer)
            }
            Pop | FirstPop | PopBatch | ReceiveDone | ReceiveDrop | PopBlocked | AttachConsumer | DetachConsumer => {
                Some(Role::Consumer)
            }
            Close | Create | Open | OpenOrCreate | Leave => None,
        }
    }

    /// Whether it is about a queue as a whole, with a name.
    pub fn is_named(self) -> bool {
        matches!(self, Operation::Create | Operation::Open | Operation::OpenOrCreate | Operation::Leave)
    }

    /// Whether it sleeps until somebody wakes it.
    pub fn sleeps(self) -> bool {
        matches!(self, Operation::PushBlocked | Operation::PopBlocked)
    }

    /// How many messages it pushes at most.
    pub fn pushes(self) -> usize {
        use Operation::*;
        match self {
            Push | FirstPush | LoanSend | PushBlocked => 1,
            PushBatch => BATCH,
            _ => 0,
        }
    }
}

/// What is in a queue: each message with how often it was handed out and not finished, those first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The messages, in the order in which they come.
    pub waiting: VecDeque<(u64, u32)>,
    /// Whether it is closed.
    pub closed: bool,
}

impl Content {
    /// With these behind its own.
    pub fn with(&self, numbers: impl IntoIterator<Item = u64>) -> Content {
        let mut content = self.clone();
        content.waiting.extend(numbers.into_iter().map(|number| (number, 0)));
        content
    }

    /// Without its first messages.
    pub fn without(&self, count: usize) -> Content {
        Content { waiting: self.waiting.iter().skip(count).copied().collect(), closed: self.closed }
    }

    /// Those that nobody has had, before the others.
    pub fn new_ones_first(&self) -> Content {
        let mut content = self.clone();
        content.waiting.make_contiguous().sort_by_key(|(_, deliveries)| *deliveries > 0);
        content
    }

    /// Those that were handed out, before the others, the oldest first.
    pub fn old_ones_first(&self) -> Content {
        let mut content = self.clone();
        content.waiting.make_contiguous().sort_by_key(|(number, deliveries)| match deliveries {
            0 => (1, 0),
            _ => (0, *number),
        });
        content
    }

    /// Without so many of the last, which were pushed together.
    pub fn but_the_last(&self, less: usize) -> Content {
        let mut content = self.clone();
        content.waiting.truncate(self.waiting.len().saturating_sub(less));
        content
    }

    /// Its first messages were handed out and not finished.
    fn handed_out(&self, count: usize) -> Content {
        let mut content = self.clone();
        for (_, deliveries) in content.waiting.iter_mut().take(count) {
            *deliveries += 1;
        }
        content
    }
}

/// What may be found after an operation that was begun with `before`: while it has not returned, and when it has.
pub fn outcomes(
    operation: Operation,
    ring: Ring,
    capacity: usize,
    before: &Content,
    first: u64,
) -> (Vec<Content>, Vec<Content>) {
    use Operation::*;
    let room = capacity - before.waiting.len().min(capacity);
    let pushed = before.with((first..).take(operation.pushes().min(room)));
    // One that comes again comes alone.
    let taken = match before.waiting.front() {
        None => 0,
        Some((_, 1..)) => 1,
        Some(_) if operation == PopBatch => BATCH.min(before.waiting.len()),
        Some(_) => 1,
    };
    let (gone, marked) = (before.without(taken), before.handed_out(taken));
    match operation {
        Push | FirstPush | PushBatch | LoanSend | PushBlocked => (vec![before.clone(), pushed.clone()], vec![pushed]),
        // One to one nobody has seen it before it is gone, and it comes as if never popped.
        Pop | FirstPop | PopBlocked if ring == Ring::One => (vec![before.clone(), gone.clone()], vec![gone]),
        Pop | FirstPop | PopBlocked | PopBatch | ReceiveDone => {
            (vec![before.clone(), marked, gone.clone()], vec![gone])
        }
        ReceiveDrop => (vec![before.clone(), marked.clone()], vec![marked]),
        Close => {
            let closed = Content { closed: true, ..before.clone() };
            (vec![before.clone(), closed.clone()], vec![closed])
        }
        _ => (vec![before.clone()], vec![before.clone()]),
    }
}

/// The settings of the queues of a run: few members, so that all of them are soon counted.
pub fn options(ring: Ring, capacity: usize) -> Options {
    let options = Options::new(capacity).members(MEMBERS);
    if ring == Ring::One { options.one_producer().one_consumer() } else { options }
}

/// How many members the queues of a run take.
pub const MEMBERS: u32 = 8;

/// In a stepped process: what it is told to do.
pub fn play(words: &[String]) -> ExitCode {
    let [operation, ring, capacity, first, name] = words else { return ExitCode::from(2) };
    let (Some(operation), Some(ring)) = (Operation::of(operation), Ring::of(ring)) else { return ExitCode::from(2) };
    let (Ok(capacity), Ok(first)) = (capacity.parse(), first.parse()) else { return ExitCode::from(2) };
    let shared = Shared::map(io::stdout(), size_of::<Page>());
    let page = shared.page();
    let done = if operation.is_named() {
        play_named(operation, options(ring, capacity), name, page)
    } else {
        let queue = Queue::<Wide>::from_fd(io::stdin()).expect("the queue behind standard input");
        match operation.role() {
            Some(Role::Producer) => play_producer(operation, ring, &queue, first, page),
            Some(Role::Consumer) => play_consumer(operation, ring, &queue, page),
            None => {
                between_marks(page, || queue.close());
                Some(Vec::new())
            }
        }
    };
    match done {
        Some(messages) => {
            for (place, message) in page.messages.iter().zip(&messages) {
                // A message that is not whole is seen by the tracer, too.
                place.store(number(message).unwrap_or(u64::MAX), SeqCst);
            }
            page.count.store(messages.len() as u32, SeqCst);
        }
        None => page.refused.store(1, SeqCst),
    }
    reported(page);
    ExitCode::SUCCESS
}

/// What was pushed or popped; `None` if it was refused.
type Done = Option<Vec<Wide>>;

fn play_producer(operation: Operation, ring: Ring, queue: &Queue<Wide>, first: u64, page: &Page) -> Done {
    if operation == Operation::AttachProducer {
        let attached = between_marks(page, || queue.producer());
        return attached.ok().map(|producer| {
            std::mem::forget(producer);
            Vec::new()
        });
    }
    let mut producer = queue.producer().expect("there is a place for a producer");
    producer.set_wait(Wait::Park);
    if ring == Ring::Many && operation != Operation::FirstPush {
        let mut consumer = queue.consumer().expect("there is a place for a consumer");
        warm_up(&mut producer, &mut consumer, page);
    }
    let messages: Vec<Wide> = (first..).take(operation.pushes().max(1)).map(wide).collect();
    let message = messages[0];
    match operation {
        Operation::Push | Operation::FirstPush | Operation::PushBlocked => {
            between_marks(page, || producer.push(message)).ok()?;
        }
        Operation::PushBatch => {
            let mut iterator = messages.iter().copied().peekable();
            let pushed = between_marks(page, || producer.try_push_batch(&mut iterator)).ok()?;
            return Some(messages[..pushed].to_vec());
        }
        Operation::LoanSend => between_marks(page, || {
            let mut loan = producer.loan()?;
            *loan = message;
            loan.send();
            Ok::<(), handover::Error>(())
        })
        .ok()?,
        Operation::LoanDrop => {
            between_marks(page, || {
                let mut loan = producer.loan()?;
                *loan = message;
                drop(loan);
                Ok::<(), handover::Error>(())
            })
            .ok()?;
            return Some(Vec::new());
        }
        Operation::DetachProducer => {
            between_marks(page, move || drop(producer));
            return Some(Vec::new());
        }
        other => unreachable!("{other} is not a producer's"),
    }
    Some(vec![message])
}

fn play_consumer(operation: Operation, ring: Ring, queue: &Queue<Wide>, page: &Page) -> Done {
    if operation == Operation::AttachConsumer {
        let attached = between_marks(page, || queue.consumer());
        return attached.ok().map(|consumer| {
            std::mem::forget(consumer);
            Vec::new()
        });
    }
    let mut consumer = queue.consumer().expect("there is a place for a consumer");
    consumer.set_wait(Wait::Park);
    if ring == Ring::Many && operation != Operation::FirstPop {
        let mut producer = queue.producer().expect("there is a place for a producer");
        warm_up(&mut producer, &mut consumer, page);
    }
    let mut batch: Vec<Wide> = Vec::with_capacity(BATCH);
    match operation {
        Operation::Pop | Operation::FirstPop | Operation::PopBlocked => {
            batch.push(between_marks(page, || consumer.pop()).ok()?);
        }
        Operation::PopBatch => {
            let mut taken = Taken { batch: &mut batch, page };
            between_marks(page, || consumer.pop_batch(&mut taken, BATCH)).ok()?;
        }
        Operation::ReceiveDone => batch.push(
            between_marks(page, || {
                let received = consumer.receive()?;
                let message = *received;
                page.seen.store(1, SeqCst);
                received.done();
                Ok::<Wide, handover::Error>(message)
            })
            .ok()?,
        ),
        Operation::ReceiveDrop => between_marks(page, || {
            let received = consumer.receive()?;
            page.seen.store(1, SeqCst);
            drop(received);
            Ok::<(), handover::Error>(())
        })
        .ok()?,
        Operation::DetachConsumer => between_marks(page, move || drop(consumer)),
        other => unreachable!("{other} is not a consumer's"),
    }
    Some(batch)
}

/// A batch that says when it gets its first message.
struct Taken<'a> {
    batch: &'a mut Vec<Wide>,
    page: &'a Page,
}

impl Extend<Wide> for Taken<'_> {
    fn extend<I: IntoIterator<Item = Wide>>(&mut self, messages: I) {
        for message in messages {
            self.page.seen.store(1, SeqCst);
            self.batch.push(message);
        }
    }
}

/// A new handle looks at the clock in its first operations, and searches for the dead if time has passed. Behind these
/// rounds it does not for a while, however slowly it is stepped.
fn warm_up(producer: &mut Producer<Wide>, consumer: &mut Consumer<Wide>, page: &Page) {
    loop {
        let begun = Instant::now();
        for round in 0..16 {
            producer.push(wide(round)).expect("an open queue");
            consumer.pop().expect("an open queue");
            page.count.fetch_add(1, SeqCst);
        }
        if begun.elapsed() < Duration::from_millis(2) {
            return;
        }
    }
}

fn play_named(operation: Operation, options: Options, name: &str, page: &Page) -> Done {
    match operation {
        Operation::Create => between_marks(page, || options.create::<Wide>(name)).map(drop).ok()?,
        Operation::Open => between_marks(page, || Queue::<Wide>::open(name)).map(drop).ok()?,
        Operation::OpenOrCreate => between_marks(page, || options.open_or_create::<Wide>(name)).map(drop).ok()?,
        Operation::Leave => {
            let queue = Queue::<Wide>::open(name).expect("a queue of that name");
            between_marks(page, move || drop(queue));
        }
        other => unreachable!("{other} is not about a name"),
    }
    Some(Vec::new())
}
