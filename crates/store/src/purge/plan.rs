//! Purge plans: what a complete sweep would delete, kept for people to see and to approve.
//!
//! At most one plan of a resource is open. A refused one waits for an approval that names it; the plan of a
//! later sweep takes its place.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use spark_domain::{FeedName, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::sweep::{Candidate, SweepId};
use crate::text::{self, micros};

sql! {
    // An approval that came while this sweep was being concluded still has its own sweep to wait for.
    APPROVED = "select exists (select from replicator.purge_plan where feed = $1 and resource = $2 \
        and state = 'open' and approval_expires_at > clock_timestamp() and carried_out_in is distinct from $3)";
    SUPERSEDE = "update replicator.purge_plan set closed_at = clock_timestamp(), \
            state = case when carried_out_in = $3 then 'executed' else 'superseded' end \
        where feed = $1 and resource = $2 and state = 'open'";
    SAVE = "insert into replicator.purge_plan (feed, resource, sweep, began_at, rows_held, listed, \
            refusal, explanation, keys, hashes, modified_ats, ended) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning plan";
    OPEN = "select *, approval_expires_at > clock_timestamp() as holds \
        from replicator.purge_plan where feed = $1 and resource = $2 and state = 'open'";
    APPROVE = "update replicator.purge_plan set approved_by = $3, approved_at = clock_timestamp(), \
            approval_expires_at = clock_timestamp() + $4 * interval '1 microsecond' \
        where feed = $1 and plan = $2 and state = 'open' returning resource";
    UNAPPROVED = "select count(*) from replicator.tombstone where feed = $1 and resource = $2 \
        and deleted_at >= $3 and reason = 'gone' and approved_by is null";
}

/// Identifies a purge plan within its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(pub i64);

/// A plan to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewPurgePlan<'a> {
    /// Whose rows.
    pub resource: Resource,
    /// The complete sweep that did not show them.
    pub sweep: SweepId,
    /// When that began.
    pub began_at: Timestamp,
    /// Rows that we held.
    pub rows_held: u64,
    /// Distinct keys that the sweep listed.
    pub listed: u64,
    /// What would be deleted.
    pub keys: &'a [Candidate],
    /// The guard that refuses it; none if it may be carried out.
    pub refusal: Option<&'a str>,
    /// What was found, in words.
    pub explanation: &'a str,
}

/// A plan that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgePlan {
    /// Its number: an approval names it.
    pub id: PlanId,
    /// Whose rows.
    pub resource: Resource,
    /// The sweep it was made from.
    pub sweep: SweepId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The guard that refused it.
    pub refusal: Option<String>,
    /// What was found, in words.
    pub explanation: String,
    /// What it would delete.
    pub candidates: Vec<Candidate>,
    /// Rows that we held.
    pub rows_held: u64,
    /// Distinct keys that the sweep listed.
    pub listed: u64,
    /// The approval, while it holds.
    pub approved: Option<Approved>,
}

/// A person's consent to a refused plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// Whose.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Store {
    /// Keeps a plan, in the place of an older one of the resource that is still open. Answers none, and keeps
    /// nothing, while that one is approved and was not carried out in this sweep.
    pub async fn save_plan(&self, lease: &Lease, plan: &NewPurgePlan<'_>) -> Result<Option<PlanId>, Error> {
        let column = |of: fn(&Candidate) -> &str| plan.keys.iter().map(of).collect::<Vec<_>>();
        self.observed("purge", async {
            let mut writing = self.begin_write(lease).await?;
            let (feed, word) = (lease.feed().as_str(), plan.resource.as_str());
            let approved = sqlx::query_scalar(APPROVED).bind(feed).bind(word).bind(plan.sweep.0);
            if approved.fetch_one(writing.conn()).await? {
                writing.commit(Boundary::SavePlanNot).await?;
                return Ok(None);
            }
            let supersede = sqlx::query(SUPERSEDE).bind(feed).bind(word).bind(plan.sweep.0);
            supersede.execute(writing.conn()).await?;
            let id = sqlx::query_scalar(SAVE)
                .bind(feed)
                .bind(word)
                .bind(plan.sweep.0)
                .bind(plan.began_at)
                .bind(plan.rows_held.cast_signed())
                .bind(plan.listed.cast_signed())
                .bind(plan.refusal)
                .bind(plan.explanation)
                .bind(column(|each| each.key.as_str()))
                .bind(plan.keys.iter().map(|each| each.hash.0.to_vec()).collect::<Vec<_>>())
                .bind(plan.keys.iter().map(|each| each.modified_at).collect::<Vec<_>>())
                .bind(plan.keys.iter().map(|each| each.ended).collect::<Vec<_>>())
                .fetch_one(writing.conn())
                .await?;
            writing.commit(Boundary::SavePlan).await?;
            Ok(Some(PlanId(id)))
        })
        .await
    }

    /// The open plan of a resource.
    pub async fn open_plan(&self, feed: &FeedName, resource: Resource) -> Result<Option<PurgePlan>, Error> {
        self.observed("purge", async {
            let mut unit = self.unit().await?;
            let open = sqlx::query(OPEN).bind(feed.as_str()).bind(resource.as_str());
            let row = open.fetch_optional(unit.conn()).await?;
            unit.done();
            row.as_ref().map(plan).transpose()
        })
        .await
    }

    /// Approves a plan for a while: one that a guard refused, or that was only made to be seen. Answers whose it
    /// is, or none if no such plan is open.
    pub async fn approve_plan(
        &self,
        lease: &Lease,
        plan: PlanId,
        by: &str,
        for_: Duration,
    ) -> Result<Option<Resource>, Error> {
        self.observed("purge", async {
            let mut writing = self.begin_write(lease).await?;
            let approve = sqlx::query_scalar(APPROVE)
                .bind(lease.feed().as_str())
                .bind(plan.0)
                .bind(by)
                .bind(micros(for_));
            let resource: Option<String> = approve.fetch_optional(writing.conn()).await?;
            writing.commit(Boundary::ApprovePlan).await?;
            resource.as_deref().map(text::resource).transpose()
        })
        .await
    }

    /// Records deleted since then that nobody approved; ended open houses do not count.
    pub async fn purged_unapproved_since(
        &self,
        feed: &FeedName,
        resource: Resource,
        since: Timestamp,
    ) -> Result<u64, Error> {
        self.observed("purge", async {
            let mut unit = self.unit().await?;
            let count =
                sqlx::query_scalar(UNAPPROVED).bind(feed.as_str()).bind(resource.as_str()).bind(since);
            let purged = count.fetch_one(unit.conn()).await?;
            unit.done();
            Ok(text::whole(purged))
        })
        .await
    }
}

fn plan(row: &PgRow) -> Result<PurgePlan, Error> {
    let keys: Vec<String> = row.try_get("keys")?;
    let hashes: Vec<Vec<u8>> = row.try_get("hashes")?;
    let stamps: Vec<Option<Timestamp>> = row.try_get("modified_ats")?;
    let ended: Vec<bool> = row.try_get("ended")?;
    let candidates =
        keys.iter().zip(hashes).zip(stamps).zip(ended).map(|(((key, hash), modified_at), ended)| {
            Ok(Candidate { key: text::key(key)?, hash: text::hash(&hash)?, modified_at, ended })
        });
    let holds: Option<bool> = row.try_get("holds")?;
    let approved =
        match (row.try_get("approved_by")?, row.try_get("approved_at")?, row.try_get("approval_expires_at")?)
        {
            (Some(by), Some(at), Some(expires_at)) if holds == Some(true) => {
                Some(Approved { by, at, expires_at })
            }
            _ => None,
        };
    Ok(PurgePlan {
        id: PlanId(row.try_get("plan")?),
        resource: text::resource(row.try_get("resource")?)?,
        sweep: SweepId(row.try_get("sweep")?),
        created_at: row.try_get("created_at")?,
        refusal: row.try_get("refusal")?,
        explanation: row.try_get("explanation")?,
        candidates: candidates.collect::<Result<_, Error>>()?,
        rows_held: text::whole(row.try_get("rows_held")?),
        listed: text::whole(row.try_get("listed")?),
        approved,
    })
}
