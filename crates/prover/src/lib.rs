//! Proves from outside that nothing is lost and nothing wrongly purged.
//!
//! Each seed is a random history of a market, mixed with random faults of the feed, of the network, of
//! Postgres and of the processes. The real program replicates it, over real HTTP into a real Postgres; then
//! everything is healed, the program comes to rest, and every row must equal the simulator's truth. What must
//! hold at every moment is noted by triggers inside the program's own transactions ([`judge`]).
//!
//! The rule: this room imports nothing of what it proves. It knows the program as its users do, by its
//! command line, its configuration file and its tables, so a misunderstanding cannot hide by being made twice.

mod settings;
mod history;
mod chronicle;
mod stage;
mod act;
mod flicker;
mod trial;
mod rest;
mod succession;
mod judge;
mod shrink;
mod points;
mod traces;
mod report;
mod lanes;

pub use self::{
    lanes::{Progress, prove},
    points::{PointsReport, prove_points},
    report::{Failure, Outcome, Report, SeedReport},
    settings::{CLOCKS, Failpoints, Settings},
};

/// Why a trial could not be held at all: nothing was proved, and nothing refuted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no Postgres to be had, or it broke in a way that was not asked for.
    #[error(transparent)]
    Postgres(#[from] spark_simulator::postgres::PostgresError),
    /// A question of ours to Postgres failed.
    #[error("cannot {doing}")]
    Sql {
        /// What we were doing.
        doing: &'static str,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The machine refused something.
    #[error("cannot {doing}")]
    System {
        /// What we were doing.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program cannot do its part.
    #[error("the program failed at `{command}`: {said}")]
    Program {
        /// The command line.
        command: String,
        /// The end of what it said.
        said: String,
    },
    /// Somebody asked us to stop.
    #[error("stopped; nothing is left behind")]
    Stopped,
    /// A task of ours ended early.
    #[error("a part of the prover broke")]
    Broken(#[from] tokio::task::JoinError),
}

pub(crate) fn system(doing: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::System { doing, source }
}

pub(crate) fn sql(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Sql { doing, source }
}
