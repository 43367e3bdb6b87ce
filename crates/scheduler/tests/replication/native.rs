//! The same promises, kept over the native Spark API: one body of stories, another dialect.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

/// What the feed of every story speaks.
const DIALECT: spark_simulator::Dialect = spark_simulator::Dialect::Spark;

mod harness;
#[cfg(feature = "breakages")]
mod breakages;
mod download;
mod update;
mod media;
mod parts;
mod purge;
mod purge_trouble;
mod trouble;
mod answers;
mod lease;
mod outage;
