//! The promises, on a simulated Spark over HTTP and a real Postgres. Each test is a sentence.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

/// What the feed of every story speaks.
const DIALECT: spark_simulator::Dialect = spark_simulator::Dialect::Reso;

mod harness;
#[cfg(feature = "breakages")]
mod breakages;
mod download;
mod update;
mod media;
mod purge;
mod purge_trouble;
mod lookups;
mod answers;
mod not_spark;
mod one_key;
mod trouble;
mod links;
mod fields;
mod lease;
mod oauth;
mod outage;
