//! Says in one line what would else be an error for every system call.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=src/os");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if !Path::new("src/os").join(&system).is_dir() {
        println!("cargo::error=this platform is not supported yet: {system}; README.md says where Handover runs");
    }
}
