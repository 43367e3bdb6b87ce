//! What people ask a running replicator to do.
//!
//! A command beside the daemon writes a row; the holder of the lease carries it out. A request is taken once
//! per epoch: what a holder took and did not live to finish, the next one takes again, so carrying one out
//! twice must do no harm. What nobody took within a day is refused rather than obeyed late.

use sqlx::Row;
use sqlx::postgres::PgRow;

use spark_domain::{FeedName, Job, RecordKey, Resource, Timestamp};

use crate::boundary::{Boundary, durable};
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::purge::PlanId;
use crate::text;

sql! {
    SUBMIT = "insert into replicator.operator_request (feed, kind, job, resource, key, plan, requested_by) \
        values ($1, $2, $3, $4, $5, $6, $7) returning request";
    EXPIRE = "update replicator.operator_request set finished_at = clock_timestamp(), ok = false, \
            message = 'no replicator took the request within a day; ask again' \
        where feed = $1 and finished_at is null and requested_at < clock_timestamp() - interval '1 day'";
    WAITING = "select exists (select from replicator.operator_request \
        where feed = $1 and finished_at is null and request <> all($2))";
    TAKE = "update replicator.operator_request set taken_at = clock_timestamp(), taken_epoch = $2 \
        where feed = $1 and finished_at is null and request <> all($3) \
        returning request, kind, job, resource, key, plan, requested_by, requested_at";
    FINISH = "update replicator.operator_request set finished_at = clock_timestamp(), ok = $3, message = $4 \
        where feed = $1 and request = $2 and finished_at is null";
    FORGET = "delete from replicator.operator_request where feed = $1 \
        and finished_at < clock_timestamp() - interval '30 days'";
    RESULT = "select ok, message from replicator.operator_request where request = $1 and finished_at is not null";
}

/// Identifies a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub i64);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// Run a job now, of one resource or of all.
    Once {
        /// Which job.
        job: Job,
        /// Of which resource; all if none.
        resource: Option<Resource>,
    },
    /// Let a refused plan be carried out.
    PurgeApprove {
        /// Which plan.
        plan: PlanId,
    },
    /// Sweep and confirm, but only keep the plan.
    PurgePlan {
        /// Of which resource; all if none.
        resource: Option<Resource>,
    },
    /// Download again what is there.
    Resync {
        /// Which resource; all if none.
        resource: Option<Resource>,
    },
    /// Let the feed rest.
    Pause,
    /// End its rest.
    Resume,
    /// Read one record again and store what comes.
    Repair {
        /// Of which resource.
        resource: Resource,
        /// Which record.
        key: RecordKey,
    },
}

/// A request to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRequest {
    /// Its number.
    pub id: RequestId,
    /// What is asked for.
    pub kind: RequestKind,
    /// Who asks.
    pub by: String,
    /// When it was asked.
    pub at: Timestamp,
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestResult {
    /// Whether it was carried out.
    pub ok: bool,
    /// What happened, for the person who asked.
    pub message: String,
}

impl Store {
    /// Asks whoever replicates the feed.
    pub async fn submit_request(
        &self,
        feed: &FeedName,
        kind: &RequestKind,
        by: &str,
    ) -> Result<RequestId, Error> {
        self.observed("state", async {
            let (job, resource, key, plan) = match kind {
                RequestKind::Once { job, resource } => (Some(*job), *resource, None, None),
                RequestKind::PurgeApprove { plan } => (None, None, None, Some(plan.0)),
                RequestKind::PurgePlan { resource } | RequestKind::Resync { resource } => {
                    (None, *resource, None, None)
                }
                RequestKind::Pause | RequestKind::Resume => (None, None, None, None),
                RequestKind::Repair { resource, key } => (None, Some(*resource), Some(key.as_str()), None),
            };
            let mut unit = self.unit().await?;
            let submit = sqlx::query_scalar(SUBMIT)
                .bind(feed.as_str())
                .bind(kind.as_str())
                .bind(job.map(Job::as_str))
                .bind(resource.map(Resource::as_str))
                .bind(key)
                .bind(plan)
                .bind(by);
            let request = durable(Boundary::SubmitRequest, submit.fetch_one(unit.conn())).await?;
            unit.done();
            Ok(RequestId(request))
        })
        .await
    }

    /// Takes the requests that wait, oldest first, but for those `in_hand`: what the caller knows nothing of may
    /// have been taken by an answer that got lost. One that this version cannot read is refused.
    pub async fn take_requests(
        &self,
        lease: &Lease,
        in_hand: &[RequestId],
    ) -> Result<Vec<OperatorRequest>, Error> {
        self.observed("state", async {
            let in_hand: Vec<i64> = in_hand.iter().map(|request| request.0).collect();
            let mut unit = self.unit().await?;
            let waiting = sqlx::query_scalar(WAITING).bind(lease.feed().as_str()).bind(&in_hand);
            let waiting: bool = waiting.fetch_one(unit.conn()).await?;
            unit.done();
            // This is asked every second; a writing transaction is worth its while only for a request.
            if waiting { Box::pin(self.take(lease, &in_hand)).await } else { Ok(Vec::new()) }
        })
        .await
    }

    async fn take(&self, lease: &Lease, in_hand: &[i64]) -> Result<Vec<OperatorRequest>, Error> {
        let feed = lease.feed().as_str();
        let mut writing = self.begin_write(lease).await?;
        sqlx::query(EXPIRE).bind(feed).execute(writing.conn()).await?;
        let take = sqlx::query(TAKE).bind(feed).bind(lease.epoch()).bind(in_hand);
        let rows = take.fetch_all(writing.conn()).await?;
        let mut requests = Vec::with_capacity(rows.len());
        for row in &rows {
            match request(row) {
                Ok(request) => requests.push(request),
                Err(error) => {
                    let refuse =
                        sqlx::query(FINISH).bind(feed).bind(row.try_get::<i64, _>("request")?).bind(false);
                    refuse.bind(error.to_string()).execute(writing.conn()).await?;
                }
            }
        }
        writing.commit(Boundary::TakeRequests).await?;
        requests.sort_by_key(|request| request.id);
        Ok(requests)
    }

    /// Says how a request went. The first answer stays.
    pub async fn finish_request(
        &self,
        lease: &Lease,
        id: RequestId,
        ok: bool,
        message: &str,
    ) -> Result<(), Error> {
        self.observed("state", async {
            let feed = lease.feed().as_str();
            let mut writing = self.begin_write(lease).await?;
            sqlx::query(FINISH).bind(feed).bind(id.0).bind(ok).bind(message).execute(writing.conn()).await?;
            sqlx::query(FORGET).bind(feed).execute(writing.conn()).await?;
            writing.commit(Boundary::FinishRequest).await
        })
        .await
    }

    /// How a request went; `None` while it waits or is being carried out.
    pub async fn request_result(&self, id: RequestId) -> Result<Option<RequestResult>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let row: Option<(bool, Option<String>)> =
                sqlx::query_as(RESULT).bind(id.0).fetch_optional(unit.conn()).await?;
            unit.done();
            Ok(row.map(|(ok, message)| RequestResult { ok, message: message.unwrap_or_default() }))
        })
        .await
    }
}

impl RequestKind {
    /// Its word in column `kind`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Once { .. } => "once",
            Self::PurgeApprove { .. } => "purge_approve",
            Self::PurgePlan { .. } => "purge_plan",
            Self::Resync { .. } => "resync",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Repair { .. } => "repair",
        }
    }
}

fn request(row: &PgRow) -> Result<OperatorRequest, Error> {
    let resource = row.try_get::<Option<&str>, _>("resource")?.map(text::resource).transpose()?;
    let kind = match row.try_get::<&str, _>("kind")? {
        "once" => RequestKind::Once { job: text::job(row.try_get("job")?)?, resource },
        "purge_approve" => RequestKind::PurgeApprove { plan: PlanId(row.try_get("plan")?) },
        "purge_plan" => RequestKind::PurgePlan { resource },
        "resync" => RequestKind::Resync { resource },
        "pause" => RequestKind::Pause,
        "resume" => RequestKind::Resume,
        "repair" => RequestKind::Repair {
            resource: text::resource(row.try_get("resource")?)?,
            key: text::key(row.try_get("key")?)?,
        },
        other => return Err(text::unknown("kind", other)),
    };
    Ok(OperatorRequest {
        id: RequestId(row.try_get("request")?),
        kind,
        by: row.try_get("requested_by")?,
        at: row.try_get("requested_at")?,
    })
}
