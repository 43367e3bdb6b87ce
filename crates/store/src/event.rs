//! The inbox of webhooks: keys that the feed's own deliveries named, until they were read.
//!
//! Whichever instance a delivery reaches writes it down, without a lease: the row asks for a reading and changes
//! nothing that is replicated. Reading and settling are the leader's. A reading settles only the event that it was
//! made for: one that came while it was under way finds its key due once more.

use spark_domain::{EntityEvent, FeedName, RecordKey, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text;

sql! {
    // A statement of its own for the bound: what a delivery brings must not be seen by its own count. What is unread
    // is due, and so found by the index of what is due; keys that wait already take no room.
    RECEIVE = "with inbox as (select ( \
            (select count(*) from (select from replicator.event where feed = $1 and resource = any($6) \
                and due_at <= statement_timestamp() and readings = 0 limit $5) as unread) < $5 \
            and (select count(*) from (select from replicator.event where feed = $1 limit $7) as waiting) < $7) \
            or not exists (select from unnest($2::text[], $3::text[]) as named (resource, key) \
                where not exists (select from replicator.event as known where known.feed = $1 \
                    and known.resource = named.resource and known.key = named.key)) as has_room), \
        received as ( \
            insert into replicator.event as known (feed, resource, key, sequence) \
            select $1, named.resource, named.key, max(named.sequence) \
            from inbox, unnest($2::text[], $3::text[], $4::bigint[]) as named (resource, key, sequence) \
            where inbox.has_room group by named.resource, named.key \
            order by named.resource collate \"C\", named.key collate \"C\" \
            on conflict (feed, resource, key) do update set sequence = greatest(known.sequence, excluded.sequence), \
                received_at = excluded.received_at, due_at = excluded.due_at, readings = 0 \
                where known.sequence is null or excluded.sequence is null or known.sequence < excluded.sequence \
            returning 1) \
        select has_room, (select count(*) from received) from inbox";
    DUE = "select named.resource, due.key, due.received_at, due.readings \
        from unnest($2::text[]) as named (resource) cross join lateral ( \
            select key, received_at, readings, due_at from replicator.event \
            where feed = $1 and resource = named.resource and due_at <= clock_timestamp() \
            order by readings, due_at, key limit $3) as due \
        order by named.resource, due.readings, due.due_at, due.key";
    // Locked in the order in which deliveries lock them.
    SETTLE = "with read as (select * from unnest($3::text[], $4::timestamptz[], $5::timestamptz[]) \
            as read (key, received_at, again_at)), \
        settled as (select known.key, read.again_at from replicator.event as known join read \
            on read.key = known.key and read.received_at = known.received_at \
            where known.feed = $1 and known.resource = $2 order by known.key for update of known), \
        done as (delete from replicator.event as known using settled where known.feed = $1 \
            and known.resource = $2 and known.key = settled.key and settled.again_at is null) \
        update replicator.event as known set due_at = settled.again_at, readings = known.readings + 1 \
        from settled where known.feed = $1 and known.resource = $2 and known.key = settled.key \
            and settled.again_at is not null";
    QUEUE = "select count(*), min(received_at) from replicator.event where feed = $1 and readings = 0";
}

/// How many rows an inbox may have for each key that may be unread: what was read once waits out the cache window.
const ROWS_PER_UNREAD: i64 = 4;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is written down.
    Kept {
        /// Keys that are due by it; the others were due, or read, for the same event already.
        keys: u64,
    },
    /// Too much waits: nothing of it was written.
    Full,
}

/// An event that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEvent {
    /// Of which resource.
    pub resource: Resource,
    /// Which record.
    pub key: RecordKey,
    /// When it was delivered; it tells this event from a later one of the same key.
    pub received_at: Timestamp,
    /// Whether its key was read since.
    pub read_before: bool,
}

/// An event whose key was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRead<'a> {
    /// Which.
    pub event: &'a DueEvent,
    /// When to read once more; none if it is done with.
    pub again_at: Option<Timestamp>,
}

/// The events of a feed whose keys were never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventQueue {
    /// How many.
    pub unread: i64,
    /// When the oldest of them was delivered.
    pub oldest_received_at: Option<Timestamp>,
}

impl Store {
    /// Writes a delivery down, unless it names new keys and `most` of the feed are unread already, or some times as
    /// many wait for either reading. An event whose sequence is not newer than what is known of its key is a
    /// repetition.
    pub async fn receive_events(
        &self,
        feed: &FeedName,
        events: &[EntityEvent],
        most: i64,
    ) -> Result<Receipt, Error> {
        self.observed_delivery(async {
            let mut writing = self.begin_delivery().await?;
            let (has_room, keys): (bool, i64) = sqlx::query_as(RECEIVE)
                .bind(feed.as_str())
                .bind(events.iter().map(|event| event.resource.as_str()).collect::<Vec<_>>())
                .bind(events.iter().map(|event| event.key.as_str()).collect::<Vec<_>>())
                .bind(events.iter().map(|event| event.sequence).collect::<Vec<_>>())
                .bind(most)
                .bind(Resource::ALL.map(Resource::as_str).to_vec())
                .bind(most.saturating_mul(ROWS_PER_UNREAD))
                .fetch_one(writing.conn())
                .await?;
            writing.commit(Boundary::ReceiveEvents).await?;
            Ok(if has_room { Receipt::Kept { keys: text::whole(keys) } } else { Receipt::Full })
        })
        .await
    }

    /// The events that are due, by resource, at most `limit` of each: unread ones first, oldest first.
    pub async fn due_events(&self, feed: &FeedName, limit: i64) -> Result<Vec<DueEvent>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<(String, String, Timestamp, i32)> = sqlx::query_as(DUE)
                .bind(feed.as_str())
                .bind(Resource::ALL.map(Resource::as_str).to_vec())
                .bind(limit)
                .fetch_all(unit.conn())
                .await?;
            unit.done();
            rows.into_iter()
                .map(|(resource, key, received_at, readings)| {
                    let (resource, key) = (text::resource(&resource)?, text::key(&key)?);
                    Ok(DueEvent { resource, key, received_at, read_before: readings > 0 })
                })
                .collect()
        })
        .await
    }

    /// Settles events of one resource whose keys were read; one that came meanwhile stays due.
    pub async fn settle_events(
        &self,
        lease: &Lease,
        resource: Resource,
        read: &[EventRead<'_>],
    ) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            sqlx::query(SETTLE)
                .bind(lease.feed().as_str())
                .bind(resource.as_str())
                .bind(read.iter().map(|read| read.event.key.as_str()).collect::<Vec<_>>())
                .bind(read.iter().map(|read| read.event.received_at).collect::<Vec<_>>())
                .bind(read.iter().map(|read| read.again_at).collect::<Vec<_>>())
                .execute(writing.conn())
                .await?;
            writing.commit(Boundary::SettleEvents).await
        })
        .await
    }

    /// How much waits.
    pub async fn event_queue(&self, feed: &FeedName) -> Result<EventQueue, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let (unread, oldest_received_at) =
                sqlx::query_as(QUEUE).bind(feed.as_str()).fetch_one(unit.conn()).await?;
            unit.done();
            Ok(EventQueue { unread, oldest_received_at })
        })
        .await
    }
}
