//! Whole screens, of a staged scene.

use std::time::{Duration, Instant};

use handover::Kind;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::{Terminal, crossterm};

use super::super::palette::Palette;
use super::super::state::Top;
use crate::system::processes::{Process, State};
use crate::watch::{Doing, Inside, Look, Member, Part, Segment, Spread, Standing};

fn member(part: Part, pid: u32, alive: bool, moved: u64, doing: Doing) -> Member {
    Member { part, number: pid, pid, alive, moved: Some(moved), doing }
}

fn inside(depth: u64, capacity: usize, moved: (u64, Option<u64>), members: Vec<Member>) -> Inside {
    Inside {
        depth,
        capacity,
        max_capacity: capacity,
        slot_bytes: 1028,
        closed: false,
        came: moved.0,
        went: moved.1,
        members,
        recovered: vec![("deaths", 0)],
        standing: None,
    }
}

fn segment(name: &str, kind: Kind, inside: Result<Option<Inside>, String>) -> Segment {
    let in_use = inside.as_ref().is_ok_and(|inside| inside.as_ref().is_some_and(|inside| !inside.members.is_empty()));
    Segment { name: name.into(), kind: Some(kind), bytes: 65_536, in_use, inside }
}

/// How things stand so many seconds after the beginning.
fn scene(seconds: u64) -> Vec<Segment> {
    let messages = |blocked| Doing::Messages { blocked, redelivered: 0 };
    let orders = {
        let (came, went) = (1_000_000 + 12_000 * seconds, 999_000 + 11_990 * seconds);
        let members = vec![
            member(Part::Producer, 4001, true, came, messages(0)),
            member(Part::Consumer, 4002, true, went / 2, messages(17)),
            member(Part::Consumer, 4003, false, 5, messages(3)),
        ];
        let recovered = vec![("deaths", 2), ("redelivered", 1), ("voided", 0)];
        Inside { recovered, ..inside(640, 1000, (came, Some(went)), members) }
    };
    let prices = inside(
        12,
        4096,
        (500 * seconds, None),
        vec![
            member(Part::Writer, 4010, true, 500 * seconds, Doing::Nothing),
            member(Part::Reader, 4011, true, 500 * seconds, Doing::Reading { lag: 0, missed: 0 }),
            member(Part::Gating, 4012, true, 490 * seconds, Doing::Reading { lag: 12, missed: 3 }),
        ],
    );
    let jobs = {
        let waited = [(200, 10), (1_500, 50 * seconds), (40_000, 9 * seconds)];
        let spread = |steps: &[(u64, u64)]| -> Spread {
            steps.iter().map(|(end, times)| (Duration::from_micros(*end), *times)).collect()
        };
        let standing = Standing {
            waiting: vec![3, 0, 0, 0, 0, 0, 0, 2],
            delayed: 1,
            leased: 1,
            dead_letters: 1,
            finished: 0,
            failed: 4,
            retried: 3,
            oldest: Some(Duration::from_millis(2500)),
            waited: spread(&waited),
            worked: spread(&[(20_000, 59 * seconds)]),
        };
        let working = Doing::Working { tasks: 1, longest: Duration::from_millis(12), tries: 2 };
        let members = vec![
            Member { moved: None, ..member(Part::Submitter, 4020, true, 0, Doing::Nothing) },
            member(Part::Worker, 4021, true, 59 * seconds, working),
        ];
        let inside = inside(8, 10, (60 * seconds, Some(59 * seconds)), members);
        Inside { standing: Some(standing), closed: true, ..inside }
    };
    vec![
        segment("broken", Kind::Queue, Err("segment \"broken\": is odd; make it anew".into())),
        segment("jobs", Kind::Tasks, Ok(Some(jobs))),
        segment("orders", Kind::Queue, Ok(Some(orders))),
        segment("prices", Kind::Broadcast, Ok(Some(prices))),
        segment("table", Kind::Memory, Ok(None)),
    ]
}

fn top(scene: impl Fn(u64) -> Vec<Segment>, opened: Option<&str>) -> Top {
    let begun = Instant::now();
    let look = |seconds| Look { at: begun + Duration::from_secs(seconds), segments: scene(seconds) };
    let mut top = Top::new(look(0), Duration::from_secs(1), opened.map(str::to_owned));
    (1..=3).for_each(|seconds| top.see(look(seconds)));
    top
}

fn who(pid: u32) -> Option<Process> {
    let state = if pid == 4012 { State::Stopped } else { State::Sleeps };
    (pid != 4011).then(|| Process { command: format!("trader-{pid}"), state })
}

fn screen(top: &mut Top, (columns, rows): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let palette = Palette::new(true);
    terminal.draw(|frame| super::draw(frame, top, palette, &who)).unwrap();
    let buffer = terminal.backend().buffer();
    let cell = |row, column| buffer.cell((column, row)).unwrap().symbol().to_owned();
    let line = |row| (0..columns).map(|column| cell(row, column)).collect::<String>().trim_end().to_owned();
    (0..rows).map(line).collect()
}

fn press(top: &mut Top, code: KeyCode) {
    top.press(KeyEvent::new(code, crossterm::event::KeyModifiers::NONE));
}

#[track_caller]
fn assert_screen(found: &[String], expected: &str) {
    let found = found.join("\n");
    assert!(found == expected.trim_matches('\n'), "{found}");
}

#[test]
fn all_queues_are_a_row_each() {
    let mut top = top(scene, None);
    press(&mut top, KeyCode::Down);
    press(&mut top, KeyCode::Down);
    assert_screen(
        &screen(&mut top, (80, 24)),
        r#"
 handover top  5 there, 3 in use                              by name, every 1s
 NAME▴  KIND      DEPTH               IN/S  OUT/S RATE           MEMBERS STATE
 broken queue     segment "broken": is odd; make it anew
 jobs   tasks     ━━━━─ 8/10            60     59            ▇▇▇ 2       closed
›orders queue     ━━━── 640/1.0k     12.0k  12.0k            ▇▇▇ 1 dead  in use
 prices broadcast ╸──── 12/4.1k        500    990            ▇▇▇ 3       in use
 table  memory    64K                                                   stale





 orders, a queue ───────────────────────────────────────────────────────────────
 recovered  deaths 2, redelivered 1, voided 0
 ROLE               PID COMMAND         STATE   RATE/S
 producer          4001 trader-4001     sleeps   12.0k  1.0M in all
 consumer          4002 trader-4002     sleeps    6.0k  517k in all, 17 waits
 consumer          4003 -               dead         0  5 in all, 3 waits





 ↑↓ choose   Enter open   s sort   r reverse   p pause   ? help   q quit
"#,
    );
}

#[test]
fn a_task_queue_is_shown_with_its_times() {
    assert_screen(
        &screen(&mut top(scene, Some("jobs")), (80, 24)),
        r"
 handover top  jobs, a task queue                                      every 1s
 depth      ━━━━━━━━━━━━━━━━━━━━━━━━━━╸────── 8 of 10, 80 %
 state      in use, closed, slots of 1,028 bytes
 ever       180 in, 177 out, 4 failed, 3 retried
 recovered  deaths 0
 waiting    5: 2 of priority 7, 3 of priority 0; the oldest for 2.50 s
 besides    1 in work, 1 delayed, 1 dead letter, 0 results
 in 60/s at most 60/s ─────────────────  out 59/s at most 59/s ────────────────
                                    ███                                     ███
                                    ███                                     ███
                                    ███                                     ███
 waited last 2 s: 118 ─────────────────  worked on last 2 s: 118 ──────────────
 p50 1.50ms  p90 40.0ms  p99 40.0ms      p50 20.0ms  p90 20.0ms  p99 20.0ms
            █                                           █
            █    ▂                                      █
  1us 30us 1ms  30ms 1s   30s             1us 30us 1ms  30ms 1s   30s
 2 attached ───────────────────────────────────────────────────────────────────
 ROLE               PID COMMAND         STATE   RATE/S  IN WORK
 submitter         4020 trader-4020     sleeps       -
 worker            4021 trader-4021     sleeps      59  1, for 12.0 ms, try 2



 Esc back   ↑↓ members   p pause   ? help   q quit
",
    );
}

#[test]
fn a_broadcast_is_shown_with_its_readers() {
    assert_screen(
        &screen(&mut top(scene, Some("prices")), (80, 24)),
        r"
 handover top  prices, a broadcast                                     every 1s
 behind     ╸──────────────────────────────── 12, and 4,096 are kept
 state      in use, slots of 1,028 bytes
 ever       1,500 published
 recovered  deaths 0
 in 500/s at most 500/s ───────────────  out 990/s at most 990/s ──────────────
                                    ███                                     ███
                                    ███                                     ███
                                    ███                                     ███
 3 attached ───────────────────────────────────────────────────────────────────
 ROLE               PID COMMAND         STATE   RATE/S  BEHIND
 writer            4010 trader-4010     sleeps     500
 reader            4011 -               alive      500  ──── 0, missed 0
 gating reader     4012 trader-4012     stopped    490  ╸─── 12, missed 3









 Esc back   ↑↓ members   p pause   ? help   q quit
",
    );
}

#[test]
fn where_there_is_nothing_it_says_what_to_do() {
    let text = screen(&mut top(|_| Vec::new(), None), (80, 24)).join("\n");
    assert!(text.contains("0 there, 0 in use") && text.contains("handover create lines"), "{text}");
}

#[test]
fn what_is_odd_is_told_where_it_is_opened() {
    for (name, told) in [("broken", "is odd; make it anew"), ("table", "65,536 bytes"), ("never", "It is gone")] {
        let text = screen(&mut top(scene, Some(name)), (80, 24)).join("\n");
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn every_size_can_be_drawn() {
    for opened in [None, Some("orders"), Some("jobs"), Some("prices"), Some("broken"), Some("table"), Some("gone")] {
        let mut top = top(scene, opened);
        for columns in [1, 59, 60, 61, 80, 115, 145, 250] {
            for rows in [1, 9, 10, 11, 17, 24, 80] {
                screen(&mut top, (columns, rows));
            }
        }
        press(&mut top, KeyCode::Char('?'));
        screen(&mut top, (60, 10));
    }
}

#[test]
fn what_is_full_of_members_is_scrolled() {
    let many = |_| {
        let consumer = |pid| member(Part::Consumer, pid, true, 0, Doing::Messages { blocked: 0, redelivered: 0 });
        vec![segment("busy", Kind::Queue, Ok(Some(inside(0, 1, (0, Some(0)), (1..=100).map(consumer).collect()))))]
    };
    let mut top = top(many, Some("busy"));
    assert!(
        screen(&mut top, (80, 24)).iter().any(|line| line == " 1 to 11 of 100"),
        "{:#?}",
        screen(&mut top, (80, 24))
    );
    press(&mut top, KeyCode::End);
    let last = screen(&mut top, (80, 24));
    assert!(last.iter().any(|line| line == " 90 to 100 of 100") && last.iter().any(|line| line.contains("     100 ")));
}

#[test]
fn the_chosen_one_stays_chosen_when_the_order_changes() {
    let mut top = top(scene, None);
    press(&mut top, KeyCode::End);
    press(&mut top, KeyCode::Up);
    let chosen = |top: &Top| top.chosen().map(|segment| segment.name.clone());
    assert_eq!(chosen(&top).as_deref(), Some("prices"));
    let names = |top: &Top| top.segments().map(|segment| segment.name.clone()).collect::<Vec<_>>();
    press(&mut top, KeyCode::Char('s'));
    assert_eq!(names(&top), ["orders", "prices", "jobs", "broken", "table"]);
    assert_eq!(chosen(&top).as_deref(), Some("prices"));
    press(&mut top, KeyCode::Char('r'));
    assert_eq!(names(&top), ["table", "broken", "jobs", "prices", "orders"]);
    press(&mut top, KeyCode::Char('r'));
    // It goes, and its neighbour takes its place.
    let rest = scene(4).into_iter().filter(|segment| segment.name != "prices").collect();
    top.see(Look { at: Instant::now() + Duration::from_secs(4), segments: rest });
    assert_eq!(chosen(&top).as_deref(), Some("jobs"));
}
