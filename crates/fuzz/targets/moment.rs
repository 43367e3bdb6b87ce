//! The body `moment` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spark_fuzz::moment::holds(bytes));
