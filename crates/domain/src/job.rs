//! The things we do for a feed: a closed list, spelled once.

use std::fmt;
use std::str::FromStr;

/// A job. Its word is the log field, the word on the command line and the metric label `job_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Downloads a resource whole for the first time.
    InitialDownload,
    /// Asks for what changed since the cursor, less the cache window.
    Update,
    /// Asks for the last 48 hours once more, for what surfaced late.
    Lookback,
    /// Fetches relations whose parent says that they may have changed.
    MediaRefresh,
    /// Compares all keys and deletes what the feed no longer shows.
    Purge,
    /// Replaces the lookup values by difference.
    Lookups,
    /// Keeps `$metadata` and reports drift.
    Metadata,
    /// Downloads a resource whole again, deleting nothing.
    Resync,
}

/// The text names no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown job {0:?}; known are initial_download, update, lookback, media_refresh, purge, lookups, metadata, resync"
)]
pub struct UnknownJob(String);

impl Job {
    /// Every job.
    pub const ALL: [Self; 8] = [
        Self::InitialDownload,
        Self::Update,
        Self::Lookback,
        Self::MediaRefresh,
        Self::Purge,
        Self::Lookups,
        Self::Metadata,
        Self::Resync,
    ];

    /// The job's one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InitialDownload => "initial_download",
            Self::Update => "update",
            Self::Lookback => "lookback",
            Self::MediaRefresh => "media_refresh",
            Self::Purge => "purge",
            Self::Lookups => "lookups",
            Self::Metadata => "metadata",
            Self::Resync => "resync",
        }
    }

    /// Who waits longer when requests are scarce.
    pub const fn priority(self) -> Priority {
        match self {
            Self::Update | Self::Metadata => Priority::Update,
            Self::MediaRefresh => Priority::Relations,
            Self::InitialDownload | Self::Lookback | Self::Purge | Self::Lookups | Self::Resync => {
                Priority::Bulk
            }
        }
    }
}

/// The order in which waiters are served from a feed's request budget. Bulk never gets less than 15 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Updates, probes, confirmations and the command line: someone waits for freshness.
    Update,
    /// Media and other relations.
    Relations,
    /// Whole collections.
    Bulk,
}

impl FromStr for Job {
    type Err = UnknownJob;

    fn from_str(text: &str) -> Result<Self, UnknownJob> {
        Self::ALL.into_iter().find(|j| j.as_str() == text).ok_or_else(|| UnknownJob(text.to_owned()))
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
