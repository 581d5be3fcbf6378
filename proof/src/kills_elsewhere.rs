//! Where processes can't be stepped through their instructions: says so.

use crate::report::Verdict;

/// How much would be tried.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Only rows that contain this.
    pub only: Option<String>,
    /// Only this instruction.
    pub at: Option<u64>,
    /// Only the rows that matter most.
    pub short: bool,
    /// How many at a time.
    pub jobs: usize,
}

fn refused(run: &str) -> Vec<Verdict> {
    vec![Verdict::untried(run, "processes are stepped through their instructions on Linux on x86-64 only")]
}

/// Not here.
pub fn kills(_: &Extent) -> Vec<Verdict> {
    refused("Killed after every instruction")
}

/// Not here.
pub fn stops(_: &Extent) -> Vec<Verdict> {
    refused("Stopped after every instruction")
}
