//! Where the memory lies, and what it buys to say so: on a memory node, on huge pages.

use std::process;
use std::time::Duration;

use handover::{Error, Options, placement};
use serde_json::{Value, json};

use super::sweep::Sweep;
use crate::measure::case::Case;
use crate::measure::sample::Sample;
use crate::numbers::three_digits;
use crate::system::processors;
use crate::trouble::Trouble;

/// More nodes than that are not tried.
const NODES_MOST: usize = 4;
/// What is worth a setting.
const WORTH_IT: f64 = 1.1;
/// Fewer rounds say nothing of so small a gain.
const ROUNDS_LEAST: usize = 3;

/// A way to place the memory, at full speed.
#[derive(Clone, Debug)]
struct Placed {
    node: Option<u32>,
    huge: bool,
    rate: Sample,
    /// The system refused it.
    refused: bool,
}

/// What was found out about the machine's memory.
#[derive(Clone, Debug)]
pub(super) struct Placing {
    nodes: usize,
    /// The first is what the others are compared with: where the system likes.
    placed: Vec<Placed>,
    /// How many bytes of how many lay on huge pages, when they were asked for.
    on_huge_pages: (u64, u64),
}

/// What placing the queue on a node, and huge pages, buy for that case here.
pub(super) fn measure(case: &Case, sweep: &Sweep<'_>) -> Result<Placing, Trouble> {
    let nodes = processors::memory_nodes();
    let plain = Case { rate: 0, work: Duration::ZERO, pause: Duration::ZERO, ..*case };
    let way = |node, huge| Placed { node, huge, rate: Sample::default(), refused: false };
    let mut placed = vec![way(None, false), way(None, true)];
    if nodes > 1 {
        placed.extend((0..nodes.min(NODES_MOST) as u32).map(|node| way(Some(node), false)));
    }
    for _ in 0..sweep.rounds_of(placed.len()) {
        for way in placed.iter_mut().filter(|way| !way.refused) {
            sweep.step("placing memory".into())?;
            match sweep.run(&Case { node: way.node, huge: way.huge, ..plain }) {
                Ok(run) => way.rate.add(run.rate),
                // A node may have no memory to give.
                Err(Trouble::Handover(_)) if way.node.is_some() => way.refused = true,
                Err(trouble) => return Err(trouble),
            }
        }
    }
    Ok(Placing { nodes, placed, on_huge_pages: huge_pages_given(&plain)? })
}

/// How much of a queue that asks for huge pages lies on some. Of the other kinds it is about the same.
fn huge_pages_given(case: &Case) -> Result<(u64, u64), Error> {
    // Only what has a name can be looked at. It goes before this returns.
    let name = format!("tune-{}", process::id());
    let options = Options::new(case.capacity).message_max(case.size).huge_pages().goes_with_last_user();
    let queue = options.create::<[u8]>(&name)?;
    let found = placement(&name)?;
    drop(queue);
    Ok((found.on_huge_pages, found.bytes))
}

impl Placing {
    fn rate(&self, fits: impl Fn(&&Placed) -> bool) -> Option<&Sample> {
        self.placed.iter().find(fits).map(|way| &way.rate).filter(|rate| !rate.is_empty())
    }

    /// How many times as much as where the system likes, if that is certain enough to say.
    fn gain(&self, rate: &Sample) -> Option<f64> {
        let plain = self.rate(|way| way.node.is_none() && !way.huge)?;
        let gain = rate.median() / plain.median();
        (self.is_certain() && gain >= WORTH_IT && rate.least() > plain.median()).then_some(gain)
    }

    fn is_certain(&self) -> bool {
        self.rate(|way| way.node.is_none()).is_some_and(|rate| rate.values().len() >= ROUNDS_LEAST)
    }

    /// The node on which it is worth it to be.
    pub(super) fn node(&self) -> Option<u32> {
        let gains = self.placed.iter().filter(|way| way.node.is_some() && !way.rate.is_empty());
        let worth = gains.filter_map(|way| Some((way.node?, self.gain(&way.rate)?)));
        worth.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(node, _)| node)
    }

    /// Whether huge pages are worth it.
    pub(super) fn huge(&self) -> bool {
        self.huge_gain().is_some()
    }

    fn huge_gain(&self) -> Option<f64> {
        self.rate(|way| way.huge).filter(|_| self.on_huge_pages.0 > 0).and_then(|rate| self.gain(rate))
    }

    pub(super) fn sentence(&self) -> String {
        let mut text = match (self.nodes, self.node()) {
            (1, _) => "This machine has one memory node: placing (--numa) buys nothing.".to_owned(),
            (nodes, None) => {
                format!("This machine has {nodes} memory nodes; to place it on one (--numa) bought nothing here.")
            }
            (nodes, Some(node)) => {
                format!("This machine has {nodes} memory nodes; on node {node} (--numa {node}) it is fastest.")
            }
        };
        text += &match (self.on_huge_pages, self.huge_gain()) {
            _ if !self.is_certain() => {
                " What huge pages (--huge) buy takes more rounds to tell: leave --quick out.".to_owned()
            }
            ((0, _), _) => " Huge pages (--huge) buy nothing: the system gave none.".to_owned(),
            (_, Some(gain)) => format!(" On huge pages (--huge) it hands over {} times as much.", three_digits(gain)),
            _ => " Huge pages (--huge) bought nothing here.".to_owned(),
        };
        text
    }

    pub(super) fn json(&self) -> Value {
        let ways = self.placed.iter().map(|way| {
            let rate = (!way.rate.is_empty()).then(|| way.rate.median());
            json!({ "node": way.node, "huge_pages": way.huge, "messages_a_second": rate })
        });
        json!({
            "memory_nodes": self.nodes,
            "bytes": self.on_huge_pages.1,
            "bytes_on_huge_pages": self.on_huge_pages.0,
            "placed": ways.collect::<Vec<_>>(),
        })
    }
}
