//! The time that all processes of the machine share.

use std::sync::LazyLock;

use winsafe::{QueryPerformanceCounter, QueryPerformanceFrequency};

/// Ticks in a second, which stay what they are until the machine is started anew.
static FREQUENCY: LazyLock<u128> =
    LazyLock::new(|| QueryPerformanceFrequency().expect("every Windows since XP has it") as u128);

/// Nanoseconds since some moment, the same one for every process. Never goes back.
pub(crate) fn now() -> u64 {
    let ticks = QueryPerformanceCounter().expect("every Windows since XP has it") as u128;
    (ticks * 1_000_000_000 / *FREQUENCY) as u64
}
