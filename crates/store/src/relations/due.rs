//! What is due in `relation_set`, and what was never fetched.

use spark_domain::{FeedName, RecordKey, Relation, Resource, Timestamp};

use crate::columns::ByResource;
use crate::connection::Store;
use crate::error::Error;
use crate::text;

/// Our keys that lack a row for any of the relations: the order and the start make it a walk.
static UNFETCHED: ByResource = ByResource::new(
    "select held.key, held.modified_at, lacking.relations from {table} as held cross join lateral ( \
         select array_agg(asked.relation) as relations from unnest($3::text[]) as asked (relation) where not exists ( \
             select from replicator.relation_set as state where state.feed = $1 and state.resource = $2 \
                 and state.key = held.key and state.relation = asked.relation)) as lacking \
     where held.feed = $1 and ($4::text is null or held.key > $4) and lacking.relations is not null \
     order by held.key limit $5",
    0,
);

/// The inner limit lets the index end the search: a long queue is not sorted for every batch.
static DUE: ByResource = ByResource::new(
    "with oldest as (select key, due_at from replicator.relation_set where feed = $1 and resource = $2 \
         and due_at <= clock_timestamp() and relation = any($4) order by due_at limit $3 * 4), \
     due as (select key, min(due_at) as first from oldest group by key order by first, key limit $3) \
     select state.key, held.modified_at, state.relation, state.wanted, state.wanted_newest, state.fetched, \
         state.fetched_newest, state.tries \
     from due join replicator.relation_set as state on state.feed = $1 and state.resource = $2 \
         and state.key = due.key and state.due_at <= clock_timestamp() and state.relation = any($4) \
     left join {table} as held on held.feed = $1 and held.key = due.key \
     order by due.first, state.key, state.relation",
    0,
);

static UNSTAMPED: ByResource = ByResource::new(
    "select key from {table} where feed = $1 and modified_at is null and ($2::text is null or key > $2) \
     order by key limit $3",
    0,
);

static LAST: ByResource =
    ByResource::new("select key from {table} where feed = $1 order by key desc limit 1", 0);

pub(super) static PER_TABLE: [&ByResource; 4] = [&UNFETCHED, &DUE, &UNSTAMPED, &LAST];

sql! {
    NEXT = "select min(due_at) from replicator.relation_set \
        where feed = $1 and resource = $2 and relation = any($3)";
    // What the feed has switched off waits for nobody.
    QUEUE = "select count(*), min(due_at) from replicator.relation_set as state \
        where feed = $1 and due_at <= clock_timestamp() and not exists (select from replicator.expansion as off \
            where off.feed = $1 and off.resource = state.resource and off.relation = state.relation)";
}

/// The relations of one record that were never asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfetchedRelations {
    /// The record.
    pub key: RecordKey,
    /// The ModificationTimestamp of the copy that we hold.
    pub modified_at: Option<Timestamp>,
    /// Which.
    pub relations: Vec<Relation>,
}

/// The relations of one record that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRelations {
    /// The record.
    pub key: RecordKey,
    /// The ModificationTimestamp of the copy that we hold.
    pub modified_at: Option<Timestamp>,
    /// What to ask for.
    pub relations: Vec<DueRelation>,
}

/// One relation that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRelation {
    /// Which.
    pub relation: Relation,
    /// The state of the parent for which it is wanted.
    pub wanted: String,
    /// The newest stamp in it.
    pub wanted_newest: Option<Timestamp>,
    /// The state for which it was last fetched.
    pub fetched: Option<String>,
    /// The newest stamp in that.
    pub fetched_newest: Option<Timestamp>,
    /// Questions in vain so far.
    pub tries: i32,
}

/// How much of a feed's relations is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationQueue {
    /// Relations due.
    pub due: i64,
    /// Since when the oldest of them is.
    pub oldest_due_at: Option<Timestamp>,
}

type Row =
    (String, Option<Timestamp>, String, String, Option<Timestamp>, Option<String>, Option<Timestamp>, i32);

impl Store {
    /// What is due of these relations, oldest first, for at most `limit` records.
    pub async fn due_relations(
        &self,
        feed: &FeedName,
        resource: Resource,
        relations: &[Relation],
        limit: i64,
    ) -> Result<Vec<DueRelations>, Error> {
        self.observed("relations", async {
            let mut unit = self.unit().await?;
            let rows: Vec<Row> = sqlx::query_as(DUE.of(resource))
                .bind(feed.as_str())
                .bind(resource.as_str())
                .bind(limit)
                .bind(words(relations))
                .fetch_all(unit.conn())
                .await?;
            unit.done();
            grouped(rows)
        })
        .await
    }

    /// When the next of these relations is due, or since when it is.
    pub async fn next_due_relation(
        &self,
        feed: &FeedName,
        resource: Resource,
        relations: &[Relation],
    ) -> Result<Option<Timestamp>, Error> {
        self.observed("relations", async {
            let mut unit = self.unit().await?;
            let next = sqlx::query_scalar(NEXT)
                .bind(feed.as_str())
                .bind(resource.as_str())
                .bind(words(relations))
                .fetch_one(unit.conn())
                .await?;
            unit.done();
            Ok(next)
        })
        .await
    }

    /// Our keys, in their order after `after`, for which some of these relations were never asked for; with those,
    /// and with the ModificationTimestamp of the copy that we hold.
    pub async fn unfetched_keys(
        &self,
        feed: &FeedName,
        resource: Resource,
        relations: &[Relation],
        after: Option<&RecordKey>,
        limit: i64,
    ) -> Result<Vec<UnfetchedRelations>, Error> {
        self.observed("relations", async {
            let mut unit = self.unit().await?;
            let rows: Vec<(String, Option<Timestamp>, Vec<String>)> = sqlx::query_as(UNFETCHED.of(resource))
                .bind(feed.as_str())
                .bind(resource.as_str())
                .bind(words(relations))
                .bind(after.map(RecordKey::as_str))
                .bind(limit)
                .fetch_all(unit.conn())
                .await?;
            unit.done();
            rows.iter()
                .map(|(key, modified_at, lacking)| {
                    let lacking = lacking.iter().map(|relation| text::relation(relation));
                    Ok(UnfetchedRelations {
                        key: text::key(key)?,
                        modified_at: *modified_at,
                        relations: lacking.collect::<Result<_, Error>>()?,
                    })
                })
                .collect()
        })
        .await
    }

    /// Our keys, in their order after `after`, whose records have no ModificationTimestamp.
    pub async fn unstamped_keys(
        &self,
        feed: &FeedName,
        resource: Resource,
        after: Option<&RecordKey>,
        limit: i64,
    ) -> Result<Vec<RecordKey>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let keys: Vec<String> = sqlx::query_scalar(UNSTAMPED.of(resource))
                .bind(feed.as_str())
                .bind(after.map(RecordKey::as_str))
                .bind(limit)
                .fetch_all(unit.conn())
                .await?;
            unit.done();
            keys.iter().map(|key| text::key(key)).collect()
        })
        .await
    }

    /// The last of our keys, in their order.
    pub async fn last_key(&self, feed: &FeedName, resource: Resource) -> Result<Option<RecordKey>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let last = sqlx::query_scalar::<_, String>(LAST.of(resource)).bind(feed.as_str());
            let last = last.fetch_optional(unit.conn()).await?;
            unit.done();
            last.map(|key| text::key(&key)).transpose()
        })
        .await
    }

    /// How much of a feed's relations is due.
    pub async fn relation_queue(&self, feed: &FeedName) -> Result<RelationQueue, Error> {
        self.observed("relations", async {
            let mut unit = self.unit().await?;
            let (due, oldest_due_at) =
                sqlx::query_as(QUEUE).bind(feed.as_str()).fetch_one(unit.conn()).await?;
            unit.done();
            Ok(RelationQueue { due, oldest_due_at })
        })
        .await
    }
}

fn words(relations: &[Relation]) -> Vec<&'static str> {
    relations.iter().map(|relation| relation.as_str()).collect()
}

fn grouped(rows: Vec<Row>) -> Result<Vec<DueRelations>, Error> {
    let mut grouped: Vec<DueRelations> = Vec::new();
    for (key, modified_at, relation, wanted, wanted_newest, fetched, fetched_newest, tries) in rows {
        let relation = text::relation(&relation)?;
        let due = DueRelation { relation, wanted, wanted_newest, fetched, fetched_newest, tries };
        match grouped.last_mut() {
            Some(last) if last.key.as_str() == key => last.relations.push(due),
            _ => grouped.push(DueRelations { key: text::key(&key)?, modified_at, relations: vec![due] }),
        }
    }
    Ok(grouped)
}
