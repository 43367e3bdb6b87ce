//! Keeps a Postgres database equal to MLS feeds: the program.
//!
//! It knows nothing of listings. It reads the configuration, builds fetchers, the store and the scheduler, hands
//! them to one another, and speaks with people: command line, log, status page, metrics, systemd. What can fail
//! without the network or the database fails first.

mod cli;
mod commands;
mod config;
mod assembly;
mod daemon;
mod http;
mod telemetry;
mod webhooks;
mod shutdown;
mod systemd;
mod clock;
mod exit;
#[cfg(any(feature = "failpoints", feature = "breakages"))]
mod sabotage;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Somebody else's provider in this process would be as good; there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&error);
            Exit::of(&error).into()
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command, also where no log was started")]
fn complain(error: &anyhow::Error) {
    eprintln!("spark-replicator: {error:#}");
}
