//! The body `link` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spark_fuzz::link::holds(bytes));
