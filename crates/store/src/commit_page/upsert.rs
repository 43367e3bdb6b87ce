//! The one way in which a record reaches `mls`: `insert ... select from unnest ... on conflict`, whose `where`
//! holds P3 once more.
//!
//! A page is sent in a few statements of bounded size, not in one: a body exists a second time as it is stored,
//! a third time in the statement and a fourth in the connection's buffer, and memory is bounded (P8).

use std::ops::Range;

use sqlx::postgres::PgArguments;
use sqlx::{PgConnection, raw_sql};

use spark_domain::{Breakage, FeedName, Record, Resource, Shape};

use super::Confirmed;
use super::halving::Halving;
use crate::columns::{ByResource, Value, add, of_resource};
use crate::error::{Error, PostgresSaid};

/// The keys go in ascending order, so that no two writers wait for each other crosswise.
static UPSERT: ByResource = ByResource::new(
    "insert into {table} as held (feed, key, modified_at, hash, body, first_seen_at, written_at{columns}) \
     select $1, page.key, page.modified_at, page.hash, page.body::jsonb, clock_timestamp(), clock_timestamp(){page.columns} \
     from unnest($2::text[], $3::timestamptz[], $4::bytea[], $5::text[]{arrays}) \
         as page (key, modified_at, hash, body{columns}) \
     order by page.key collate \"C\" \
     on conflict (feed, key) do update set modified_at = excluded.modified_at, hash = excluded.hash, \
         body = excluded.body, written_at = excluded.written_at{assign} \
     where held.hash <> excluded.hash \
         and (not coalesce(excluded.modified_at < held.modified_at, false) or held.key = any($6)) \
     returning key, xmax = 0, extract(epoch from written_at - modified_at)::float8",
    7,
);

pub(super) static PER_TABLE: [&ByResource; 1] = [&UPSERT];

/// What one statement carries, in bytes of the records as served.
const STATEMENT_BYTES: usize = 512 * 1024;

/// What became of the records that were sent.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Those that are now in `mls`: key, whether it is new, and its age in seconds.
    pub(super) landed: Vec<(String, bool, Option<f64>)>,
    /// Those that Postgres refuses, by their place.
    pub(super) poison: Vec<(usize, PostgresSaid)>,
    /// Values that did not fit their columns.
    pub(super) misfits: u64,
}

struct Row<'a> {
    record: &'a Record<'a>,
    body: String,
    values: Vec<Value>,
}

/// Writes new and changed records.
pub(super) async fn upsert(
    connection: &mut PgConnection,
    feed: &FeedName,
    shape: &Shape,
    records: &[&Record<'_>],
    confirmed: &Confirmed,
) -> Result<Written, Error> {
    let resource = shape.resource();
    let mut written = Written::default();
    let mut halving = Halving::of(by_weight(records));
    while let Some(range) = halving.next() {
        let mut misfits = 0;
        let rows: Vec<Row<'_>> = records[range.clone()]
            .iter()
            .map(|record| {
                let (values, unfit) = of_resource(resource).read(&record.columns);
                misfits += unfit;
                Row { record, body: record.body(shape), values }
            })
            .collect();
        raw_sql("savepoint batch").execute(&mut *connection).await?;
        let arguments = bind(feed, resource, &rows, confirmed)?;
        match sqlx::query_as_with(UPSERT.of(resource), arguments).fetch_all(&mut *connection).await {
            Ok(landed) => {
                raw_sql("release savepoint batch").execute(&mut *connection).await?;
                written.landed.extend::<Vec<(String, bool, Option<f64>)>>(landed);
                written.misfits += misfits;
            }
            Err(error) => {
                halving.failed(range, error)?;
                raw_sql("rollback to savepoint batch; release savepoint batch")
                    .execute(&mut *connection)
                    .await?;
            }
        }
    }
    written.poison = halving.poison;
    Ok(written)
}

/// Ranges of records that each fit into one statement; a heavier record has one of its own.
fn by_weight(records: &[&Record<'_>]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut weight = 0;
    for (at, record) in records.iter().enumerate() {
        weight += record.raw().len();
        match ranges.last_mut() {
            Some(range) if weight <= STATEMENT_BYTES => range.end = at + 1,
            _ => {
                weight = record.raw().len();
                ranges.push(at..at + 1);
            }
        }
    }
    ranges
}

fn bind(
    feed: &FeedName,
    resource: Resource,
    rows: &[Row<'_>],
    confirmed: &Confirmed,
) -> Result<PgArguments, sqlx::Error> {
    let keys: Vec<&str> = rows.iter().map(|row| row.record.key.as_str()).collect();
    let forced = |key: &&str| confirmed.contains_key(*key) || Breakage::OlderOverNewer.is_on();
    let forced: Vec<&str> = keys.iter().copied().filter(forced).collect();
    let mut arguments = PgArguments::default();
    add(&mut arguments, feed.as_str())?;
    add(&mut arguments, keys)?;
    add(&mut arguments, rows.iter().map(|row| row.record.modified_at).collect::<Vec<_>>())?;
    add(&mut arguments, rows.iter().map(|row| row.record.hash.0.to_vec()).collect::<Vec<_>>())?;
    add(&mut arguments, rows.iter().map(|row| row.body.as_str()).collect::<Vec<_>>())?;
    add(&mut arguments, forced)?;
    let values: Vec<&[Value]> = rows.iter().map(|row| row.values.as_slice()).collect();
    of_resource(resource).add_arrays(&mut arguments, &values)?;
    Ok(arguments)
}
