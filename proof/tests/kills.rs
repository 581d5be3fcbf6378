//! The short form of `proof kills` and `proof stops`.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::process::Command;

fn proof(run: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_proof"))
        .env("PROOF_PROGRAM", env!("CARGO_BIN_EXE_proof"))
        .args([run, "--short"])
        .output()
        .expect("the program starts");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}{complained}");
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
