//! What is there: `ls`, `stat` and `peek`.

mod facts;
mod list;
mod one;
mod peek;

pub(crate) use list::{EXAMPLE as LS_EXAMPLE, Ls, ls};
pub(crate) use one::{EXAMPLE as STAT_EXAMPLE, Stat, stat};
pub(crate) use peek::{EXAMPLE as PEEK_EXAMPLE, Peek, peek};
