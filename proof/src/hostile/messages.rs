//! The kinds of messages that are tried, and what must be true of one whatever was scribbled over it.

use std::sync::LazyLock;

use handover::{Error, Loan, Postcard, Shareable};
use serde::{Deserialize, Serialize};

use super::choices::Choices;

/// The longest message of kinds whose length varies.
pub const LONGEST: usize = 60;

/// A kind of message.
pub trait Tried: Shareable {
    /// What it is called in tables.
    const NAME: &'static str;

    /// Whether a receipt keeps memory of its own, which is leaked with one that is forgotten.
    const RECEIPT_OWNS: bool = false;

    /// One to push.
    fn make(choices: &mut Choices) -> Self::Push<'static>;

    /// Fails if this can't be a message of the kind.
    fn check(message: Self::Pop);

    /// As `check`, of a message that others may still change.
    fn check_in_place(message: &Self::View);

    /// Writes to a loan and sends it.
    fn fill(loan: Loan<'_, Self>, choices: &mut Choices);
}

impl Tried for u64 {
    const NAME: &'static str = "plain, 8 bytes";

    fn make(choices: &mut Choices) -> u64 {
        choices.below(256)
    }

    fn check(_message: u64) {}

    fn check_in_place(_message: &u64) {}

    fn fill(mut loan: Loan<'_, u64>, choices: &mut Choices) {
        *loan = choices.below(256);
        loan.send();
    }
}

/// Wider than a cache line, and aligned more than a stamp is.
impl Tried for [u128; 5] {
    const NAME: &'static str = "plain, 80 bytes";

    fn make(choices: &mut Choices) -> [u128; 5] {
        [choices.below(256).into(); 5]
    }

    fn check(_message: [u128; 5]) {}

    fn check_in_place(message: &[u128; 5]) {
        assert!(std::ptr::from_ref(message).is_aligned());
    }

    fn fill(mut loan: Loan<'_, [u128; 5]>, choices: &mut Choices) {
        loan[choices.below(5) as usize] = 1;
        loan.send();
    }
}

impl Tried for () {
    const NAME: &'static str = "empty";

    fn make(_choices: &mut Choices) {}

    fn check(_message: ()) {}

    fn check_in_place(_message: &()) {}

    fn fill(loan: Loan<'_, ()>, _choices: &mut Choices) {
        loan.send();
    }
}

impl Tried for [u8] {
    const NAME: &'static str = "bytes";

    fn make(choices: &mut Choices) -> &'static [u8] {
        &[7; LONGEST][..choices.below(LONGEST as u64 + 1) as usize]
    }

    fn check(message: Vec<u8>) {
        assert!(message.len() <= LONGEST, "{} bytes in a message", message.len());
    }

    fn check_in_place(message: &[u8]) {
        assert!(message.len() <= LONGEST, "{} bytes in a message", message.len());
        // Each byte is read: one that is not there would be noticed.
        std::hint::black_box(message.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
    }

    fn fill(mut loan: Loan<'_, [u8]>, choices: &mut Choices) {
        loan.fill(9);
        loan.truncate(choices.below(LONGEST as u64 + 10) as usize);
        loan.send();
    }
}

/// A type with values that not every pattern of bits is: a tag, a character, a truth, text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Note {
    /// Text, and numbers.
    Text(String, Vec<u16>),
    /// A character that may be missing.
    Sign(Option<char>, bool),
    /// A note in a note.
    Again(Box<Note>),
}

static NOTES: LazyLock<[Note; 4]> = LazyLock::new(|| {
    [
        Note::Text("some words".into(), vec![1, 2, 300]),
        Note::Sign(Some('ß'), true),
        Note::Again(Box::new(Note::Again(Box::new(Note::Text(String::new(), Vec::new()))))),
        Note::Text("x".repeat(40), vec![7; 4]),
    ]
});

fn check_note(note: &Note) {
    match note {
        // Text that is not text and characters that are none would be found here.
        Note::Text(text, _) => assert!(std::str::from_utf8(text.as_bytes()).is_ok()),
        Note::Sign(sign, truth) => {
            assert!(sign.is_none_or(|sign| char::from_u32(sign as u32).is_some()));
            assert!(u8::from(*truth) <= 1);
        }
        Note::Again(note) => check_note(note),
    }
}

impl Tried for Postcard<Note> {
    const NAME: &'static str = "postcard";
    const RECEIPT_OWNS: bool = true;

    fn make(choices: &mut Choices) -> &'static Note {
        &NOTES[choices.below(4) as usize]
    }

    fn check(message: Note) {
        check_note(&message);
    }

    fn check_in_place(message: &Note) {
        check_note(message);
    }

    fn fill(loan: Loan<'_, Postcard<Note>>, choices: &mut Choices) {
        // A header may have been forged into one for shorter messages.
        let put = loan.put(Self::make(choices));
        assert!(matches!(put, Ok(()) | Err(Error::TooLong { .. })), "{put:?}");
    }
}
