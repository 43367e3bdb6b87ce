//! Where each job stands: its cursor, the walk under way, and when it is due.
//!
//! A walk is stored as columns, so that a person sees at which page it is. The digests of its links are not
//! kept: after a restart the count of pages still bounds a circle.

use std::collections::HashSet;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use spark_domain::walk::Position;
use spark_domain::{Checkpoint, FeedName, Job, RecordKey, Resource, Timestamp, Walk};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text;

sql! {
    READ = "select cursor_at, unsynced_passes, walk_began_at, walk_as_of, walk_after, walk_until, walk_position, \
        walk_link, walk_key, walk_top, walk_expected, walk_pages, walk_records, walk_unsynced, walk_restarts, \
        walk_empty_in_a_row, walk_last_key from replicator.checkpoint where feed = $1 and resource = $2 and job = $3";
    WRITE = "insert into replicator.checkpoint (feed, resource, job, cursor_at, unsynced_passes, walk_began_at, \
            walk_as_of, walk_after, walk_until, walk_position, walk_link, walk_key, walk_top, walk_expected, \
            walk_pages, walk_records, walk_unsynced, walk_restarts, walk_empty_in_a_row, walk_last_key) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) \
        on conflict (feed, resource, job) do update set updated_at = clock_timestamp(), cursor_at = excluded.cursor_at, \
            unsynced_passes = excluded.unsynced_passes, walk_began_at = excluded.walk_began_at, \
            walk_as_of = excluded.walk_as_of, walk_after = excluded.walk_after, walk_until = excluded.walk_until, \
            walk_position = excluded.walk_position, walk_link = excluded.walk_link, walk_key = excluded.walk_key, \
            walk_top = excluded.walk_top, walk_expected = excluded.walk_expected, \
            walk_pages = excluded.walk_pages, walk_records = excluded.walk_records, \
            walk_unsynced = excluded.walk_unsynced, walk_restarts = excluded.walk_restarts, \
            walk_empty_in_a_row = excluded.walk_empty_in_a_row, walk_last_key = excluded.walk_last_key";
    STATES = "select resource, job, last_attempt_at, last_success_at, due_at, walk_began_at is not null as in_walk, \
        failures, cursor_at from replicator.checkpoint where feed = $1 order by resource, job";
    DUE = "insert into replicator.checkpoint (feed, resource, job, due_at) values ($1, $2, $3, $4) \
        on conflict (feed, resource, job) do update set due_at = excluded.due_at";
}

/// A job of a resource, as the scheduler needs to know it. Times are Postgres' own, but for the cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct JobState {
    /// Of which resource.
    pub resource: Resource,
    /// Which job.
    pub job: Job,
    /// When a run last began.
    pub last_attempt_at: Option<Timestamp>,
    /// When a run last succeeded.
    pub last_success_at: Option<Timestamp>,
    /// An explicit order: a retry's time, or "now" by a person. None leaves it to the schedule.
    pub due_at: Option<Timestamp>,
    /// Whether a walk is under way, to be resumed.
    pub in_walk: bool,
    /// Failed runs in a row.
    pub failures: u32,
    /// Up to here its last finished pass has seen everything, by the feed's clock.
    pub cursor: Option<Timestamp>,
}

impl Store {
    /// Where a job stands; the default for one that never ran.
    pub async fn checkpoint(
        &self,
        feed: &FeedName,
        resource: Resource,
        job: Job,
    ) -> Result<Checkpoint, Error> {
        self.observed("checkpoint", async {
            let mut unit = self.unit().await?;
            let read = sqlx::query(READ).bind(feed.as_str()).bind(resource.as_str()).bind(job.as_str());
            let row = read.fetch_optional(unit.conn()).await?;
            unit.done();
            row.map_or_else(|| Ok(Checkpoint::default()), |row| checkpoint(&row))
        })
        .await
    }

    /// Keeps where a job stands, without a page: the start of a walk, a pass given up, a shrunk page.
    pub async fn save_checkpoint(
        &self,
        lease: &Lease,
        resource: Resource,
        job: Job,
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        self.observed("checkpoint", async {
            let mut writing = self.begin_write(lease).await?;
            write(writing.conn(), lease, resource, job, checkpoint).await?;
            writing.commit(Boundary::SaveCheckpoint).await
        })
        .await
    }

    /// Every job of a feed that ever ran or was ordered.
    pub async fn job_states(&self, feed: &FeedName) -> Result<Vec<JobState>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows = sqlx::query(STATES).bind(feed.as_str()).fetch_all(unit.conn()).await?;
            unit.done();
            rows.iter().map(job_state).collect()
        })
        .await
    }

    /// Orders a job for a time, whatever its schedule says; `None` takes the order back.
    pub async fn set_due(
        &self,
        lease: &Lease,
        resource: Resource,
        job: Job,
        due_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let order =
                sqlx::query(DUE).bind(lease.feed().as_str()).bind(resource.as_str()).bind(job.as_str());
            order.bind(due_at).execute(writing.conn()).await?;
            writing.commit(Boundary::SetDue).await
        })
        .await
    }
}

/// Writes a checkpoint in the transaction of the page that led there.
pub(crate) async fn write(
    conn: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    job: Job,
    checkpoint: &Checkpoint,
) -> Result<(), Error> {
    let walk = checkpoint.walk.as_ref();
    let window = walk.and_then(|walk| walk.window);
    let (position, link, key) = match walk.map(|walk| &walk.position) {
        None => (None, None, None),
        Some(Position::Start) => (Some("start"), None, None),
        Some(Position::Link(link)) => (Some("link"), Some(link.as_str()), None),
        Some(Position::After(key)) => (Some("key"), None, Some(key.as_str())),
        Some(Position::End) => (Some("end"), None, None),
    };
    sqlx::query(WRITE)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(job.as_str())
        .bind(checkpoint.cursor)
        .bind(i32::try_from(checkpoint.unsynced_passes).unwrap_or(i32::MAX))
        .bind(walk.map(|walk| walk.began_at))
        .bind(walk.and_then(|walk| walk.as_of))
        .bind(window.map(|(after, _)| after))
        .bind(window.and_then(|(_, until)| until))
        .bind(position)
        .bind(link)
        .bind(key)
        .bind(walk.map(|walk| i64::from(walk.top)))
        .bind(walk.and_then(|walk| walk.expected).map(text::count))
        .bind(walk.map(|walk| i64::from(walk.pages)))
        .bind(walk.map(|walk| text::count(walk.records)))
        .bind(walk.map(|walk| walk.unsynced))
        .bind(walk.map(|walk| i64::from(walk.restarts)))
        .bind(walk.map(|walk| i64::from(walk.empty_in_a_row)))
        .bind(walk.and_then(|walk| walk.last.as_ref()).map(RecordKey::as_str))
        .execute(conn)
        .await?;
    Ok(())
}

fn checkpoint(row: &PgRow) -> Result<Checkpoint, Error> {
    let began_at: Option<Timestamp> = row.try_get("walk_began_at")?;
    Ok(Checkpoint {
        cursor: row.try_get("cursor_at")?,
        walk: began_at.map(|began_at| walk(row, began_at)).transpose()?,
        unsynced_passes: u32::try_from(row.try_get::<i32, _>("unsynced_passes")?).unwrap_or_default(),
    })
}

fn walk(row: &PgRow, began_at: Timestamp) -> Result<Walk, Error> {
    // The table's checks keep these columns filled while a walk is under way, and not below zero.
    let number = |column: &str| row.try_get::<i64, _>(column).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let after: Option<Timestamp> = row.try_get("walk_after")?;
    let until: Option<Timestamp> = row.try_get("walk_until")?;
    let position = match row.try_get::<&str, _>("walk_position")? {
        "start" => Position::Start,
        "link" => Position::Link(row.try_get("walk_link")?),
        "key" => Position::After(text::key(row.try_get("walk_key")?)?),
        "end" => Position::End,
        other => return Err(text::unknown("walk_position", other)),
    };
    Ok(Walk {
        began_at,
        as_of: row.try_get("walk_as_of")?,
        window: after.map(|after| (after, until)),
        position,
        top: number("walk_top")?,
        expected: row.try_get::<Option<i64>, _>("walk_expected")?.map(text::whole),
        pages: number("walk_pages")?,
        records: text::whole(row.try_get("walk_records")?),
        unsynced: row.try_get("walk_unsynced")?,
        restarts: number("walk_restarts")?,
        empty_in_a_row: number("walk_empty_in_a_row")?,
        last: row.try_get::<Option<&str>, _>("walk_last_key")?.map(text::key).transpose()?,
        links: HashSet::new(),
    })
}

fn job_state(row: &PgRow) -> Result<JobState, Error> {
    Ok(JobState {
        resource: text::resource(row.try_get("resource")?)?,
        job: text::job(row.try_get("job")?)?,
        last_attempt_at: row.try_get("last_attempt_at")?,
        last_success_at: row.try_get("last_success_at")?,
        due_at: row.try_get("due_at")?,
        in_walk: row.try_get("in_walk")?,
        failures: u32::try_from(row.try_get::<i32, _>("failures")?).unwrap_or_default(),
        cursor: row.try_get("cursor_at")?,
    })
}
