//! What is told of queues of all kinds, in the same words.

use std::fmt;
use std::time::Duration;

use handover::{Error, Kind, Role, broadcast, tasks};

use super::spread::Spread;
use crate::target::Target;

#[derive(Clone, Debug)]
pub(crate) struct Inside {
    /// How many messages or tasks are in it; of a broadcast, how far the last of its readers is behind.
    pub(crate) depth: u64,
    pub(crate) capacity: usize,
    /// To how many it can be resized.
    pub(crate) max_capacity: usize,
    pub(crate) slot_bytes: usize,
    pub(crate) closed: bool,
    /// Ever pushed, published or submitted.
    pub(crate) came: u64,
    /// Ever popped or done; None of a broadcast, of which each reader reads all.
    pub(crate) went: Option<u64>,
    pub(crate) members: Vec<Member>,
    /// What went wrong and was put right, and how often.
    pub(crate) recovered: Vec<(&'static str, u64)>,
    /// Of task queues only.
    pub(crate) standing: Option<Standing>,
}

/// How it stands with the tasks of a queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// By priority, from the lowest.
    pub(crate) waiting: Vec<usize>,
    pub(crate) delayed: usize,
    pub(crate) leased: usize,
    pub(crate) dead_letters: usize,
    pub(crate) finished: usize,
    /// How often it was said that one had failed, and how often one was given another try.
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    /// How long the oldest of those that wait has waited.
    pub(crate) oldest: Option<Duration>,
    pub(crate) waited: Spread,
    pub(crate) worked: Spread,
}

/// Who is attached.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) part: Part,
    /// Its number in the roster, where that is told.
    pub(crate) number: u32,
    pub(crate) pid: u32,
    pub(crate) alive: bool,
    /// How many messages or tasks went through its hands, where that is counted. Only the difference of two looks means
    /// something of a worker: who had its number before counted in the same place.
    pub(crate) moved: Option<u64>,
    pub(crate) doing: Doing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Producer,
    Consumer,
    Writer,
    Reader,
    Gating,
    Submitter,
    Worker,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Part::Producer => "producer",
            Part::Consumer => "consumer",
            Part::Writer => "writer",
            Part::Reader => "reader",
            Part::Gating => "gating reader",
            Part::Submitter => "submitter",
            Part::Worker => "worker",
        })
    }
}

/// What else is told of a member.
#[derive(Clone, Debug)]
pub(crate) enum Doing {
    Nothing,
    /// How often it found no room or no message, and how many messages it got that another had died with.
    Messages {
        blocked: u64,
        redelivered: u64,
    },
    Reading {
        lag: u64,
        missed: u64,
    },
    /// How many tasks it has in work, the longest since when, and the most often tried.
    Working {
        tasks: usize,
        longest: Duration,
        tries: u32,
    },
}

impl Inside {
    /// None if that kind has no inside that could be told of.
    pub(super) fn of(kind: Kind, target: &Target) -> Result<Option<Inside>, Error> {
        Ok(Some(match kind {
            Kind::Queue => of_queue(&target.queue_report()?),
            Kind::Broadcast => of_broadcast(&target.broadcast_report()?),
            Kind::Tasks => of_tasks(&target.tasks_report()?),
            _ => return Ok(None),
        }))
    }

    pub(crate) fn dead(&self) -> usize {
        self.members.iter().filter(|member| !member.alive).count()
    }
}

fn of_queue(report: &handover::Report) -> Inside {
    let member = |member: &handover::Member| {
        let counts = &member.counts;
        let (part, moved, blocked) = match member.role {
            Role::Producer => (Part::Producer, counts.pushed, counts.blocked_full),
            Role::Consumer => (Part::Consumer, counts.popped, counts.blocked_empty),
        };
        let doing = Doing::Messages { blocked, redelivered: counts.redelivered };
        Member { part, number: member.number, pid: member.pid, alive: member.alive, moved: Some(moved), doing }
    };
    let counts = &report.counts;
    Inside {
        depth: (report.len + report.handed_back) as u64,
        capacity: report.capacity,
        max_capacity: report.max_capacity,
        slot_bytes: report.message_size,
        closed: report.closed,
        came: counts.pushed,
        went: Some(counts.popped),
        members: report.members.iter().map(member).collect(),
        recovered: vec![("deaths", counts.deaths), ("redelivered", counts.redelivered), ("voided", counts.voided)],
        standing: None,
    }
}

fn of_broadcast(report: &broadcast::Report) -> Inside {
    let writer = report.writer.map(|(pid, alive)| Member {
        part: Part::Writer,
        number: 0,
        pid,
        alive,
        moved: Some(report.published),
        doing: Doing::Nothing,
    });
    let readers = report.readers.iter().map(|reader| Member {
        part: if reader.gating { Part::Gating } else { Part::Reader },
        number: reader.number,
        pid: reader.pid,
        alive: reader.alive,
        moved: Some(reader.read),
        doing: Doing::Reading { lag: reader.lag, missed: reader.missed },
    });
    Inside {
        depth: report.readers.iter().map(|reader| reader.lag).max().unwrap_or(0),
        capacity: report.capacity,
        max_capacity: report.capacity,
        slot_bytes: report.message_size,
        closed: report.closed,
        came: report.published,
        went: None,
        members: writer.into_iter().chain(readers).collect(),
        recovered: vec![("deaths", report.deaths)],
        standing: None,
    }
}

fn of_tasks(report: &tasks::Report) -> Inside {
    let submitters = report.submitters.iter().map(|(pid, alive)| Member {
        part: Part::Submitter,
        number: 0,
        pid: *pid,
        alive: *alive,
        moved: None,
        doing: Doing::Nothing,
    });
    let workers = report.workers.iter().map(|worker| Member {
        part: Part::Worker,
        number: worker.number,
        pid: worker.pid,
        alive: worker.alive,
        moved: Some(worker.done),
        doing: Doing::Working {
            tasks: worker.leases.len(),
            longest: worker.leases.iter().map(|lease| lease.since).max().unwrap_or_default(),
            tries: worker.leases.iter().map(|lease| lease.tries).max().unwrap_or(0),
        },
    });
    let waiting: usize = report.waiting.iter().sum();
    Inside {
        depth: (waiting + report.delayed + report.leased + report.dead_letters + report.finished) as u64,
        capacity: report.capacity,
        max_capacity: report.max_capacity,
        slot_bytes: report.message_size,
        closed: report.closed,
        came: report.submitted,
        went: Some(report.done),
        members: submitters.chain(workers).collect(),
        recovered: vec![
            ("deaths", report.deaths),
            ("redelivered", report.redelivered),
            ("leases lost", report.leases_lost),
        ],
        standing: Some(Standing {
            waiting: report.waiting.to_vec(),
            delayed: report.delayed,
            leased: report.leased,
            dead_letters: report.dead_letters,
            finished: report.finished,
            failed: report.failed,
            retried: report.retried,
            oldest: report.oldest,
            waited: Spread::from(&report.waiting_times),
            worked: Spread::from(&report.working_times),
        }),
    }
}
