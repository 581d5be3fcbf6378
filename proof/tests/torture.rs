//! The short form of `proof torture`, for each kind of queue.

use std::process::Command;

fn torture(kind: &str) {
    let run = Command::new(env!("CARGO_BIN_EXE_proof")).args(["torture", "--seconds", "2", "--kind", kind]).output();
    let run = run.expect("the program starts");
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && told.contains("every promise held"),
        "{told}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn readers_of_a_broadcast_get_each_message_or_are_told_whoever_is_killed() {
    torture("broadcast");
}

#[test]
fn with_many_producers_and_consumers_everything_balances_whoever_is_killed() {
    torture("many");
}

#[test]
fn with_one_producer_and_one_consumer_everything_balances_whoever_is_killed() {
    torture("one-to-one");
}

#[test]
fn with_one_producer_and_many_consumers_everything_balances_whoever_is_killed() {
    torture("one-to-many");
}

#[test]
fn with_many_producers_and_one_consumer_everything_balances_whoever_is_killed() {
    torture("many-to-one");
}

#[test]
fn each_task_is_done_and_none_comes_after_that_whoever_is_killed() {
    torture("tasks");
}
