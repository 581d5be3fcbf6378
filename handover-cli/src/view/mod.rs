//! What is there: `ls` and `stat`.

mod facts;
mod list;
mod one;

pub(crate) use list::{EXAMPLE as LS_EXAMPLE, Ls, ls};
pub(crate) use one::{EXAMPLE as STAT_EXAMPLE, Stat, stat};
