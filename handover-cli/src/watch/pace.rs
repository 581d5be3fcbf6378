//! How fast a queue moved between two looks.

use std::time::Duration;

use super::inside::{Inside, Member, Part};

/// In messages or tasks for each second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pace {
    /// In.
    pub(crate) came: f64,
    /// Out; of a broadcast, what all its readers read together.
    pub(crate) went: f64,
    /// Of each member, in their order; None where that is not counted.
    pub(crate) members: Vec<Option<f64>>,
}

impl Pace {
    pub(super) fn between(before: &Inside, now: &Inside, time: Duration) -> Pace {
        // Less than before: it is another one of that name.
        let rate = |before: u64, now: u64| match time.as_secs_f64() {
            0.0 => 0.0,
            seconds => now.saturating_sub(before) as f64 / seconds,
        };
        let same =
            |one: &Member, other: &Member| (one.number, one.pid, one.part) == (other.number, other.pid, other.part);
        let of_member = |member: &Member| {
            let known = before.members.iter().find(|known| same(known, member));
            // One that has come since began at nothing, but for those who count on where others left off.
            let begun = match (known, member.part) {
                (Some(known), _) => known.moved?,
                (None, Part::Writer) => before.came,
                (None, Part::Worker) => member.moved?,
                (None, _) => 0,
            };
            member.moved.map(|moved| rate(begun, moved))
        };
        let members: Vec<Option<f64>> = now.members.iter().map(of_member).collect();
        let went = match (before.went, now.went) {
            (Some(before), Some(now)) => rate(before, now),
            _ => {
                let all = now.members.iter().zip(&members);
                all.filter(|(member, _)| member.part != Part::Writer)
                    .filter_map(|(_, rate)| *rate)
                    .fold(0.0, |sum, rate| sum + rate)
            }
        };
        Pace { came: rate(before.came, now.came), went, members }
    }

    /// Of one that was not looked at before.
    pub(super) fn resting(now: &Inside) -> Pace {
        Pace { members: now.members.iter().map(|member| member.moved.map(|_| 0.0)).collect(), ..Pace::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Doing;

    fn member(part: Part, number: u32, moved: u64) -> Member {
        Member { part, number, pid: 7, alive: true, moved: Some(moved), doing: Doing::Nothing }
    }

    fn inside(came: u64, went: Option<u64>, members: Vec<Member>) -> Inside {
        Inside {
            depth: 0,
            capacity: 1,
            max_capacity: 1,
            slot_bytes: 1,
            closed: false,
            came,
            went,
            members,
            recovered: Vec::new(),
            standing: None,
        }
    }

    #[test]
    fn rates_are_what_moved_in_the_time() {
        let before = inside(100, Some(50), vec![member(Part::Producer, 1, 100), member(Part::Consumer, 2, 50)]);
        let now = inside(
            150,
            Some(70),
            vec![member(Part::Producer, 1, 150), member(Part::Consumer, 2, 60), member(Part::Consumer, 3, 10)],
        );
        let pace = Pace::between(&before, &now, Duration::from_millis(500));
        assert_eq!(pace, Pace { came: 100.0, went: 40.0, members: vec![Some(100.0), Some(20.0), Some(20.0)] });
        assert_eq!(Pace::between(&before, &now, Duration::ZERO).came, 0.0);
    }

    #[test]
    fn of_a_broadcast_all_readers_count_together() {
        let before = inside(10, None, vec![member(Part::Writer, 0, 10), member(Part::Reader, 1, 10)]);
        let now = inside(
            30,
            None,
            vec![member(Part::Writer, 0, 30), member(Part::Reader, 1, 30), member(Part::Gating, 2, 5)],
        );
        let pace = Pace::between(&before, &now, Duration::from_secs(1));
        assert_eq!((pace.came, pace.went), (20.0, 25.0));
    }

    #[test]
    fn where_nobody_reads_nothing_goes_out() {
        let quiet = inside(10, None, Vec::new());
        let went = Pace::between(&quiet, &quiet, Duration::from_secs(1)).went;
        assert!(went == 0.0 && went.is_sign_positive(), "{went}");
    }

    #[test]
    fn a_new_worker_is_not_given_the_work_of_those_before_it() {
        let now = inside(0, Some(1000), vec![member(Part::Worker, 1, 1000)]);
        let pace = Pace::between(&inside(0, Some(1000), Vec::new()), &now, Duration::from_secs(1));
        assert_eq!(pace.members, [Some(0.0)]);
    }

    #[test]
    fn another_queue_of_the_same_name_does_not_run_backwards() {
        let before = inside(1000, Some(1000), vec![member(Part::Producer, 1, 1000)]);
        let now = inside(3, Some(2), vec![member(Part::Producer, 1, 3)]);
        let pace = Pace::between(&before, &now, Duration::from_secs(1));
        assert_eq!(pace, Pace { came: 0.0, went: 0.0, members: vec![Some(0.0)] });
    }
}
