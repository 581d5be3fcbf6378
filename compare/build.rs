//! Builds the two queues that are not Rust. Where Boost's headers are not installed its queue is left out, and the tables
//! say so.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=foreign");
    println!("cargo::rustc-check-cfg=cfg(boost)");
    cc::Build::new().file("foreign/semaphores.c").opt_level(2).compile("semaphores");

    let mut boost = cc::Build::new();
    boost.cpp(true).std("c++14").opt_level(2).warnings(false).file("foreign/boost_queue.cpp");
    let found = boost.try_compile("boost_queue");
    match found {
        Ok(()) => println!("cargo::rustc-cfg=boost"),
        Err(why) => println!("cargo::warning=without Boost's message_queue (is libboost-dev installed?): {why}"),
    }
    // Versions of the peers are read from it.
    let lock = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
}
