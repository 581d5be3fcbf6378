//! Signals that not every system has.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// What asks a program that fills the terminal to end: Ctrl-C from elsewhere, a request, and the terminal going away.
pub(crate) const ENDINGS: &[i32] = &[SIGINT, SIGTERM, SIGHUP];
