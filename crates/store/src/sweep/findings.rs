//! What a sweep found: which rows of ours nobody saw, and which keys it lists that we lack.

use spark_domain::{FeedName, Hash, RecordKey, Resource, Timestamp};

use super::SweepId;
use crate::columns::ByResource;
use crate::connection::Store;
use crate::error::Error;
use crate::text;

sql! {
    LISTED_KEY = "select one.key from replicator.key_sweep as page cross join unnest(page.keys) as one (key) \
        where page.feed = $1 and page.resource = $2 and page.sweep = $3 and page.source = 'sweep' \
        order by page.page desc, one.key offset $4 limit 1";
}

/// The keys that decide: `staged` are all of the sweep's, `listed` those that the sweep itself listed.
macro_rules! with_staged {
    ($($rest:literal),+) => {
        concat!(
            "with staged as materialized (select page.source, one.key from replicator.key_sweep as page \
                cross join unnest(page.keys) as one (key) \
                where page.feed = $1 and page.resource = $2 and page.sweep = $3), \
            listed as materialized (select distinct key from staged where source = 'sweep') ",
            $($rest),+
        )
    };
}

pub(super) static SUMMARY: ByResource = ByResource::new(
    with_staged!(
        "select (select count(*) from listed), \
            (select count(*) from {table} where feed = $1), \
            (select count(*) from {table} as held where held.feed = $1 and held.first_seen_at >= (select sweep_began_at \
                from replicator.resource where feed = $1 and resource = $2 and last_sweep = $3) \
                and not exists (select from listed where listed.key = held.key)), \
            (select count(*) from {table} as held where held.feed = $1 and held.first_seen_at < $4 \
                and held.written_at < $4 and not exists (select from staged where staged.key = held.key)), \
            (select count(*) from listed where not exists (select from {table} as held where held.feed = $1 \
                and held.key = listed.key) and not exists (select from replicator.quarantine as away \
                where away.feed = $1 and away.resource = $2 and away.identity = listed.key)), \
            (select count(*) from {table} as held where held.feed = $1 and {ended})"
    ),
    0,
);
pub(super) static CANDIDATES: ByResource = ByResource::new(
    with_staged!(
        "select held.key, held.hash, held.modified_at, {ended} from {table} as held \
        where held.feed = $1 and held.first_seen_at < $4 and held.written_at < $4 \
            and ($5::text is null or held.key > $5) \
            and not exists (select from staged where staged.key = held.key) \
        order by held.key limit $6"
    ),
    0,
);
pub(super) static MISSING: ByResource = ByResource::new(
    with_staged!(
        "select listed.key from listed where ($4::text is null or listed.key > $4) \
            and not exists (select from {table} as held where held.feed = $1 and held.key = listed.key) \
            and not exists (select from replicator.quarantine as away \
                where away.feed = $1 and away.resource = $2 and away.identity = listed.key) \
        order by listed.key limit $5"
    ),
    0,
);

/// What a sweep found, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepSummary {
    /// Distinct keys that it listed.
    pub listed: u64,
    /// Rows that we hold.
    pub ours: u64,
    /// Rows that we first saw since it began.
    pub new_meanwhile: u64,
    /// Rows of ours that nobody saw.
    pub candidates: u64,
    /// Keys listed that we neither hold nor have in quarantine.
    pub missing: u64,
    /// Rows that we hold of open houses that are over.
    pub ended: u64,
}

/// A row of ours that the sweep did not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its key.
    pub key: RecordKey,
    /// Its content: only a row that still has it may be deleted.
    pub hash: Hash,
    /// Its ModificationTimestamp.
    pub modified_at: Option<Timestamp>,
    /// An open house that is over: it leaves the feed by itself.
    pub ended: bool,
}

impl Store {
    /// What a sweep found. `before` is its start less the margin, as for [`Store::purge_candidates`].
    pub async fn sweep_summary(
        &self,
        feed: &FeedName,
        resource: Resource,
        sweep: SweepId,
        before: Timestamp,
    ) -> Result<SweepSummary, Error> {
        self.observed("purge", async {
            let mut unit = self.unit().await?;
            let (listed, ours, new_meanwhile, candidates, missing, ended): (i64, i64, i64, i64, i64, i64) =
                sqlx::query_as(SUMMARY.of(resource))
                    .bind(feed.as_str())
                    .bind(resource.as_str())
                    .bind(sweep.0)
                    .bind(before)
                    .fetch_one(unit.conn())
                    .await?;
            unit.done();
            Ok(SweepSummary {
                listed: text::whole(listed),
                ours: text::whole(ours),
                new_meanwhile: text::whole(new_meanwhile),
                candidates: text::whole(candidates),
                missing: text::whole(missing),
                ended: text::whole(ended),
            })
        })
        .await
    }

    /// Rows of ours, in key order after `after`, that were written before `before` and that nobody saw: not
    /// the sweep, and no job while it ran.
    pub async fn purge_candidates(
        &self,
        feed: &FeedName,
        resource: Resource,
        sweep: SweepId,
        before: Timestamp,
        after: Option<&RecordKey>,
        limit: i64,
    ) -> Result<Vec<Candidate>, Error> {
        self.observed("purge", async {
            let mut unit = self.unit().await?;
            let rows: Vec<(String, Vec<u8>, Option<Timestamp>, bool)> =
                sqlx::query_as(CANDIDATES.of(resource))
                    .bind(feed.as_str())
                    .bind(resource.as_str())
                    .bind(sweep.0)
                    .bind(before)
                    .bind(after.map(RecordKey::as_str))
                    .bind(limit)
                    .fetch_all(unit.conn())
                    .await?;
            unit.done();
            rows.into_iter()
                .map(|(key, hash, modified_at, ended)| {
                    Ok(Candidate { key: text::key(&key)?, hash: text::hash(&hash)?, modified_at, ended })
                })
                .collect()
        })
        .await
    }

    /// Some key that the sweep listed, of its last pages; another one for another `nth`. It serves as the
    /// control of confirmations: a key that surely exists.
    pub async fn listed_key(
        &self,
        feed: &FeedName,
        resource: Resource,
        sweep: SweepId,
        nth: i64,
    ) -> Result<Option<RecordKey>, Error> {
        self.observed("purge", async {
            let mut unit = self.unit().await?;
            // The first few serve in turn; a short list has no more.
            let mut found: Option<String> = None;
            for offset in [nth.rem_euclid(10), 0] {
                let listed = sqlx::query_scalar(LISTED_KEY)
                    .bind(feed.as_str())
                    .bind(resource.as_str())
                    .bind(sweep.0)
                    .bind(offset);
                found = listed.fetch_optional(unit.conn()).await?;
                if found.is_some() {
                    break;
                }
            }
            unit.done();
            found.as_deref().map(text::key).transpose()
        })
        .await
    }

    /// Keys that the sweep lists, in order after `after`, and that we neither hold nor have in quarantine.
    pub async fn missing_keys(
        &self,
        feed: &FeedName,
        resource: Resource,
        sweep: SweepId,
        after: Option<&RecordKey>,
        limit: i64,
    ) -> Result<Vec<RecordKey>, Error> {
        self.observed("purge", async {
            let mut unit = self.unit().await?;
            let keys: Vec<String> = sqlx::query_scalar(MISSING.of(resource))
                .bind(feed.as_str())
                .bind(resource.as_str())
                .bind(sweep.0)
                .bind(after.map(RecordKey::as_str))
                .bind(limit)
                .fetch_all(unit.conn())
                .await?;
            unit.done();
            keys.iter().map(|key| text::key(key)).collect()
        })
        .await
    }
}
