//! The lease: one instance per feed (P6).
//!
//! A row per feed with holder, epoch and expiry, all by Postgres' clock. The holder beats by moving the expiry
//! alone, which does not conflict with the `for key share` of writing transactions; a taker locks the row
//! `for update`, and so waits for the last of them, and then counts the epoch up. From then on every
//! transaction of the old holder fails its check, however long it was paused.

use std::time::Duration;

use spark_domain::{FeedName, Timestamp};

use crate::boundary::{Boundary, durable};
use crate::connection::Store;
use crate::error::Error;
use crate::text::micros;

sql! {
    HOLDER = "select holder, epoch, expires_at, expires_at > clock_timestamp() \
        from replicator.lease where feed = $1";
    TAKE_FIRST = "insert into replicator.lease (feed, holder, epoch, expires_at) \
        values ($1, $2, 1, clock_timestamp() + $3 * interval '1 microsecond') \
        on conflict (feed) do nothing returning epoch";
    KEEP = "update replicator.lease set expires_at = clock_timestamp() + $3 * interval '1 microsecond' \
        where feed = $1 and holder = $2 and epoch = $4 returning epoch";
    LOCK_EXPIRED = "select epoch from replicator.lease \
        where feed = $1 and expires_at <= clock_timestamp() for update";
    TAKE_OVER = "update replicator.lease set holder = $2, epoch = epoch + 1, taken_at = clock_timestamp(), \
        expires_at = clock_timestamp() + $3 * interval '1 microsecond' where feed = $1 returning epoch";
    RELEASE = "update replicator.lease set expires_at = clock_timestamp() \
        where feed = $1 and holder = $2 and epoch = $3 and expires_at > clock_timestamp()";
}

/// One attempt to take a lease, the wait for a writer that the old holder left behind included. A stand-by that
/// hung in one for longer could not take over in time; it asks again.
const TAKE_DEADLINE: Duration = Duration::from_secs(7);

/// The right to write for a feed, until another instance takes it. Only [`Store::acquire_lease`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    feed: FeedName,
    holder: String,
    epoch: i64,
}

/// Who has a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The instance's name.
    pub holder: String,
    /// How often the lease has changed hands, and once for the first.
    pub epoch: i64,
    /// When it ends unless renewed.
    pub expires_at: Timestamp,
    /// Whether it has not ended.
    pub alive: bool,
}

impl Lease {
    /// The feed.
    pub const fn feed(&self) -> &FeedName {
        &self.feed
    }

    /// Our name in it.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Its epoch.
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }
}

impl Store {
    /// Takes the lease if it is free, expired, or `holder`'s already (then the epoch stays). `None`: another
    /// instance has it. `holder` must be unique to the process.
    pub async fn acquire_lease(
        &self,
        feed: &FeedName,
        holder: &str,
        life: Duration,
    ) -> Result<Option<Lease>, Error> {
        self.observed_within(TAKE_DEADLINE, "state", async {
            let granted = |epoch| Lease { feed: feed.clone(), holder: holder.to_owned(), epoch };
            let epoch = match self.read_holder(feed).await? {
                None => self.take_first(feed, holder, life).await?,
                Some(current) if current.holder == holder => {
                    self.keep(&granted(current.epoch), life).await?.then_some(current.epoch)
                }
                Some(current) if current.alive => None,
                Some(_) => Box::pin(self.take_over(feed, holder, life)).await?,
            };
            Ok(epoch.map(granted))
        })
        .await
    }

    /// The heartbeat: moves the expiry to `life` from now. `false`: the lease is another's. One that ran out
    /// while nobody took it is renewed as well.
    pub async fn renew_lease(&self, lease: &Lease, life: Duration) -> Result<bool, Error> {
        self.observed_beat(self.keep(lease, life)).await
    }

    /// Ends the lease now, so that a stand-by need not wait for its expiry.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), Error> {
        self.observed("state", async {
            let mut unit = self.beat().await?;
            let release =
                sqlx::query(RELEASE).bind(lease.feed.as_str()).bind(&lease.holder).bind(lease.epoch);
            durable(Boundary::ReleaseLease, release.execute(unit.conn())).await?;
            unit.done();
            Ok(())
        })
        .await
    }

    /// Who has the feed, or had it last.
    pub async fn lease_holder(&self, feed: &FeedName) -> Result<Option<LeaseHolder>, Error> {
        self.observed_beat(self.read_holder(feed)).await
    }

    async fn read_holder(&self, feed: &FeedName) -> Result<Option<LeaseHolder>, Error> {
        let mut unit = self.beat().await?;
        let row: Option<(String, i64, Timestamp, bool)> =
            sqlx::query_as(HOLDER).bind(feed.as_str()).fetch_optional(unit.conn()).await?;
        unit.done();
        Ok(row.map(|(holder, epoch, expires_at, alive)| LeaseHolder { holder, epoch, expires_at, alive }))
    }

    async fn take_first(&self, feed: &FeedName, holder: &str, life: Duration) -> Result<Option<i64>, Error> {
        let mut unit = self.beat().await?;
        let take = sqlx::query_scalar(TAKE_FIRST).bind(feed.as_str()).bind(holder).bind(micros(life));
        let epoch = durable(Boundary::TakeFirstLease, take.fetch_optional(unit.conn())).await?;
        unit.done();
        Ok(epoch)
    }

    async fn keep(&self, lease: &Lease, life: Duration) -> Result<bool, Error> {
        let mut unit = self.beat().await?;
        let keep = sqlx::query_scalar::<_, i64>(KEEP).bind(lease.feed.as_str()).bind(&lease.holder);
        let keep = keep.bind(micros(life)).bind(lease.epoch);
        let kept = durable(Boundary::KeepLease, keep.fetch_optional(unit.conn())).await?;
        unit.done();
        Ok(kept.is_some())
    }

    async fn take_over(&self, feed: &FeedName, holder: &str, life: Duration) -> Result<Option<i64>, Error> {
        // Not on the heartbeats' connection: this one may wait for a writer that the old holder left behind.
        let mut unit = self.begin_unleased().await?;
        let expired: Option<i64> =
            sqlx::query_scalar(LOCK_EXPIRED).bind(feed.as_str()).fetch_optional(unit.conn()).await?;
        let mut epoch = None;
        if expired.is_some() {
            let take = sqlx::query_scalar(TAKE_OVER).bind(feed.as_str()).bind(holder).bind(micros(life));
            epoch = Some(take.fetch_one(unit.conn()).await?);
        }
        unit.commit(Boundary::TakeOverLease).await?;
        Ok(epoch)
    }
}
