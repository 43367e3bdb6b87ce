//! Single records, as people and `compare` ask for them.

use spark_domain::plan::change::Stored;
use spark_domain::{FeedName, Hash, RecordKey, Relation, Resource, Timestamp};
use sqlx::postgres::PgArguments;

use crate::columns::by_table::is_shared;
use crate::columns::{ByRelation, ByResource, add};
use crate::commit_page;
use crate::connection::Store;
use crate::error::Error;
use crate::text;

static RECORD: ByResource = ByResource::new(
    "select body::text, modified_at, first_seen_at, written_at, hash from {table} where feed = $1 and key = $2",
    0,
);
static MEMBERS: ByRelation = ByRelation::new(
    "select key, body::text from {table} as held \
     where feed = $1 and parent_resource = $2 and parent_key = $3{and relation} order by key",
    4,
);

pub(crate) static PER_TABLE: [&ByResource; 1] = [&RECORD];
pub(crate) static PER_RELATION_TABLE: [&ByRelation; 1] = [&MEMBERS];

sql! {
    ROWS = "select feed, resource, rows_held from replicator.resource order by feed, resource";
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// JSON text, as Postgres gives its `jsonb` back.
    pub body: String,
    /// ModificationTimestamp.
    pub modified_at: Option<Timestamp>,
    /// When it first came.
    pub first_seen_at: Timestamp,
    /// When its content last changed here.
    pub written_at: Timestamp,
    /// Of its content.
    pub hash: Hash,
}

type RecordRow = (String, Option<Timestamp>, Timestamp, Timestamp, Vec<u8>);

impl Store {
    /// What we hold of these keys, as far as [`spark_domain::plan::change::decide`] needs it.
    pub async fn stored(
        &self,
        feed: &FeedName,
        resource: Resource,
        keys: &[RecordKey],
    ) -> Result<Vec<(RecordKey, Stored)>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let keys: Vec<&str> = keys.iter().map(RecordKey::as_str).collect();
            let held = commit_page::held(unit.conn(), feed, resource, &keys).await?;
            unit.done();
            held.into_iter().map(|(key, stored)| Ok((text::key(&key)?, stored))).collect()
        })
        .await
    }

    /// A record, if we hold it.
    pub async fn record(
        &self,
        feed: &FeedName,
        resource: Resource,
        key: &RecordKey,
    ) -> Result<Option<StoredRecord>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let row: Option<RecordRow> = sqlx::query_as(RECORD.of(resource))
                .bind(feed.as_str())
                .bind(key.as_str())
                .fetch_optional(unit.conn())
                .await?;
            unit.done();
            row.map(|(body, modified_at, first_seen_at, written_at, hash)| {
                Ok(StoredRecord { body, modified_at, first_seen_at, written_at, hash: text::hash(&hash)? })
            })
            .transpose()
        })
        .await
    }

    /// The members of a record's relation, each as key and JSON text, in key order.
    pub async fn relation_members(
        &self,
        feed: &FeedName,
        resource: Resource,
        key: &RecordKey,
        relation: Relation,
    ) -> Result<Vec<(String, String)>, Error> {
        self.observed("state", async {
            let mut arguments = PgArguments::default();
            add(&mut arguments, feed.as_str())?;
            add(&mut arguments, resource.as_str())?;
            add(&mut arguments, key.as_str())?;
            if is_shared(relation) {
                add(&mut arguments, relation.as_str())?;
            }
            let mut unit = self.unit().await?;
            let members = sqlx::query_as_with(MEMBERS.of(relation), arguments).fetch_all(unit.conn()).await?;
            unit.done();
            Ok(members)
        })
        .await
    }

    /// How many rows each resource has, as counted by the transactions that insert and purge.
    pub async fn row_estimates(&self) -> Result<Vec<(FeedName, Resource, i64)>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<(String, String, i64)> = sqlx::query_as(ROWS).fetch_all(unit.conn()).await?;
            unit.done();
            rows.into_iter()
                .map(|(feed, resource, rows)| Ok((text::feed(&feed)?, text::resource(&resource)?, rows)))
                .collect()
        })
        .await
    }
}
