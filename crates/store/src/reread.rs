//! Keys to look at once more by key: rewinds, returned keys, missing keys, events.
//!
//! One row per key, whatever the reasons: the first one stays until a reading settles it.

use std::time::Duration;

use sqlx::PgConnection;

use spark_domain::plan::reread::{RereadReason, Sighting};
use spark_domain::{FeedName, Hash, RecordKey, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text::{self, micros};

sql! {
    DUE = "select key, reason, tries, seen, held from replicator.reread \
        where feed = $1 and resource = $2 and due_at <= clock_timestamp() order by due_at, key limit $3";
    ADD = "insert into replicator.reread (feed, resource, key, reason, due_at) \
        select distinct $1, $2, key, $3, $5::timestamptz from unnest($4::text[]) as wanted (key) order by key \
        on conflict (feed, resource, key) do update set due_at = least(reread.due_at, excluded.due_at) \
            where excluded.due_at < reread.due_at";
    ORDER = "insert into replicator.reread (feed, resource, key, reason, due_at) \
        select distinct $1, $2, key, $3, clock_timestamp() + $5 * interval '1 microsecond' \
        from unnest($4::text[]) as doubtful (key) on conflict (feed, resource, key) do nothing";
    SETTLED = "delete from replicator.reread where feed = $1 and resource = $2 and key = any($3)";
    AGAIN = "update replicator.reread as ordered set due_at = again.due_at, seen = again.seen, held = again.held, \
            tries = ordered.tries + 1 \
        from unnest($3::text[], $4::timestamptz[], $5::bytea[], $6::bytea[]) as again (key, due_at, seen, held) \
        where ordered.feed = $1 and ordered.resource = $2 and ordered.key = again.key";
}

/// A key that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reread {
    /// Which.
    pub key: RecordKey,
    /// Why.
    pub reason: RereadReason,
    /// Readings so far.
    pub tries: i32,
    /// What the last reading showed: a rewind is taken when two agree.
    pub seen: Option<Sighting>,
}

/// What a reading by key settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RereadResult {
    /// Which key.
    pub key: RecordKey,
    /// When to look again, and what was seen this time; none if it is settled.
    pub again: Option<(Timestamp, Option<Sighting>)>,
}

impl Store {
    /// The keys that are due, oldest first.
    pub async fn due_rereads(
        &self,
        feed: &FeedName,
        resource: Resource,
        limit: i64,
    ) -> Result<Vec<Reread>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<DueRow> = sqlx::query_as(DUE)
                .bind(feed.as_str())
                .bind(resource.as_str())
                .bind(limit)
                .fetch_all(unit.conn())
                .await?;
            unit.done();
            rows.into_iter()
                .map(|(key, reason, tries, seen, held)| {
                    let seen = seen.zip(held).map(|(shown, held)| {
                        Ok::<_, Error>(Sighting { shown: text::hash(&shown)?, held: text::hash(&held)? })
                    });
                    let seen = seen.transpose()?;
                    Ok(Reread { key: text::key(&key)?, reason: reason_of(&reason)?, tries, seen })
                })
                .collect()
        })
        .await
    }

    /// Orders readings. A key that is ordered already keeps its reason, and the earlier time.
    pub async fn add_rereads(
        &self,
        lease: &Lease,
        resource: Resource,
        reason: RereadReason,
        keys: &[RecordKey],
        due_at: Timestamp,
    ) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            sqlx::query(ADD)
                .bind(lease.feed().as_str())
                .bind(resource.as_str())
                .bind(reason.as_str())
                .bind(keys.iter().map(RecordKey::as_str).collect::<Vec<_>>())
                .bind(due_at)
                .execute(writing.conn())
                .await?;
            writing.commit(Boundary::AddRereads).await
        })
        .await
    }

    /// Takes settled keys off the list, and sets the next time of the others.
    pub async fn settle_rereads(
        &self,
        lease: &Lease,
        resource: Resource,
        settled: &[RereadResult],
    ) -> Result<(), Error> {
        let done: Vec<&str> = settled.iter().filter(|r| r.again.is_none()).map(|r| r.key.as_str()).collect();
        let again: Vec<Again<'_>> =
            settled.iter().filter_map(|r| r.again.map(|(at, seen)| (r.key.as_str(), at, seen))).collect();
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            if !done.is_empty() {
                let delete =
                    sqlx::query(SETTLED).bind(lease.feed().as_str()).bind(resource.as_str()).bind(&done);
                delete.execute(writing.conn()).await?;
            }
            if !again.is_empty() {
                sqlx::query(AGAIN)
                    .bind(lease.feed().as_str())
                    .bind(resource.as_str())
                    .bind(again.iter().map(|(key, _, _)| *key).collect::<Vec<_>>())
                    .bind(again.iter().map(|(_, at, _)| *at).collect::<Vec<_>>())
                    .bind(bytes_of(&again, |sighting| sighting.shown))
                    .bind(bytes_of(&again, |sighting| sighting.held))
                    .execute(writing.conn())
                    .await?;
            }
            writing.commit(Boundary::SettleRereads).await
        })
        .await
    }
}

/// Orders readings after a while, inside a transaction. A key that is ordered already stays as it is.
pub(crate) async fn order(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    reason: RereadReason,
    keys: &[&str],
    after: Duration,
) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(ORDER)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(reason.as_str())
        .bind(keys)
        .bind(micros(after))
        .execute(connection)
        .await?;
    Ok(())
}

type DueRow = (String, String, i32, Option<Vec<u8>>, Option<Vec<u8>>);
type Again<'a> = (&'a str, Timestamp, Option<Sighting>);

fn bytes_of(again: &[Again<'_>], which: fn(&Sighting) -> Hash) -> Vec<Option<Vec<u8>>> {
    again.iter().map(|(_, _, seen)| seen.as_ref().map(|seen| which(seen).0.to_vec())).collect()
}

fn reason_of(word: &str) -> Result<RereadReason, Error> {
    RereadReason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == word)
        .ok_or_else(|| text::unknown("reason", word))
}
