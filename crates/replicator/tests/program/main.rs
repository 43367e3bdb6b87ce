//! The program as people and systemd meet it: its words, its exit codes, its signals, and what it does to a feed
//! and a database that are real but for their size.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod house;
mod process;
mod stage;
mod leaks;
mod configuration;
mod live_check;
mod native;
mod database;
mod signals;
mod once;
mod daemon;
mod exposition;
mod instances;
mod operators;
mod token;
mod oauth;
mod secrets;
mod secrets_oauth;
mod recording;
mod roles;
mod hostile;
mod port;
mod webhooks;
mod webhook_port;
mod strange;
mod simulate;
mod demo;
mod sabotage;
mod prove;
