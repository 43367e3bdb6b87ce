//! A feed as a whole: what it is configured as, and whether it is blocked, refused or paused.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use spark_domain::{FeedName, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::{Store, Writing};
use crate::error::Error;
use crate::lease::Lease;

sql! {
    STATE = "select configuration, blocked_at, blocked_reason, refused_at, paused_at, paused_by, \
        clock_skew_seconds from replicator.feed where feed = $1";
    REGISTER = "insert into replicator.feed as f (feed, api, base_url, configuration) values ($1, $2, $3, $4) \
        on conflict (feed) do update set api = excluded.api, base_url = excluded.base_url, \
        configuration = coalesce(f.configuration, excluded.configuration)";
    REGISTER_RESOURCES = "insert into replicator.resource (feed, resource) \
        select $1, unnest($2::text[]) on conflict (feed, resource) do nothing";
    CONFIGURE_RESOURCES = "update replicator.resource set configured = not configured \
        where feed = $1 and configured <> (resource = any($2::text[]))";
    REFUSE = "update replicator.feed set refused_at = coalesce(refused_at, clock_timestamp()) \
        where feed = $1 returning refused_at";
    BLOCK = "update replicator.feed set blocked_at = coalesce(blocked_at, clock_timestamp()), blocked_reason = $2 \
        where feed = $1";
    UNBLOCK = "update replicator.feed set blocked_at = null, blocked_reason = null, refused_at = null \
        where feed = $1 and num_nonnulls(blocked_at, refused_at) > 0";
    PAUSE = "update replicator.feed set paused_at = coalesce(paused_at, clock_timestamp()), paused_by = $2 \
        where feed = $1";
    RESUME = "update replicator.feed set paused_at = null, paused_by = null where feed = $1";
    SKEW = "update replicator.feed set clock_skew_seconds = $2 where feed = $1";
    CONFIGURATION = "update replicator.feed set configuration = $2 where feed = $1";
}

/// What the configuration says of a feed.
#[derive(Debug, Clone, Copy)]
pub struct FeedRegistration<'a> {
    /// The dialect, `reso` or `spark`.
    pub api: &'a str,
    /// The feed's base URL.
    pub base_url: &'a str,
    /// What a resync depends on: base URL, filter, exclude, relations, in any stable text.
    pub configuration: &'a str,
    /// The resources to replicate.
    pub resources: &'a [Resource],
}

/// A feed as the database knows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedState {
    /// The configuration that the data was downloaded by; none for a new feed.
    pub configuration: Option<String>,
    /// Nothing but a probe is asked, until the token is good again.
    pub blocked: Option<Blocked>,
    /// The first 401 or 403 since the last good answer.
    pub refused_at: Option<Timestamp>,
    /// A person told it to rest.
    pub paused: Option<Paused>,
    /// The feed's clock less Postgres', in seconds.
    pub clock_skew_seconds: Option<f64>,
}

/// Since when a feed is blocked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Since when.
    pub at: Timestamp,
    /// What the feed said.
    pub reason: String,
}

/// Since when a feed is paused, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// Since when.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
}

impl Store {
    /// Makes the feed and its resources known, and answers how it stood before.
    ///
    /// A configuration that is already there stays: [`Store::set_configuration`] replaces it once what the
    /// change calls for (a resync) has been ordered, so that a crash in between cannot lose the order.
    pub async fn register_feed(
        &self,
        lease: &Lease,
        feed: &FeedRegistration<'_>,
    ) -> Result<FeedState, Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let before = read_state(writing.conn(), lease.feed()).await?.unwrap_or_default();
            sqlx::query(REGISTER)
                .bind(lease.feed().as_str())
                .bind(feed.api)
                .bind(feed.base_url)
                .bind(feed.configuration)
                .execute(writing.conn())
                .await?;
            let names: Vec<&str> = feed.resources.iter().map(|resource| resource.as_str()).collect();
            for statement in [REGISTER_RESOURCES, CONFIGURE_RESOURCES] {
                sqlx::query(statement)
                    .bind(lease.feed().as_str())
                    .bind(&names)
                    .execute(writing.conn())
                    .await?;
            }
            writing.commit(Boundary::RegisterFeed).await?;
            Ok(before)
        })
        .await
    }

    /// The feed as the database knows it; `None` if it was never registered.
    pub async fn feed_state(&self, feed: &FeedName) -> Result<Option<FeedState>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let state = read_state(unit.conn(), feed).await?;
            unit.done();
            Ok(state)
        })
        .await
    }

    /// Notes a 401 or 403, and answers when the first one since the last good answer was.
    pub async fn note_refusal(&self, lease: &Lease) -> Result<Timestamp, Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let note = sqlx::query_scalar(REFUSE).bind(lease.feed().as_str());
            let first = note.fetch_optional(writing.conn()).await?.ok_or_else(|| unregistered(lease))?;
            writing.commit(Boundary::NoteRefusal).await?;
            Ok(first)
        })
        .await
    }

    /// Blocks the feed; the time of the first blocking stays.
    pub async fn block_feed(&self, lease: &Lease, reason: &str) -> Result<(), Error> {
        let block = sqlx::query(BLOCK).bind(lease.feed().as_str()).bind(reason);
        self.set_feed(lease, Boundary::BlockFeed, block).await
    }

    /// Ends the blocking and forgets the refusals; writes nothing if there were none.
    pub async fn unblock_feed(&self, lease: &Lease) -> Result<(), Error> {
        let unblock = sqlx::query(UNBLOCK).bind(lease.feed().as_str());
        self.set_feed(lease, Boundary::UnblockFeed, unblock).await
    }

    /// Lets the feed rest.
    pub async fn pause_feed(&self, lease: &Lease, by: &str) -> Result<(), Error> {
        let pause = sqlx::query(PAUSE).bind(lease.feed().as_str()).bind(by);
        self.set_feed(lease, Boundary::PauseFeed, pause).await
    }

    /// Ends the rest.
    pub async fn resume_feed(&self, lease: &Lease) -> Result<(), Error> {
        let resume = sqlx::query(RESUME).bind(lease.feed().as_str());
        self.set_feed(lease, Boundary::ResumeFeed, resume).await
    }

    /// Keeps the difference of the feed's clock to Postgres', in seconds; positive if the feed is ahead.
    pub async fn note_clock_skew(&self, lease: &Lease, seconds: f64) -> Result<(), Error> {
        let note = sqlx::query(SKEW).bind(lease.feed().as_str()).bind(seconds);
        self.set_feed(lease, Boundary::NoteClockSkew, note).await
    }

    /// Replaces the configuration that the next [`Store::register_feed`] answers.
    pub async fn set_configuration(&self, lease: &Lease, configuration: &str) -> Result<(), Error> {
        let set = sqlx::query(CONFIGURATION).bind(lease.feed().as_str()).bind(configuration);
        self.set_feed(lease, Boundary::SetConfiguration, set).await
    }

    async fn set_feed(&self, lease: &Lease, boundary: Boundary, change: PgQuery) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing: Writing = self.begin_write(lease).await?;
            change.execute(writing.conn()).await?;
            writing.commit(boundary).await
        })
        .await
    }
}

/// A statement with its arguments.
pub(crate) type PgQuery = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

type StateRow = (
    Option<String>,
    Option<DateTime<Utc>>,
    Option<String>,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
    Option<String>,
    Option<f64>,
);

async fn read_state(conn: &mut PgConnection, feed: &FeedName) -> Result<Option<FeedState>, Error> {
    let row: Option<StateRow> = sqlx::query_as(STATE).bind(feed.as_str()).fetch_optional(conn).await?;
    Ok(row.map(|(configuration, blocked_at, reason, refused_at, paused_at, by, clock_skew_seconds)| {
        FeedState {
            configuration,
            blocked: blocked_at.zip(reason).map(|(at, reason)| Blocked { at, reason }),
            refused_at,
            paused: paused_at.zip(by).map(|(at, by)| Paused { at, by }),
            clock_skew_seconds,
        }
    }))
}

fn unregistered(lease: &Lease) -> Error {
    Error::inconsistent(format!(
        "feed {} has no row in replicator.feed; a restart registers it",
        lease.feed()
    ))
}
