//! How a queue, a broadcast or a task queue is, and what can be put right from outside.

use handover::{Error, Kind, NamedSegment, Role, broadcast, reap, reap_at, remove_if_stale, remove_if_stale_at, tasks};
use handover::{segment, segment_at};

use super::check::Check;
use crate::numbers::{counted, grouped};
use crate::system::machine;
use crate::system::words::quoted;
use crate::target::Target;

/// A segment that is looked at.
pub(super) struct Patient {
    target: Target,
    segment: NamedSegment,
    inside: Result<Inside, Error>,
    /// How it was when it was looked at before.
    before: Option<Pace>,
    /// It was removed, or somebody else removed it.
    gone: bool,
}

/// What is told of queues of all kinds.
#[derive(Default)]
struct Inside {
    held: usize,
    capacity: usize,
    closed: bool,
    /// The processes of members that died and were not reaped.
    dead: Vec<u32>,
    /// Those of the living who take messages out.
    takers: Vec<u32>,
    handed_back: usize,
    voided: u64,
    dead_letters: usize,
    results: usize,
    /// Whether something that is full holds up whoever puts in.
    full: bool,
    pace: Pace,
}

/// What changes as long as messages are taken out.
#[derive(Clone, Default, PartialEq, Eq)]
struct Pace(Vec<u64>);

impl Patient {
    pub(super) fn new(target: Target, segment: NamedSegment) -> Patient {
        let inside = inside(&target, &segment);
        let gone = matches!(inside, Err(Error::NotFound { .. }));
        Patient { target, segment, inside, before: None, gone }
    }

    /// Reaps the dead and removes what is stale. Says what it did.
    pub(super) fn mend(&mut self) -> Vec<String> {
        let name = self.target.shown();
        let mut done = Vec::new();
        // First this: to reap is to open, and what goes with its last user goes then.
        match self.remove() {
            Ok(true) => done.push(format!("{name}: removed")),
            Err(Error::NotFound { .. }) => self.gone = true,
            // What can't be put right is told as it is found.
            Ok(false) | Err(_) => {}
        }
        if !self.gone && self.inside.as_ref().is_ok_and(|inside| !inside.dead.is_empty()) {
            let reaped = match &self.target {
                Target::Name(name) => reap(name),
                Target::File(path) => reap_at(path),
            };
            if let Ok(count @ 1..) = reaped {
                let members = if count == 1 { "member" } else { "members" };
                done.push(format!("{name}: settled what {count} dead {members} had left"));
            }
            // Nothing may have been left but that.
            if matches!(self.remove(), Ok(true)) {
                done.push(format!("{name}: removed"));
            }
        }
        self.look();
        done
    }

    fn remove(&mut self) -> Result<bool, Error> {
        let removed = match &self.target {
            Target::Name(name) => remove_if_stale(name),
            Target::File(path) => remove_if_stale_at(path),
        }?;
        self.gone |= removed;
        Ok(removed)
    }

    fn look(&mut self) {
        if self.gone {
            return;
        }
        let found = match &self.target {
            Target::Name(name) => segment(name),
            Target::File(path) => segment_at(path),
        };
        match found {
            Ok(segment) => {
                self.inside = inside(&self.target, &segment);
                self.segment = segment;
            }
            Err(error) => self.inside = Err(error),
        }
        self.gone = matches!(self.inside, Err(Error::NotFound { .. }));
    }

    pub(super) fn may_stand_still(&self) -> bool {
        !self.gone && self.segment.in_use && self.inside.as_ref().is_ok_and(|inside| inside.full)
    }

    pub(super) fn look_again(&mut self) {
        if self.may_stand_still() {
            self.before = self.inside.as_ref().ok().map(|inside| inside.pace.clone());
            self.look();
        }
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        if self.gone {
            return Vec::new();
        }
        let name = self.target.shown();
        let quoted = quoted(&name);
        let inside = match &self.inside {
            Ok(inside) => inside,
            Err(error) => return vec![self.unreadable(&name, error)],
        };
        let mut all = Vec::new();
        self.check_mode(&mut all);
        if !inside.dead.is_empty() {
            let processes = listed(&inside.dead);
            all.push(
                Check::wrong("dead-members", &name, format!("{} of its members are dead: {processes}", inside.dead.len()))
                    .meaning("What they held is handed out, and their places are free, once the next member comes or is held up.")
                    .remedy(format!("handover doctor --fix {quoted}")),
            );
        }
        if !self.segment.in_use {
            all.push(self.unused(inside));
        } else if inside.full && self.before.as_ref() == Some(&inside.pace) {
            let whose = match &inside.takers[..] {
                [] => "nobody is there to take anything out".to_owned(),
                takers => format!("{} took nothing out for a second", listed(takers)),
            };
            all.push(
                Check::wrong(
                    "full",
                    &name,
                    format!("full, with {} of {}, and {whose}", number(inside.held), number(inside.capacity)),
                )
                .meaning("Whoever puts more in waits.")
                .remedy(match (&inside.takers[..], self.segment.kind.as_ref()) {
                    ([], Ok(Kind::Tasks)) => format!("handover work {quoted} -- COMMAND"),
                    ([], _) => format!("handover pop {quoted} --follow"),
                    _ => format!(
                        "look what these processes do (handover stat {quoted}), or end them: others go on at once"
                    ),
                }),
            );
        }
        if inside.handed_back > 0 {
            all.push(
                Check::note("handed-back", &name, counted(inside.handed_back, "message") + " handed back")
                    .meaning("Whoever held them died or let them go. They come first, and marked.")
                    .remedy(format!("handover peek {quoted}")),
            );
        }
        if inside.voided > 0 {
            all.push(
                Check::note("voids", &name, format!("{} pushes died half-way", inside.voided))
                    .meaning("They were never committed, and were stepped over. Nothing is to be done."),
            );
        }
        if inside.dead_letters > 0 {
            all.push(
                Check::wrong("dead-letters", &name, counted(inside.dead_letters, "dead letter"))
                    .meaning("They were tried as often as they may be, or came too late. They take room until somebody decides.")
                    .remedy(format!("handover letters {quoted}")),
            );
        }
        if inside.results > 0 {
            all.push(
                Check::note("results", &name, counted(inside.results, "result") + " not collected")
                    .meaning("They take room as long as whoever asked for them lives."),
            );
        }
        if all.is_empty() {
            let kind = self.segment.kind.as_ref().map_or("?".into(), ToString::to_string);
            let closed = if inside.closed { ", closed" } else { "" };
            all.push(Check::well(
                name,
                format!("{kind}, {} of {}{closed}", number(inside.held), number(inside.capacity)),
            ));
        }
        all
    }

    fn unreadable(&self, name: &str, error: &Error) -> Check {
        let quoted = quoted(name);
        match error {
            Error::Permission { .. } => Check::note("not-permitted", name, "it belongs to somebody else")
                .meaning("It can't be looked into.")
                .remedy(format!("sudo handover doctor {quoted}")),
            Error::Version { .. } => Check::wrong("other-version", name, error.to_string())
                .meaning("This version can do nothing with it.")
                .remedy(format!("handover rm {quoted}, once nobody uses it with the other version")),
            _ => Check::wrong("corrupt", name, error.to_string())
                .meaning("Nobody can open it, and nobody who has it open can trust it.")
                .remedy(match &self.target {
                    Target::Name(_) => format!("handover rm {quoted}"),
                    Target::File(_) => format!("rm {quoted}"),
                }),
        }
    }

    fn check_mode(&self, all: &mut Vec<Check>) {
        let (name, mode) = (self.target.shown(), self.segment.mode);
        if mode & 0o002 != 0 {
            all.push(
                Check::wrong("anybody-may-write", name, format!("anybody may write it (mode {mode:04o})"))
                    .meaning("Every user of this machine can take messages, forge them, and end whoever has it open.")
                    .remedy(machine::how_to_keep_out('o', &self.target)),
            );
        } else if mode & 0o020 != 0 {
            all.push(
                Check::note("group-may-write", name, format!("its group may write it (mode {mode:04o})"))
                    .meaning("Whoever is in that group is trusted with all of it.")
                    .remedy(format!("{}, if that was not meant", machine::how_to_keep_out('g', &self.target))),
            );
        }
    }

    /// Of one that nobody has open.
    fn unused(&self, inside: &Inside) -> Check {
        let name = self.target.shown();
        let quoted = quoted(&name);
        if self.segment.goes_with_last_user {
            return Check::wrong("left-behind", name, format!("left behind, with {} in it", number(inside.held)))
                .meaning("It was to go with its last user, and all who had it open were killed.")
                .remedy(format!("handover doctor --fix {quoted}"));
        }
        let published = self.segment.kind.as_ref().is_ok_and(|kind| *kind == Kind::Broadcast);
        if inside.closed && inside.held == 0 && inside.dead.is_empty() {
            return Check::wrong("closed-and-empty", name, "closed, empty, and nobody has it open")
                .meaning("It is done with, and takes memory.")
                .remedy(format!("handover doctor --fix {quoted}"));
        }
        if inside.closed {
            let check = Check::wrong(
                "closed-and-forgotten",
                name,
                format!("closed, with {} in it, and nobody has it open", number(inside.held)),
            )
            .meaning("Nothing is lost as long as it stays, and nobody takes what is left.");
            return check.remedy(match self.segment.kind {
                Ok(Kind::Tasks) => format!("handover work {quoted} -- COMMAND, or handover rm {quoted}"),
                Ok(Kind::Broadcast) => format!("handover rm {quoted}, if all who want it have read it"),
                _ => format!("handover pop {quoted} --follow, or handover rm {quoted}"),
            });
        }
        let found = if published || inside.held == 0 {
            "nobody has it open".to_owned()
        } else {
            format!("nobody has it open, and {} are in it", number(inside.held))
        };
        Check::note("unused", name, found)
            .meaning("It waits for its next user, or was forgotten.")
            .remedy(format!("handover rm {quoted}, if it was forgotten"))
    }
}

fn number(of: usize) -> String {
    grouped(of as u64)
}

/// Processes, for people.
fn listed(pids: &[u32]) -> String {
    let numbers: Vec<String> = pids.iter().take(5).map(ToString::to_string).collect();
    let more = if pids.len() > numbers.len() { ", …" } else { "" };
    format!("{} {}{more}", if pids.len() == 1 { "process" } else { "processes" }, numbers.join(", "))
}

fn inside(target: &Target, segment: &NamedSegment) -> Result<Inside, Error> {
    match &segment.kind {
        // To be told why, it is asked for once more; what can be read now was only in the making.
        Err(_) => Err(match target.kind() {
            Err(error) => error,
            Ok(_) => return inside_of(target, target.kind()?),
        }),
        Ok(kind) => inside_of(target, *kind),
    }
}

fn inside_of(target: &Target, kind: Kind) -> Result<Inside, Error> {
    Ok(match kind {
        Kind::Queue => of_queue(&target.queue_report()?),
        Kind::Broadcast => of_broadcast(&target.broadcast_report()?),
        Kind::Tasks => of_tasks(&target.tasks_report()?),
        // Plain memory has nothing in it that anybody but its users knows.
        _ => Inside::default(),
    })
}

fn of_queue(report: &handover::Report) -> Inside {
    let living = |role| report.members.iter().filter(move |member| member.alive && member.role == role);
    Inside {
        held: report.len + report.handed_back,
        capacity: report.capacity,
        closed: report.closed,
        dead: report.members.iter().filter(|member| !member.alive).map(|member| member.pid).collect(),
        takers: living(Role::Consumer).map(|member| member.pid).collect(),
        handed_back: report.handed_back,
        voided: report.counts.voided,
        full: report.len >= report.capacity && living(Role::Producer).next().is_some(),
        pace: Pace(vec![report.counts.pushed, report.counts.popped]),
        ..Inside::default()
    }
}

fn of_broadcast(report: &broadcast::Report) -> Inside {
    let dead_readers = report.readers.iter().filter(|reader| !reader.alive).map(|reader| reader.pid);
    let dead_writer = report.writer.filter(|(_, alive)| !alive).map(|(pid, _)| pid);
    let held_up_by =
        report.readers.iter().filter(|reader| reader.alive && reader.gating && reader.lag >= report.capacity as u64);
    let takers: Vec<u32> = held_up_by.map(|reader| reader.pid).collect();
    Inside {
        held: report.published.min(report.capacity as u64) as usize,
        capacity: report.capacity,
        closed: report.closed,
        dead: dead_readers.chain(dead_writer).collect(),
        full: !takers.is_empty() && report.writer.is_some_and(|(_, alive)| alive),
        takers,
        pace: Pace([report.published].into_iter().chain(report.readers.iter().map(|reader| reader.position)).collect()),
        ..Inside::default()
    }
}

fn of_tasks(report: &tasks::Report) -> Inside {
    let waiting: usize = report.waiting.iter().sum();
    let held = waiting + report.delayed + report.leased + report.dead_letters + report.finished;
    let dead_workers = report.workers.iter().filter(|worker| !worker.alive).map(|worker| worker.pid);
    let dead_submitters = report.submitters.iter().filter(|(_, alive)| !alive).map(|(pid, _)| *pid);
    Inside {
        held,
        capacity: report.capacity,
        closed: report.closed,
        dead: dead_workers.chain(dead_submitters).collect(),
        takers: report.workers.iter().filter(|worker| worker.alive).map(|worker| worker.pid).collect(),
        dead_letters: report.dead_letters,
        results: report.finished,
        full: held >= report.capacity && report.submitters.iter().any(|(_, alive)| *alive),
        pace: Pace(vec![report.submitted, report.taken, report.done, report.failed, report.dead]),
        ..Inside::default()
    }
}
