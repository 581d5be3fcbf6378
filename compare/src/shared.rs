//! What the crate's own benchmark and this one have in common: its files, compiled here as well.

#![allow(dead_code, missing_docs, reason = "each of the two uses most of it, and neither is a library")]

#[path = "../../handover/benches/queue/aims.rs"]
pub mod aims;
#[path = "../../handover/benches/queue/board.rs"]
pub mod board;
#[macro_use]
#[path = "../../handover/benches/queue/load.rs"]
pub mod load;
#[path = "../../handover/benches/queue/machine.rs"]
pub mod machine;
#[path = "../../handover/benches/queue/processes.rs"]
pub mod processes;
#[path = "../../handover/benches/queue/race.rs"]
pub mod race;
#[path = "../../handover/benches/queue/recovery.rs"]
pub mod recovery;
#[path = "../../handover/benches/queue/report.rs"]
pub mod report;
#[path = "../../handover/benches/queue/statistics.rs"]
pub mod statistics;

pub(crate) use crate::{roles, settings};
