//! What a stepped process does with a broadcast.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;

use handover::broadcast::{Broadcast, Numbered, Reader, Start, Writer};
use handover::{Error, Wait};

use crate::scenes::{BATCH, Wide, number, wide, words};
use crate::step::{Page, Shared, between_marks, reported};

words! {
    /// What it does.
    Operation {
        /// One message.
        Publish = "publish",
        /// Three messages.
        PublishBatch = "publish-batch",
        /// A loan that is written and published.
        LoanPublish = "loan-publish",
        /// A loan that is written and given up.
        LoanDrop = "publish-loan-drop",
        /// One message, as soon as the gating reader that stands in the way has read.
        PublishBlocked = "publish-blocked",
        /// Closing it.
        Close = "close",
        /// A new writer.
        AttachWriter = "attach-writer",
        /// A writer that leaves.
        DetachWriter = "detach-writer",
        /// One message.
        Next = "next",
        /// Up to three messages.
        NextBatch = "next-batch",
        /// One message, in its slot.
        ReadInPlace = "read-in-place",
        /// One message, once it is published.
        NextBlocked = "next-blocked",
        /// A new reader.
        AttachReader = "attach-reader",
        /// A reader that leaves.
        DetachReader = "detach-reader",
    }
}

words! {
    /// What the ring holds before.
    State {
        /// Nothing was ever published.
        Fresh = "fresh",
        /// One message.
        Partly = "partly",
        /// The next slots are the ring's last and its first.
        Wrapping = "wrapping",
        /// A message in every slot: the next is written over the first.
        Full = "full",
        /// So many more that a reader that has not read since was overtaken twice.
        Overtaken = "overtaken",
    }
}

impl State {
    /// How many messages were published, in a ring of so many slots.
    pub fn published(self, slots: usize) -> usize {
        match self {
            State::Fresh => 0,
            State::Partly => 1,
            State::Wrapping => slots - 1,
            State::Full => slots,
            State::Overtaken => 2 * slots + 1,
        }
    }
}

impl Operation {
    /// Whether it is the writer's; else it is a reader's.
    pub fn writes(self) -> bool {
        use Operation::*;
        match self {
            Publish | PublishBatch | LoanPublish | LoanDrop | PublishBlocked | Close | AttachWriter | DetachWriter => {
                true
            }
            Next | NextBatch | ReadInPlace | NextBlocked | AttachReader | DetachReader => false,
        }
    }

    /// Whether it sleeps until somebody wakes it.
    pub fn sleeps(self) -> bool {
        matches!(self, Operation::PublishBlocked | Operation::NextBlocked)
    }

    /// Whether it is about coming or going, so that it is not there all the time.
    pub fn comes_or_goes(self) -> bool {
        use Operation::*;
        matches!(self, AttachWriter | DetachWriter | AttachReader | DetachReader)
    }

    /// How many messages it publishes.
    pub fn publishes(self) -> usize {
        use Operation::*;
        match self {
            Publish | LoanPublish | PublishBlocked => 1,
            PublishBatch => BATCH,
            _ => 0,
        }
    }
}

/// In a stepped process: what it is told to do. A writer publishes some messages before, the numbers in which begin with
/// `first`; a reader is gating or not.
pub fn play(words: &[String]) -> ExitCode {
    let [operation, gating, before, first] = words else { return ExitCode::from(2) };
    let Some(operation) = Operation::of(operation) else { return ExitCode::from(2) };
    let (Ok(before), Ok(first)) = (before.parse(), first.parse()) else { return ExitCode::from(2) };
    let shared = Shared::map(io::stdout(), size_of::<Page>());
    let page = shared.page();
    let ring = Broadcast::<Wide>::from_fd(io::stdin()).expect("the broadcast behind standard input");
    let done = if operation.writes() {
        play_writer(operation, &ring, before, first, page)
    } else {
        play_reader(operation, &ring, gating == "gating", page)
    };
    match done {
        Ok(told) => {
            for (pair, (nth, content)) in page.messages.chunks(2).zip(&told) {
                pair[0].store(*nth, SeqCst);
                pair[1].store(*content, SeqCst);
            }
            page.count.store(told.len() as u32, SeqCst);
        }
        Err(_) => page.refused.store(1, SeqCst),
    }
    reported(page);
    ExitCode::SUCCESS
}

/// What was published or read: its number, and the one in the message; the latter is `u64::MAX` if the message is not
/// whole.
type Told = Vec<(u64, u64)>;

fn play_writer(
    operation: Operation,
    ring: &Broadcast<Wide>,
    before: u64,
    first: u64,
    page: &Page,
) -> Result<Told, Error> {
    if operation == Operation::AttachWriter {
        std::mem::forget(between_marks(page, || ring.writer())?);
        return Ok(Told::new());
    }
    let mut writer: Writer<Wide> = ring.writer()?;
    writer.set_wait(Wait::Park);
    writer.publish_batch((first..first + before).map(wide))?;
    let content = first + before;
    let message = wide(content);
    let number = match operation {
        Operation::Publish | Operation::PublishBlocked => between_marks(page, || writer.publish(message))?,
        Operation::PublishBatch => {
            let messages: Vec<Wide> = (content..).take(BATCH).map(wide).collect();
            let published = between_marks(page, || writer.publish_batch(messages.iter().copied()))?;
            return Ok((before..).zip(content..).take(published).collect());
        }
        Operation::LoanPublish => between_marks(page, || {
            let mut loan = writer.loan()?;
            loan.view().set(0, &message);
            loan.publish()
        })?,
        Operation::LoanDrop => {
            between_marks(page, || {
                let mut loan = writer.loan()?;
                loan.view().set(0, &message);
                drop(loan);
                Ok::<(), Error>(())
            })?;
            return Ok(Told::new());
        }
        Operation::Close => {
            between_marks(page, || writer.close());
            return Ok(Told::new());
        }
        Operation::DetachWriter => {
            between_marks(page, move || drop(writer));
            return Ok(Told::new());
        }
        other => unreachable!("{other} is not a writer's"),
    };
    Ok(vec![(number, content)])
}

fn play_reader(operation: Operation, ring: &Broadcast<Wide>, gating: bool, page: &Page) -> Result<Told, Error> {
    let attach = |start| if gating { ring.gating_reader(start) } else { ring.reader(start) };
    let mut told: Vec<Numbered<Wide>> = Vec::with_capacity(64);
    let mut reader: Reader<Wide>;
    let first = if operation == Operation::AttachReader {
        reader = between_marks(page, || attach(Start::Oldest))?;
        Ok(())
    } else {
        reader = attach(Start::Newest)?;
        reader.set_wait(Wait::Park);
        match operation {
            Operation::Next | Operation::NextBlocked => {
                between_marks(page, || reader.next()).map(|message| told.push(message))
            }
            Operation::NextBatch => between_marks(page, || reader.next_batch(&mut told, BATCH)).map(drop),
            Operation::ReadInPlace => {
                let read = between_marks(page, || reader.read_in_place(|view| view.get(0)));
                read.map(|message| told.push(message))
            }
            Operation::DetachReader => {
                between_marks(page, move || drop(reader));
                return Ok(Told::new());
            }
            other => unreachable!("{other} is not a reader's"),
        }
    };
    // Whatever came of it, the rest comes behind.
    let mut result = first;
    loop {
        match result {
            Ok(()) => {}
            Err(Error::Missed { count }) => {
                page.missed.fetch_add(count, SeqCst);
            }
            Err(Error::Empty | Error::Closed) => break,
            Err(error) => return Err(error),
        }
        result = reader.try_next().map(|message| told.push(message));
    }
    Ok(told.iter().map(|message| (message.number, number(&message.message).unwrap_or(u64::MAX))).collect())
}
