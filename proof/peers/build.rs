//! Boost's queue is a C++ header: its driver is compiled here. Without the header the others run all the same.

fn main() {
    println!("cargo::rerun-if-changed=boost/queue.cpp");
    println!("cargo::rustc-check-cfg=cfg(boost)");
    let mut driver = cc::Build::new();
    driver.cpp(true).std("c++17").opt_level(2).warnings(false).cargo_warnings(false).file("boost/queue.cpp");
    if driver.try_compile("boost_queue").is_ok() {
        println!("cargo::rustc-cfg=boost");
        println!("cargo::rustc-link-lib=rt");
    }
}
