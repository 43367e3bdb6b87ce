//! A resource of a feed: its clocks, and what was learned about how it answers.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use spark_domain::walk::Paging;
use spark_domain::{FeedName, KeyListForm, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::feed::PgQuery;
use crate::lease::Lease;
use crate::text;

sql! {
    RESOURCES = "select r.resource, r.complete_through_at, r.last_success_at, r.last_attempt_at, r.watermark_at, \
        r.initial_download_completed_at, r.off_at, r.off_reason, r.paging, r.count_gap, r.count_gap_sweeps, \
        r.last_sweep_completed_at, r.key_form, \
        r.last_success_at is not null or r.watermark_at is not null or exists (select from replicator.checkpoint c \
            where c.feed = r.feed and c.resource = r.resource and (c.last_success_at is not null or c.walk_pages > 0)) \
            as ever_answered \
        from replicator.resource r where r.feed = $1 and r.configured";
    TURN_OFF = "update replicator.resource set off_at = coalesce(off_at, clock_timestamp()), off_reason = $3 \
        where feed = $1 and resource = $2";
    TURN_ON = "update replicator.resource set off_at = null, off_reason = null where feed = $1 and resource = $2";
    PAGING = "update replicator.resource set paging = $3 where feed = $1 and resource = $2";
    KEY_FORM = "update replicator.resource set key_form = $3 where feed = $1 and resource = $2";
    COUNT_GAP = "update replicator.resource set count_gap = $3, count_gap_sweeps = case \
            when $3::bigint is null then 0 when count_gap = $3 then count_gap_sweeps + 1 else 1 end \
        where feed = $1 and resource = $2 returning count_gap_sweeps";
    EMPTY_SWEEP = "update replicator.resource set \
            empty_sweeps = case when not $3 then 0 \
                when empty_sweep_at > clock_timestamp() - $4::bigint * interval '1 microsecond' then empty_sweeps \
                else empty_sweeps + 1 end, \
            empty_sweep_at = case when not $3 then null \
                when empty_sweep_at > clock_timestamp() - $4::bigint * interval '1 microsecond' then empty_sweep_at \
                else clock_timestamp() end \
        where feed = $1 and resource = $2 returning empty_sweeps";
    FINISH = "update replicator.resource set last_success_at = clock_timestamp(), \
        complete_through_at = greatest(complete_through_at, $3), \
        initial_download_completed_at = case when $4 \
            then coalesce(initial_download_completed_at, clock_timestamp()) else initial_download_completed_at end \
        where feed = $1 and resource = $2";
}

/// A resource as the database knows it. Times are Postgres' own, but for the first and the watermark.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceState {
    /// Which.
    pub resource: Resource,
    /// By the feed's clock: every change up to here is in `mls`.
    pub complete_through_at: Option<Timestamp>,
    /// When a job last came to its proper end.
    pub last_success_at: Option<Timestamp>,
    /// When one last began.
    pub last_attempt_at: Option<Timestamp>,
    /// The newest ModificationTimestamp seen.
    pub watermark_at: Option<Timestamp>,
    /// When the first download was complete.
    pub initial_download_completed_at: Option<Timestamp>,
    /// It is not asked for.
    pub off: Option<Off>,
    /// How it is paged, if its server was found not to be paged as configured.
    pub paging: Option<Paging>,
    /// `$count` less the distinct keys of the last complete sweep, if they differ.
    pub count_gap: Option<i64>,
    /// How many sweeps in a row had this same gap.
    pub count_gap_sweeps: i32,
    /// When the last complete sweep was.
    pub last_sweep_completed_at: Option<Timestamp>,
    /// How the server wants key lists spelled, once that was decided.
    pub key_form: Option<KeyListForm>,
    /// Whether the feed has ever answered for it: a refusal of what worked before is about the token.
    pub ever_answered: bool,
}

/// Since when a resource is off, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Off {
    /// Since when.
    pub at: Timestamp,
    /// What the feed said.
    pub reason: String,
}

/// What the end of a pass means for its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// By the feed's clock: every change up to here is stored now. Older than what is known, it moves nothing.
    pub complete_through: Option<Timestamp>,
    /// This was the end of the first download.
    pub initial_download_completed: bool,
}

impl Store {
    /// The configured resources of a feed.
    pub async fn resources(&self, feed: &FeedName) -> Result<Vec<ResourceState>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows = sqlx::query(RESOURCES).bind(feed.as_str()).fetch_all(unit.conn()).await?;
            unit.done();
            let mut states = rows.iter().map(state).collect::<Result<Vec<_>, _>>()?;
            states.sort_by_key(|state| state.resource);
            Ok(states)
        })
        .await
    }

    /// Stops asking for a resource; the time of the first turning off stays.
    pub async fn turn_off_resource(
        &self,
        lease: &Lease,
        resource: Resource,
        reason: &str,
    ) -> Result<(), Error> {
        let turn_off = of(lease, resource, TURN_OFF).bind(reason.to_owned());
        self.set_resource(lease, resource, Boundary::TurnOffResource, turn_off).await
    }

    /// Asks for it again.
    pub async fn turn_on_resource(&self, lease: &Lease, resource: Resource) -> Result<(), Error> {
        let turn_on = of(lease, resource, TURN_ON);
        self.set_resource(lease, resource, Boundary::TurnOnResource, turn_on).await
    }

    /// Keeps how its server was found to want it paged; none leaves it to the configuration.
    pub async fn set_paging(
        &self,
        lease: &Lease,
        resource: Resource,
        paging: Option<Paging>,
    ) -> Result<(), Error> {
        let set = of(lease, resource, PAGING).bind(paging.map(text::paging_word));
        self.set_resource(lease, resource, Boundary::SetPaging, set).await
    }

    /// Keeps how the server wants key lists spelled.
    pub async fn set_key_form(
        &self,
        lease: &Lease,
        resource: Resource,
        form: KeyListForm,
    ) -> Result<(), Error> {
        let set = of(lease, resource, KEY_FORM).bind(text::key_form_word(form));
        self.set_resource(lease, resource, Boundary::SetKeyForm, set).await
    }

    /// Keeps the gap between `$count` and the keys listed, and answers how many sweeps in a row had this
    /// same one; 0 where there is none.
    pub async fn note_count_gap(
        &self,
        lease: &Lease,
        resource: Resource,
        gap: Option<i64>,
    ) -> Result<i32, Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let note =
                sqlx::query_scalar(COUNT_GAP).bind(lease.feed().as_str()).bind(resource.as_str()).bind(gap);
            let sweeps =
                note.fetch_optional(writing.conn()).await?.ok_or_else(|| unregistered(lease, resource))?;
            writing.commit(Boundary::NoteCountGap).await?;
            Ok(sweeps)
        })
        .await
    }

    /// Keeps whether a sweep found that the feed has nothing, and answers how many in a row did. Those that came less
    /// than `apart` after the last one counted say nothing new.
    pub async fn note_empty_sweep(
        &self,
        lease: &Lease,
        resource: Resource,
        empty: bool,
        apart: Duration,
    ) -> Result<i32, Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let note = sqlx::query_scalar(EMPTY_SWEEP)
                .bind(lease.feed().as_str())
                .bind(resource.as_str())
                .bind(empty);
            let note = note.bind(text::micros(apart));
            let sweeps =
                note.fetch_optional(writing.conn()).await?.ok_or_else(|| unregistered(lease, resource))?;
            writing.commit(Boundary::NoteEmptySweep).await?;
            Ok(sweeps)
        })
        .await
    }

    async fn set_resource(
        &self,
        lease: &Lease,
        resource: Resource,
        boundary: Boundary,
        change: PgQuery,
    ) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let changed = change.execute(writing.conn()).await?;
            if changed.rows_affected() == 0 {
                return Err(unregistered(lease, resource));
            }
            writing.commit(boundary).await
        })
        .await
    }
}

/// Ends a pass in the transaction that commits its last page. `complete_through_at` moves forward only.
pub(crate) async fn finish(
    conn: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    finish: &Finish,
) -> Result<(), Error> {
    let done =
        of(lease, resource, FINISH).bind(finish.complete_through).bind(finish.initial_download_completed);
    done.execute(conn).await?;
    Ok(())
}

fn of(lease: &Lease, resource: Resource, statement: &'static str) -> PgQuery {
    sqlx::query(statement).bind(lease.feed().as_str().to_owned()).bind(resource.as_str())
}

fn state(row: &PgRow) -> Result<ResourceState, Error> {
    let off_at: Option<Timestamp> = row.try_get("off_at")?;
    let off_reason: Option<String> = row.try_get("off_reason")?;
    let word = |column: &str| row.try_get::<Option<&str>, _>(column);
    Ok(ResourceState {
        resource: text::resource(row.try_get("resource")?)?,
        complete_through_at: row.try_get("complete_through_at")?,
        last_success_at: row.try_get("last_success_at")?,
        last_attempt_at: row.try_get("last_attempt_at")?,
        watermark_at: row.try_get("watermark_at")?,
        initial_download_completed_at: row.try_get("initial_download_completed_at")?,
        off: off_at.zip(off_reason).map(|(at, reason)| Off { at, reason }),
        paging: word("paging")?.map(text::paging).transpose()?,
        count_gap: row.try_get("count_gap")?,
        count_gap_sweeps: row.try_get("count_gap_sweeps")?,
        last_sweep_completed_at: row.try_get("last_sweep_completed_at")?,
        key_form: word("key_form")?.map(text::key_form).transpose()?,
        ever_answered: row.try_get("ever_answered")?,
    })
}

pub(crate) fn unregistered(lease: &Lease, resource: Resource) -> Error {
    let feed = lease.feed();
    Error::inconsistent(format!(
        "{feed} {resource} has no row in replicator.resource; a restart registers it"
    ))
}
