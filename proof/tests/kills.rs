//! The short form of `proof kills` and `proof stops`.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::Write;
use std::process::Command;

/// What `proof` ends with where something could not be tried.
const UNTRIED: i32 = 3;

fn proof(run: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_proof"))
        .env("PROOF_PROGRAM", env!("CARGO_BIN_EXE_proof"))
        .args([run, "--short"])
        .output()
        .expect("the program starts");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}{complained}");
    if output.status.code() == Some(UNTRIED) {
        // Past the capture of tests that pass: for nobody to take this for evidence.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED, and nothing shown: proof {run}{said}");
        return;
    }
    assert!(output.status.success(), "{said}{complained}");
}

#[test]
fn a_process_may_be_killed_after_any_instruction() {
    proof("kills");
}

#[test]
fn a_process_may_be_stopped_after_any_instruction() {
    proof("stops");
}
