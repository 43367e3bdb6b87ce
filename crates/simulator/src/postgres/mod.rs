//! A throw-away Postgres from the binaries that are already on the machine.
//!
//! A mock of Postgres would not know locks, `jsonb` or a crash, so tests and the demo run the real server.
//! The rule: the server never outlives the process that started it, not even after `kill -9`, and takes its
//! folder with it.

mod find;
mod pgbouncer;
mod server;

use std::{io, path::PathBuf, process::Output, sync::OnceLock};

pub use self::{
    find::INSTALL_LINE,
    pgbouncer::PgBouncer,
    server::{Settings, ThrowAwayPostgres},
};

/// Why there is no throw-away Postgres.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No `initdb` and `postgres` anywhere we look; the text is the whole remedy.
    #[error("Postgres is not installed: run \"{INSTALL_LINE}\"")]
    NotInstalled,
    /// Postgres refuses to run as root, and there is nobody to become.
    #[error("Postgres refuses to run as root: add a user named \"postgres\" or \"nobody\"")]
    NoOtherUser,
    /// A step outside Postgres failed.
    #[error("cannot {doing}")]
    System {
        /// What we were doing.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// One of Postgres' own programs refused.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program, or `postgres` itself.
        program: &'static str,
        /// The end of what it said.
        said: String,
    },
    /// The server did not answer in time.
    #[error("Postgres in {} does not answer after 30 s: {said}", .folder.display())]
    Silent {
        /// Its folder.
        folder: PathBuf,
        /// The end of its log.
        said: String,
    },
}

/// The one server that all tests of a process share.
///
/// A static is never dropped, so this server ends when the process does: the pipe to its parent shell closes.
pub fn shared() -> Result<&'static ThrowAwayPostgres, &'static PostgresError> {
    static SHARED: OnceLock<Result<ThrowAwayPostgres, PostgresError>> = OnceLock::new();
    SHARED.get_or_init(ThrowAwayPostgres::start).as_ref()
}

fn failed(program: &'static str, output: &Output) -> PostgresError {
    PostgresError::Failed { program, said: last_lines(&String::from_utf8_lossy(&output.stderr)) }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}
