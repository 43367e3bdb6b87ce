//! Why a run of a job ended without success.

use spark_domain::plan::purge::Void;
use spark_domain::walk::WalkFailed;

/// What ended a run.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The feed did not deliver.
    #[error("the feed did not deliver")]
    Feed(#[from] spark_fetcher::Error),
    /// Postgres refused; mere absence is waited out and never gets here.
    #[error("Postgres refused")]
    Store(#[source] spark_store::Error),
    /// A list that cannot be believed.
    #[error("the feed's pages cannot be followed to an end")]
    Walk(#[from] WalkFailed),
    /// A walk whose continuation is refused again and again.
    #[error("the feed refused to go on from where it stood, {restarts} times in a row without progress")]
    Restarting {
        /// How often the walk started over.
        restarts: u32,
        /// The last refusal.
        #[source]
        source: spark_fetcher::Error,
    },
    /// A sweep that proves nothing.
    #[error("the sweep proves nothing; nothing was deleted")]
    Void(#[from] Void),
    /// The feed has no form in which it understands a list of keys.
    #[error("the feed misreads every way of asking for keys ({asked} candidates); nothing was deleted")]
    KeysMisread {
        /// Candidates that could not be confirmed.
        asked: usize,
    },
    /// The job builds on a complete download, and there is none.
    #[error("the resource was never downloaded whole; run initial_download first")]
    NotDownloaded,
    /// Another instance has the feed now.
    #[error("another instance holds the lease now; this one writes nothing more")]
    LeaseLost,
    /// We were asked to stop; the next start goes on here.
    #[error("stopped by request; the next run goes on where this one ended")]
    Cancelled,
}

impl JobError {
    /// The label `reason` of `sync_failures_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Feed(error) | Self::Restarting { source: error, .. } => error.reason(),
            Self::Store(error) => error.label(),
            Self::Walk(_) | Self::Void(_) | Self::KeysMisread { .. } | Self::NotDownloaded => {
                "incomplete_listing"
            }
            Self::LeaseLost | Self::Cancelled => "cancelled",
        }
    }
}

/// An error and its causes in one line, for a log line or a row of `job_run`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
