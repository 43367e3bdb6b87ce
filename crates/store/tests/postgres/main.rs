//! The store against a real Postgres.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod harness;

mod migrations;
mod statements;
mod boundaries;
mod errors;
mod leases;
mod cancelled;
mod feeds;
mod checkpoints;
mod runs;
mod budget;
mod oauth_tokens;
mod requests;
mod fixtures;
mod pages;
mod poison;
mod columns;
mod relations;
mod sweeps;
mod rereads;
mod events;
mod refills;
mod hashes;
