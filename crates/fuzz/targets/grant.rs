//! The body `grant` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spark_fuzz::grant::holds(bytes));
