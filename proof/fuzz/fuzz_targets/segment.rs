//! A segment's whole time, as the fuzzer's bytes say: which kind, what is done with it, what is scribbled over when.
//!
//! ```text
//! cd proof && cargo +nightly fuzz run segment -- -timeout=10 -max_len=4096 -max_total_time=300
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| proof::hostile::fuzz(bytes));
