//! The body `refusal` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spark_fuzz::refusal::holds(bytes));
