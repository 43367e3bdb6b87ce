//! The promises, on a simulated Spark over HTTP and a real Postgres. Each test is a sentence.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;
#[cfg(feature = "breakages")]
mod breakages;
mod download;
mod update;
mod media;
mod purge;
mod purge_trouble;
mod lookups;
mod trouble;
mod lease;
mod outage;
