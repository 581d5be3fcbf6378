//! What there is on this machine and how fast it moves: one look at every segment, and the difference of two.
//!
//! Nothing here becomes the user of a segment, or changes one. `ls` prints it, `top` draws it.

mod inside;
mod look;
mod pace;
mod spread;

pub(crate) use inside::{Doing, Inside, Member, Part, Standing};
pub(crate) use look::{Look, Segment};
pub(crate) use pace::Pace;
pub(crate) use spread::Spread;
