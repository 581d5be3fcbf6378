//! A segment that somebody scribbles over, before it is opened and while it is in use: errors or messages come of it,
//! and never a panic, a crash or a hang. `proof hostile` does the same for longer.

use std::process::Command;

use proof::hostile::{Kind, segments_alone};

#[test]
fn plain_messages_in_a_scribbled_queue_are_errors_or_messages() {
    segments_alone(Kind::Plain, 11, 150);
    segments_alone(Kind::Wide, 12, 150);
}

#[test]
fn bytes_in_a_scribbled_queue_are_errors_or_messages() {
    segments_alone(Kind::Bytes, 13, 300);
}

#[test]
fn empty_messages_in_a_scribbled_queue_are_errors_or_messages() {
    segments_alone(Kind::Empty, 14, 300);
}

#[test]
fn encoded_messages_in_a_scribbled_queue_are_errors_or_messages() {
    segments_alone(Kind::Encoded, 15, 300);
}

#[test]
fn shared_memory_with_a_scribbled_header_is_refused_or_bounded() {
    segments_alone(Kind::Memory, 16, 300);
}

#[test]
fn tasks_in_a_scribbled_queue_are_errors_or_tasks() {
    segments_alone(Kind::Tasks, 17, 100);
}

#[test]
fn a_scribbler_at_work_while_others_push_and_pop_harms_nobody() {
    let run = ["hostile", "--segments", "1", "--seconds", "0.4"];
    let output = Command::new(env!("CARGO_BIN_EXE_proof")).args(run).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
