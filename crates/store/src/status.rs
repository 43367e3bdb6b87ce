//! Purge plans that wait and tombstones, as people see them. The purge itself stands in [`crate::purge`].

use spark_domain::{FeedName, RecordKey, Resource, Timestamp};

use crate::connection::Store;
use crate::error::Error;
use crate::purge::PlanId;
use crate::text;

sql! {
    OPEN_PLANS = "select feed, resource, plan, created_at, refusal, explanation, rows_held, listed, \
        cardinality(keys)::bigint, approved_by, approval_expires_at \
        from replicator.purge_plan where state = 'open' order by feed, resource";
    TOMBSTONES = "select key, deleted_at, reason, sweep, approved_by, modified_at from replicator.tombstone \
        where feed = $1 and resource = $2 order by deleted_at desc, key limit $3";
}

/// A purge plan that is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// Of which feed.
    pub feed: FeedName,
    /// Of which resource.
    pub resource: Resource,
    /// Its number: an approval names it.
    pub id: PlanId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The guard that refused it; none if it may be carried out.
    pub refusal: Option<String>,
    /// What was found, in words.
    pub explanation: String,
    /// Rows that we held.
    pub rows_held: i64,
    /// Distinct keys that the sweep listed.
    pub listed: i64,
    /// Rows that it would delete.
    pub candidates: i64,
    /// Who approved it, if somebody did.
    pub approved_by: Option<String>,
    /// Until when the approval holds.
    pub approval_expires_at: Option<Timestamp>,
}

/// What is left of a deleted record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Its key.
    pub key: RecordKey,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// `gone` or `ended`.
    pub reason: String,
    /// The sweep that did not list it.
    pub sweep: i64,
    /// Who approved the plan, if a person had to.
    pub approved_by: Option<String>,
    /// Its last ModificationTimestamp.
    pub modified_at: Option<Timestamp>,
}

type PlanRow = (
    String,
    String,
    i64,
    Timestamp,
    Option<String>,
    String,
    i64,
    i64,
    i64,
    Option<String>,
    Option<Timestamp>,
);
type TombstoneRow = (String, Timestamp, String, i64, Option<String>, Option<Timestamp>);

impl Store {
    /// The purge plans of all feeds that are not closed.
    pub async fn open_plans(&self) -> Result<Vec<OpenPlan>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<PlanRow> = sqlx::query_as(OPEN_PLANS).fetch_all(unit.conn()).await?;
            unit.done();
            rows.into_iter().map(open_plan).collect()
        })
        .await
    }

    /// The newest tombstones of a resource.
    pub async fn tombstones(
        &self,
        feed: &FeedName,
        resource: Resource,
        limit: i64,
    ) -> Result<Vec<Tombstone>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let read = sqlx::query_as(TOMBSTONES).bind(feed.as_str()).bind(resource.as_str()).bind(limit);
            let rows: Vec<TombstoneRow> = read.fetch_all(unit.conn()).await?;
            unit.done();
            rows.into_iter().map(tombstone).collect()
        })
        .await
    }
}

fn open_plan(row: PlanRow) -> Result<OpenPlan, Error> {
    let (feed, resource, plan, created_at, refusal, explanation, rows_held, listed, candidates, by, expires) =
        row;
    Ok(OpenPlan {
        feed: text::feed(&feed)?,
        resource: text::resource(&resource)?,
        id: PlanId(plan),
        created_at,
        refusal,
        explanation,
        rows_held,
        listed,
        candidates,
        approved_by: by,
        approval_expires_at: expires,
    })
}

fn tombstone(row: TombstoneRow) -> Result<Tombstone, Error> {
    let (key, deleted_at, reason, sweep, approved_by, modified_at) = row;
    Ok(Tombstone { key: text::key(&key)?, deleted_at, reason, sweep, approved_by, modified_at })
}
