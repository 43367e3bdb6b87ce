//! When, and in which order: asks `plan`, calls fetcher and store, counts.
//!
//! [`Replicator::start`] runs any number of feeds. For each it waits for the lease, and while it holds it, one
//! task per resource and job looks when its job is due, runs it, writes down how it ended, and looks again. A
//! job never retries itself; its failure is written down, and the plan makes it due again. What a task knows
//! it reads from the store, so a restart, a hand-over and a second instance need no special case.
//!
//! Promises kept here: a page commits with its checkpoint; no write without the lease; trouble stays within
//! its run, its resource and its feed; while Postgres is away everything waits.

pub mod settings;
pub mod cron;
pub mod metrics;
pub mod oauth;
mod replicator;
mod inquiry;
mod feed;
mod context;
mod jobs;
mod error;

pub use error::JobError;
pub use inquiry::Inquiry;
pub use metrics::Metrics;
pub use replicator::{OnceProblem, OnceReport, PAGE_ALLOWANCE, Replicator, run_once};
pub use settings::{FeedSettings, Pace};
