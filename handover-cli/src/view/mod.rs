//! What is there: `ls`, `stat`, `peek` and `letters`.

pub(crate) mod facts;
mod letters;
mod list;
mod one;
mod peek;

pub(crate) use letters::{CANCEL_EXAMPLE, Cancel, LETTERS_EXAMPLE, Letters, cancel, letters};
pub(crate) use list::{EXAMPLE as LS_EXAMPLE, Ls, ls};
pub(crate) use one::{EXAMPLE as STAT_EXAMPLE, Stat, stat};
pub(crate) use peek::{EXAMPLE as PEEK_EXAMPLE, Peek, peek};
