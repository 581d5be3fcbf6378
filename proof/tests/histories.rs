//! The short form of `proof histories`.

use std::process::Command;

#[test]
fn every_call_of_threads_and_of_killed_processes_has_an_explanation() {
    let run = Command::new(env!("CARGO_BIN_EXE_proof")).args(["histories", "--seconds", "8"]).output();
    let run = run.expect("the program starts");
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && told.contains("every promise held"),
        "{told}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}
