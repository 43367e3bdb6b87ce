//! What can go wrong between us and Postgres, named by what the caller does about it.

use std::error::Error as StdError;
use std::fmt;

use sqlx::postgres::PgDatabaseError;

use spark_domain::{FeedName, Recovery};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answers: refused, closed, shutting down, starting up, read-only after a failover. Work waits.
    #[error("Postgres cannot be reached; work waits until it is back")]
    Unreachable(#[source] Cause),
    /// It answers, but not now: a lock, a deadlock, a statement over its limit, too many connections.
    #[error("Postgres is too busy; the same work is tried again")]
    Busy(#[source] Cause),
    /// Another instance holds the lease, or ours ran out: nothing was written.
    #[error(
        "the lease of feed {feed} is no longer ours; another instance replicates it, and nothing was written"
    )]
    LeaseLost {
        /// Whose lease.
        feed: FeedName,
    },
    /// Postgres does not take the data.
    #[error("Postgres refuses the data")]
    Refused(#[source] Cause),
    /// What stands in the database is not what this program writes, or answers are not what it asked for.
    #[error("the database holds what this program cannot read: {what}")]
    Inconsistent {
        /// Which row or value, and the remedy.
        what: String,
        /// What made us stumble, if it was not our own check.
        source: Option<Cause>,
    },
    /// Tables or columns are missing, or are not as migrated.
    #[error("the database's tables are not those of this program: run `spark-replicator migrate`")]
    Schema(#[source] Cause),
    /// Postgres does not let us in, or not do this.
    #[error("Postgres denies access: check user, password, TLS and grants of `database.url`")]
    Denied(#[source] Cause),
    /// The URL in the settings is none.
    #[error("`database.url` is no usable Postgres URL; expected postgres://user:password@host:5432/database")]
    BadUrl(#[source] sqlx::Error),
}

/// What lies beneath an [`enum@Error`].
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No connection came about.
    #[error("cannot connect to {address}")]
    Connecting {
        /// Host, port, database and user.
        address: String,
        /// Why.
        source: Box<Cause>,
    },
    /// An error that Postgres itself reported.
    #[error(transparent)]
    Postgres(#[from] PostgresSaid),
    /// Everything else on the way.
    #[error(transparent)]
    Driver(sqlx::Error),
    /// A migration that cannot be applied.
    #[error(transparent)]
    Migration(sqlx::migrate::MigrateError),
    /// The client's own limit.
    #[error("no answer within {seconds} s; the connection was given up")]
    Silent {
        /// The limit.
        seconds: u64,
    },
}

/// What Postgres said, in the fields that help. (The driver's own text adds the line of Postgres' C source.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSaid {
    /// SQLSTATE, five letters.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// The rest: detail, hint, where, table, column, constraint.
    pub more: Vec<(&'static str, String)>,
}

impl Error {
    /// A failure to get a connection.
    pub(crate) fn connecting(address: String, source: sqlx::Error) -> Self {
        let wrap = |cause| Cause::Connecting { address, source: Box::new(cause) };
        match Self::from(source) {
            Self::Busy(cause) => Self::Busy(wrap(cause)),
            Self::Denied(cause) | Self::Schema(cause) | Self::Refused(cause) => Self::Denied(wrap(cause)),
            Self::Unreachable(cause) | Self::Inconsistent { source: Some(cause), .. } => {
                Self::Unreachable(wrap(cause))
            }
            other => other,
        }
    }

    /// A value in the database that this program does not know.
    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        Self::Inconsistent { what: what.into(), source: None }
    }

    /// What the caller can do.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Unreachable(_) | Self::Busy(_) => Recovery::Retry { after: None },
            Self::LeaseLost { .. }
            | Self::Refused(_)
            | Self::Inconsistent { .. }
            | Self::Schema(_)
            | Self::Denied(_)
            | Self::BadUrl(_) => Recovery::GiveUp,
        }
    }

    /// Whether the feed is another instance's now.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self, Self::LeaseLost { .. })
    }

    /// The metric label `reason`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::LeaseLost { .. } => "cancelled",
            Self::Unreachable(_)
            | Self::Busy(_)
            | Self::Refused(_)
            | Self::Inconsistent { .. }
            | Self::Schema(_)
            | Self::Denied(_)
            | Self::BadUrl(_) => "database",
        }
    }

    /// The SQLSTATE, if Postgres gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Unreachable(cause)
            | Self::Busy(cause)
            | Self::Refused(cause)
            | Self::Schema(cause)
            | Self::Denied(cause)
            | Self::Inconsistent { source: Some(cause), .. } => cause.sqlstate(),
            Self::LeaseLost { .. } | Self::Inconsistent { source: None, .. } | Self::BadUrl(_) => None,
        }
    }

    /// The first two letters of it.
    pub fn sqlstate_class(&self) -> Option<&str> {
        self.sqlstate().and_then(|code| code.get(..2))
    }
}

impl Cause {
    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Connecting { source, .. } => source.sqlstate(),
            Self::Postgres(said) => Some(&said.code),
            Self::Driver(_) | Self::Migration(_) | Self::Silent { .. } => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::Database(ref database) => match database.try_downcast_ref::<PgDatabaseError>() {
                Some(said) => PostgresSaid::from(said).into(),
                None => Self::Unreachable(Cause::Driver(error)),
            },
            E::Tls(_) | E::Configuration(_) => Self::Denied(Cause::Driver(error)),
            E::Io(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => {
                Self::Unreachable(Cause::Driver(error))
            }
            other => Self::Inconsistent {
                what: "an answer does not fit the question".to_owned(),
                source: Some(Cause::Driver(other)),
            },
        }
    }
}

impl From<PostgresSaid> for Error {
    fn from(said: PostgresSaid) -> Self {
        let code = said.code.clone();
        let cause = Cause::Postgres(said);
        match (&code[..2.min(code.len())], code.as_str()) {
            // Going down, coming up, gone; or a failover left us at a server that only reads.
            (_, "57P01" | "57P02" | "57P03" | "57P05" | "25006") | ("08" | "58", _) => {
                Self::Unreachable(cause)
            }
            // 25P03: idle in transaction; 0A000 and 26000: a cached plan is stale, and the connection that had
            // it is closed by now.
            (_, "57014" | "25P03" | "0A000" | "26000" | "55P03" | "55006") | ("40" | "53", _) => {
                Self::Busy(cause)
            }
            (_, "42501" | "3D000") | ("28", _) => Self::Denied(cause),
            ("42" | "3F", _) => Self::Schema(cause),
            ("22" | "23" | "54", _) => Self::Refused(cause),
            _ => Self::Inconsistent {
                what: "Postgres reports what we cannot mend".to_owned(),
                source: Some(cause),
            },
        }
    }
}

impl From<&PgDatabaseError> for PostgresSaid {
    fn from(error: &PgDatabaseError) -> Self {
        let fields = [
            ("detail", error.detail()),
            ("hint", error.hint()),
            ("where", error.r#where()),
            ("table", error.table()),
            ("column", error.column()),
            ("constraint", error.constraint()),
        ];
        // A detail repeats whole rows; what a person needs stands at its beginning.
        let short = |text: &str| text.chars().take(300).collect::<String>();
        Self {
            code: error.code().to_owned(),
            message: short(error.message()),
            more: fields.into_iter().filter_map(|(name, text)| Some((name, short(text?)))).collect(),
        }
    }
}

impl fmt::Display for PostgresSaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {}", self.message, self.code)?;
        self.more.iter().try_for_each(|(name, text)| write!(f, "; {name}: {text}"))?;
        f.write_str(")")
    }
}

impl StdError for PostgresSaid {}
