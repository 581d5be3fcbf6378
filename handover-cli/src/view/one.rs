//! `stat`: everything that can be told of one segment.

use clap::Args;
use handover::tasks::Times;
use handover::{Kind, Member, Placement, Role, broadcast, tasks};

use super::facts::Facts;
use crate::screen::Screen;
use crate::target::Target;
use crate::trouble::Trouble;

#[derive(Args, Debug)]
pub(crate) struct Stat {
    /// The name of a queue, broadcast or task queue; with a slash in it, the path of its file.
    name: Target,
    /// As a JSON object, for programs. Times are in seconds.
    #[arg(long)]
    json: bool,
}

pub(crate) const EXAMPLE: &str = "\
Examples:
  handover stat jobs
  handover stat jobs --json | jq '.waiting_by_priority | add'";

pub(crate) fn stat(wanted: &Stat) -> Result<(), Trouble> {
    let target = &wanted.name;
    let kind = target.kind()?;
    let facts = Facts::default().with("name", target.shown()).with("kind", kind.to_string());
    let facts = match kind {
        Kind::Queue => of_queue(facts, &target.queue_report()?),
        Kind::Broadcast => of_broadcast(facts, &target.broadcast_report()?),
        Kind::Tasks => of_tasks(facts, &target.tasks_report()?),
        _ => facts,
    };
    let facts = of_placement(facts, &target.placement()?);
    let text =
        if wanted.json { serde_json::to_string_pretty(&facts.json()).expect("values are JSON") } else { facts.lines() };
    Ok(Screen::new().line(text.trim_end())?)
}

fn of_placement(facts: Facts, placement: &Placement) -> Facts {
    let node = |(node, bytes): (&u32, &u64)| Facts::default().with("node", *node).with("bytes", *bytes);
    facts
        .with("memory_bytes", placement.bytes)
        .with("huge_bytes", placement.on_huge_pages)
        .list("nodes", placement.nodes.iter().map(node))
}

fn of_queue(facts: Facts, report: &handover::Report) -> Facts {
    let counts = &report.counts;
    facts
        .with("depth", report.len + report.handed_back)
        .with("handed_back", report.handed_back)
        .with("capacity", report.capacity)
        .with("max_capacity", report.max_capacity)
        .with("slot_bytes", report.message_size)
        .with("closed", report.closed)
        .with("one_producer", report.one_producer)
        .with("one_consumer", report.one_consumer)
        .with("pushed", counts.pushed)
        .with("popped", counts.popped)
        .with("blocked_full", counts.blocked_full)
        .with("blocked_empty", counts.blocked_empty)
        .with("redelivered", counts.redelivered)
        .with("voided", counts.voided)
        .with("deaths", counts.deaths)
        .list("members", report.members.iter().map(of_member))
}

fn of_member(member: &Member) -> Facts {
    Facts::default()
        .with("number", member.number)
        .with("role", if member.role == Role::Producer { "producer" } else { "consumer" })
        .with("pid", member.pid)
        .with("alive", member.alive)
        .with("pushed", member.counts.pushed)
        .with("popped", member.counts.popped)
        .with("blocked_full", member.counts.blocked_full)
        .with("blocked_empty", member.counts.blocked_empty)
        .with("redelivered", member.counts.redelivered)
}

fn of_broadcast(facts: Facts, report: &broadcast::Report) -> Facts {
    let reader = |reader: &broadcast::ReaderReport| {
        Facts::default()
            .with("number", reader.number)
            .with("pid", reader.pid)
            .with("alive", reader.alive)
            .with("gating", reader.gating)
            .with("position", reader.position)
            .with("lag", reader.lag)
            .with("read", reader.read)
            .with("missed", reader.missed)
    };
    facts
        .with("capacity", report.capacity)
        .with("slot_bytes", report.message_size)
        .with("closed", report.closed)
        .with("published", report.published)
        .with("writer_pid", report.writer.map(|(pid, _)| pid))
        .with("writer_alive", report.writer.map(|(_, alive)| alive))
        .with("deaths", report.deaths)
        .list("readers", report.readers.iter().map(reader))
}

fn of_tasks(facts: Facts, report: &tasks::Report) -> Facts {
    let worker = |worker: &tasks::WorkerReport| {
        Facts::default()
            .with("number", worker.number)
            .with("pid", worker.pid)
            .with("alive", worker.alive)
            .with("tasks", worker.leases.iter().map(|lease| lease.id.to_string()).collect::<Vec<_>>())
            .with("for_seconds", worker.leases.iter().map(|lease| lease.since.as_secs_f64()).collect::<Vec<_>>())
            .with("tries", worker.leases.iter().map(|lease| lease.tries).collect::<Vec<_>>())
    };
    let submitter = |(pid, alive): &(u32, bool)| Facts::default().with("pid", *pid).with("alive", *alive);
    let facts = facts
        .with("capacity", report.capacity)
        .with("max_capacity", report.max_capacity)
        .with("slot_bytes", report.message_size)
        .with("closed", report.closed)
        .with("waiting_by_priority", report.waiting.to_vec())
        .with("delayed", report.delayed)
        .with("leased", report.leased)
        .with("dead_letters", report.dead_letters)
        .with("finished", report.finished)
        .with_time("oldest_seconds", report.oldest)
        .with("submitted", report.submitted)
        .with("taken", report.taken)
        .with("done", report.done)
        .with("failed", report.failed)
        .with("retried", report.retried)
        .with("dead", report.dead)
        .with("redelivered", report.redelivered)
        .with("leases_lost", report.leases_lost)
        .with("deaths", report.deaths);
    let facts = with_times(facts, ["waited_p50_seconds", "waited_p99_seconds"], &report.waiting_times);
    let facts = with_times(facts, ["worked_p50_seconds", "worked_p99_seconds"], &report.working_times);
    facts.list("workers", report.workers.iter().map(worker)).list("submitters", report.submitters.iter().map(submitter))
}

fn with_times(facts: Facts, [half, most]: [&'static str; 2], times: &Times) -> Facts {
    facts.with_time(half, times.quantile(0.5)).with_time(most, times.quantile(0.99))
}
