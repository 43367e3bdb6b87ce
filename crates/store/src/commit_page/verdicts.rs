//! What is to be done with each record of a page: the store's side of `domain::plan::change`.

use std::collections::HashMap;

use sqlx::PgConnection;

use spark_domain::plan::change::{Change, Stored, decide};
use spark_domain::{FeedName, Record, RecordKey, Resource, Timestamp};

use super::Confirmed;
use crate::columns::ByResource;
use crate::error::Error;
use crate::text::{self, micros};

static HELD: ByResource =
    ByResource::new("select key, hash, modified_at from {table} where feed = $1 and key = any($2)", 0);

pub(super) static PER_TABLE: [&ByResource; 1] = [&HELD];

sql! {
    BURIED = "select distinct on (key) key, modified_at from replicator.tombstone \
        where feed = $1 and resource = $2 and key = any($3) \
            and deleted_at > clock_timestamp() - $4 * interval '1 microsecond' \
        order by key, deleted_at desc";
}

/// The records of a page, each key once, by what they mean for what we hold.
#[derive(Debug, Default)]
pub(super) struct Verdicts<'a> {
    /// New or changed: to be written.
    pub(super) changed: Vec<&'a Record<'a>>,
    /// Equal to what we hold.
    pub(super) unchanged: Vec<&'a Record<'a>>,
    /// Older than what we hold: a stale cache, or a rewind that readings by key must confirm.
    pub(super) older: Vec<&'a Record<'a>>,
    /// Purged a moment ago and back without a newer stamp: a stale cache, or a return to be confirmed.
    pub(super) returned: Vec<&'a Record<'a>>,
}

/// Decides about the records of a page.
pub(super) async fn judge<'a>(
    connection: &mut PgConnection,
    feed: &FeedName,
    resource: Resource,
    records: &'a [Record<'a>],
    confirmed: &Confirmed,
    cache_window: std::time::Duration,
) -> Result<Verdicts<'a>, Error> {
    let records = newest_of_each_key(records);
    let keys: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
    let held = held(connection, feed, resource, &keys).await?;

    let mut verdicts = Verdicts::default();
    let mut new = Vec::new();
    let is_confirmed = |record: &Record<'_>| {
        let ours = held.get(record.key.as_str()).map(|ours| ours.hash);
        confirmed.get(&record.key).is_some_and(|compared_with| *compared_with == ours)
    };
    for record in records {
        match decide(held.get(record.key.as_str()), record.hash, record.modified_at) {
            Change::Insert => new.push(record),
            Change::Update => verdicts.changed.push(record),
            Change::Unchanged => verdicts.unchanged.push(record),
            Change::Older if is_confirmed(record) => verdicts.changed.push(record),
            Change::Older => verdicts.older.push(record),
        }
    }
    let buried = buried(connection, feed, resource, &new, cache_window).await?;
    for record in new {
        match buried.get(record.key.as_str()) {
            Some(stamp) if !is_confirmed(record) && !is_newer(record.modified_at, *stamp) => {
                verdicts.returned.push(record);
            }
            _ => verdicts.changed.push(record),
        }
    }
    Ok(verdicts)
}

/// What we hold of these keys.
pub(crate) async fn held(
    connection: &mut PgConnection,
    feed: &FeedName,
    resource: Resource,
    keys: &[&str],
) -> Result<HashMap<String, Stored>, Error> {
    let rows: Vec<(String, Vec<u8>, Option<Timestamp>)> =
        sqlx::query_as(HELD.of(resource)).bind(feed.as_str()).bind(keys).fetch_all(connection).await?;
    rows.into_iter()
        .map(|(key, hash, modified_at)| Ok((key, Stored { hash: text::hash(&hash)?, modified_at })))
        .collect()
}

/// A key may stand on a page twice, and one statement cannot write it twice. The newest copy counts, the later
/// of two that do not tell.
fn newest_of_each_key<'a>(records: &'a [Record<'a>]) -> Vec<&'a Record<'a>> {
    let mut place: HashMap<&RecordKey, usize> = HashMap::with_capacity(records.len());
    let mut newest: Vec<&Record<'_>> = Vec::with_capacity(records.len());
    for record in records {
        match place.get(&record.key) {
            None => {
                place.insert(&record.key, newest.len());
                newest.push(record);
            }
            Some(at) => {
                let older = matches!((record.modified_at, newest[*at].modified_at), (Some(new), Some(old)) if new < old);
                if !older {
                    newest[*at] = record;
                }
            }
        }
    }
    newest
}

/// When those keys that were purged within two cache windows had last been modified.
async fn buried(
    connection: &mut PgConnection,
    feed: &FeedName,
    resource: Resource,
    new: &[&Record<'_>],
    cache_window: std::time::Duration,
) -> Result<HashMap<String, Option<Timestamp>>, Error> {
    if new.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<&str> = new.iter().map(|record| record.key.as_str()).collect();
    let rows: Vec<(String, Option<Timestamp>)> = sqlx::query_as(BURIED)
        .bind(feed.as_str())
        .bind(resource.as_str())
        .bind(&keys)
        .bind(micros(cache_window.saturating_mul(2)))
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().collect())
}

fn is_newer(served: Option<Timestamp>, purged: Option<Timestamp>) -> bool {
    matches!((served, purged), (Some(served), Some(purged)) if served > purged)
}
