//! Records that could not be stored, so that their pages could (P9).
//!
//! A record that lands again leaves by itself. A set with a member that Postgres refuses stands under its
//! parent's key and the relation's name, since sets are replaced whole or not at all.

use sqlx::PgConnection;

use spark_domain::{FeedName, RecordKey, Relation, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text;

sql! {
    PUT = "insert into replicator.quarantine (feed, resource, identity, key, relation, reason, message, raw) \
        select distinct on (identity) $1, $2, coalesce(refused.key || coalesce('/' || refused.relation, ''), \
            'md5:' || md5(refused.raw)) as identity, refused.key, refused.relation, refused.reason, refused.message, refused.raw \
        from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) \
            as refused (key, relation, reason, message, raw) order by identity \
        on conflict (feed, resource, identity) do update set reason = excluded.reason, message = excluded.message, \
            raw = excluded.raw, last_seen_at = clock_timestamp(), times = quarantine.times + 1";
    RELEASE = "delete from replicator.quarantine where feed = $1 and resource = $2 \
        and identity = any(select key || coalesce('/' || $4, '') from unnest($3::text[]) as landed (key))";
    LIST = "select resource, key, relation, reason, message, first_seen_at, last_seen_at, times \
        from replicator.quarantine where feed = $1 order by last_seen_at desc, identity limit $2";
    COUNTS = "select resource, count(*) from replicator.quarantine where feed = $1 group by resource order by resource";
}

/// A record or set that is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Whose record.
    pub resource: Resource,
    /// Its key, if it could be read.
    pub key: Option<RecordKey>,
    /// The relation whose set is meant, if it is not the record itself.
    pub relation: Option<Relation>,
    /// In one word.
    pub reason: String,
    /// What is wrong, in words.
    pub message: String,
    /// When it was first refused.
    pub first_seen_at: Timestamp,
    /// When it was last refused.
    pub last_seen_at: Timestamp,
    /// How often.
    pub times: i64,
}

/// What is to be put away.
#[derive(Debug)]
pub(crate) struct Refused<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) relation: Option<Relation>,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) raw: String,
}

type Row = (String, Option<String>, Option<String>, String, String, Timestamp, Timestamp, i64);

impl Store {
    /// Puts away what the feed cannot deliver: the record itself, or its sets of these relations.
    pub async fn put_away(
        &self,
        lease: &Lease,
        resource: Resource,
        key: &RecordKey,
        relations: &[Relation],
        why: &str,
    ) -> Result<(), Error> {
        let record = relations.is_empty().then_some(None);
        let refused: Vec<Refused<'_>> = relations
            .iter()
            .copied()
            .map(Some)
            .chain(record)
            .map(|relation| Refused {
                key: Some(key.as_str()),
                relation,
                reason: "undeliverable",
                message: why.to_owned(),
                raw: String::new(),
            })
            .collect();
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            put(writing.conn(), lease, resource, &refused).await?;
            writing.commit(Boundary::PutAway).await
        })
        .await
    }

    /// What is in quarantine, the latest first.
    pub async fn quarantine(&self, feed: &FeedName, limit: i64) -> Result<Vec<Quarantined>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<Row> =
                sqlx::query_as(LIST).bind(feed.as_str()).bind(limit).fetch_all(unit.conn()).await?;
            unit.done();
            rows.into_iter().map(quarantined).collect()
        })
        .await
    }

    /// How much is in quarantine, by resource.
    pub async fn quarantine_counts(&self, feed: &FeedName) -> Result<Vec<(Resource, i64)>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<(String, i64)> =
                sqlx::query_as(COUNTS).bind(feed.as_str()).fetch_all(unit.conn()).await?;
            unit.done();
            rows.into_iter().map(|(resource, count)| Ok((text::resource(&resource)?, count))).collect()
        })
        .await
    }
}

/// Puts away.
pub(crate) async fn put(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    refused: &[Refused<'_>],
) -> Result<(), Error> {
    if refused.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Refused<'_>) -> String| refused.iter().map(of).collect::<Vec<_>>();
    sqlx::query(PUT)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(refused.iter().map(|each| each.key).collect::<Vec<_>>())
        .bind(refused.iter().map(|each| each.relation.map(Relation::as_str)).collect::<Vec<_>>())
        .bind(refused.iter().map(|each| each.reason).collect::<Vec<_>>())
        .bind(column(|each| without_nul(&each.message)))
        .bind(column(|each| without_nul(&each.raw)))
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets go what landed: the records of these keys, or their sets of a relation.
pub(crate) async fn release(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    landed: &[&str],
    relation: Option<Relation>,
) -> Result<(), Error> {
    if landed.is_empty() {
        return Ok(());
    }
    sqlx::query(RELEASE)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(landed)
        .bind(relation.map(Relation::as_str))
        .execute(connection)
        .await?;
    Ok(())
}

fn quarantined(row: Row) -> Result<Quarantined, Error> {
    let (resource, key, relation, reason, message, first_seen_at, last_seen_at, times) = row;
    Ok(Quarantined {
        resource: text::resource(&resource)?,
        key: key.as_deref().map(text::key).transpose()?,
        relation: relation.as_deref().map(text::relation).transpose()?,
        reason,
        message,
        first_seen_at,
        last_seen_at,
        times,
    })
}

/// The raw text is what could not be read: it may hold the one character that `text` cannot.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
