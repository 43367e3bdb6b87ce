//! The rows of `relation_set`: for which state of a parent a relation is wanted, and for which it was fetched.
//!
//! They are read, decided about and written under the lock of the resource, so that no two decisions cross.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use spark_domain::{Fingerprint, Relation, Resource, Timestamp};

use super::{Due, RelationAnswer};
use crate::columns::ByResource;
use crate::error::Error;
use crate::lease::Lease;
use crate::text;

static LIVING: ByResource = ByResource::new("select key from {table} where feed = $1 and key = any($2)", 0);

/// What is at rest below records that no stamp tells from another state of theirs.
static WAKE_UNSTAMPED: ByResource = ByResource::new(
    "with sleeping as (select state.key, state.relation from replicator.relation_set as state \
         join {table} as held on held.feed = $1 and held.key = state.key \
         where state.feed = $1 and state.resource = $2 and held.modified_at is null and state.fetched is not null \
             and state.due_at is null and not state.after_sweep and state.wanted not like '%p=%' \
         order by state.key, state.relation limit $3) \
     update replicator.relation_set as state set due_at = clock_timestamp(), tries = 0 from sleeping \
     where state.feed = $1 and state.resource = $2 and state.key = sleeping.key \
         and state.relation = sleeping.relation",
    0,
);

pub(super) static PER_TABLE: [&ByResource; 2] = [&LIVING, &WAKE_UNSTAMPED];

sql! {
    HELD = "select key, relation, wanted, wanted_newest, fetched, fetched_newest, due_at, after_sweep, tries \
        from replicator.relation_set where feed = $1 and resource = $2 and key = any($3)";
    WRITE = "insert into replicator.relation_set (feed, resource, key, relation, wanted, wanted_newest, fetched, \
            fetched_newest, due_at, after_sweep, tries) \
        select $1, $2, state.* from unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], \
            $8::timestamptz[], $9::timestamptz[], $10::boolean[], $11::integer[]) as state \
            (key, relation, wanted, wanted_newest, fetched, fetched_newest, due_at, after_sweep, tries) \
        on conflict (feed, resource, key, relation) do update set wanted = excluded.wanted, \
            wanted_newest = excluded.wanted_newest, fetched = excluded.fetched, \
            fetched_newest = excluded.fetched_newest, due_at = excluded.due_at, \
            after_sweep = excluded.after_sweep, tries = excluded.tries";
    WAKE = "with sleeping as (select key, relation from replicator.relation_set \
            where feed = $1 and resource = $2 and after_sweep order by key, relation limit $3) \
        update replicator.relation_set as state set due_at = clock_timestamp(), after_sweep = false from sleeping \
        where state.feed = $1 and state.resource = $2 and state.key = sleeping.key \
            and state.relation = sleeping.relation";
    WAKE_FETCHED = "with fetched as (select key from replicator.relation_set \
            where feed = $1 and resource = $2 and relation = $3 and fetched is not null \
                and (due_at is null or due_at > clock_timestamp()) order by key limit $4) \
        update replicator.relation_set as state set due_at = clock_timestamp(), after_sweep = false, tries = 0 from fetched \
        where state.feed = $1 and state.resource = $2 and state.relation = $3 and state.key = fetched.key";
    FORGET = "delete from replicator.relation_set where feed = $1 and resource = $2 and key = any($3)";
}

/// A row of `relation_set` but for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetState {
    pub(super) wanted: String,
    pub(super) wanted_newest: Option<Timestamp>,
    pub(super) fetched: Option<String>,
    pub(super) fetched_newest: Option<Timestamp>,
    pub(super) due_at: Option<Timestamp>,
    pub(super) after_sweep: bool,
    pub(super) tries: i32,
}

/// The rows of some parents.
#[derive(Debug, Default)]
pub(super) struct HeldStates(HashMap<String, Vec<(Relation, SetState)>>);

type Row = (
    String,
    String,
    String,
    Option<Timestamp>,
    Option<String>,
    Option<Timestamp>,
    Option<Timestamp>,
    bool,
    i32,
);

impl HeldStates {
    pub(super) fn get(&self, key: &str, relation: Relation) -> Option<&SetState> {
        self.0.get(key)?.iter().find(|(each, _)| *each == relation).map(|(_, state)| state)
    }
}

impl SetState {
    /// A parent of this state was taken in. A row that wants the state already is left alone, at rest or not:
    /// a relation is asked for at most twice per change.
    pub(super) fn marked(held: Option<&Self>, wanted: &Fingerprint, due_at: Timestamp) -> Option<Self> {
        if held.is_some_and(|held| held.wanted == wanted.text) {
            return None;
        }
        Some(Self {
            wanted: wanted.text.clone(),
            wanted_newest: wanted.newest,
            fetched: held.and_then(|held| held.fetched.clone()),
            fetched_newest: held.and_then(|held| held.fetched_newest),
            due_at: Some(due_at),
            after_sweep: false,
            tries: 0,
        })
    }

    /// The set came along with a parent of this state.
    pub(super) fn fetched_with(state: &Fingerprint) -> Self {
        Self {
            wanted: state.text.clone(),
            wanted_newest: state.newest,
            fetched: Some(state.text.clone()),
            fetched_newest: state.newest,
            due_at: None,
            after_sweep: false,
            tries: 0,
        }
    }

    /// An answer came. A row that wants something else by now than what was asked for, and than what came,
    /// has moved on: it stays due as it is.
    fn answered(held: Option<&Self>, answer: &RelationAnswer<'_>, now: Timestamp) -> Self {
        let lacking = answer.set.is_some_and(|set| set.incomplete);
        let (fetched, fetched_newest) = if lacking || Self::overtook(held, answer) {
            (held.and_then(|held| held.fetched.clone()), held.and_then(|held| held.fetched_newest))
        } else {
            (answer.state.fetched.map(str::to_owned), answer.state.fetched_newest)
        };
        match held {
            Some(held) if held.moved_on(answer) => Self { fetched, fetched_newest, ..held.clone() },
            _ => Self {
                wanted: answer.state.wanted.to_owned(),
                wanted_newest: answer.state.wanted_newest,
                fetched,
                fetched_newest,
                due_at: match answer.state.due {
                    Due::At(at) => Some(at),
                    Due::AtRest if lacking => Some(now),
                    Due::AtRest | Due::AfterSweep => None,
                },
                after_sweep: answer.state.due == Due::AfterSweep,
                tries: answer.state.tries,
            },
        }
    }

    /// Whether the row moved on, and a set of a newer state was put in place, while the feed was asked.
    pub(super) fn overtook(held: Option<&Self>, answer: &RelationAnswer<'_>) -> bool {
        let newer = |held: &Self| {
            let stamps = (held.fetched_newest, answer.state.fetched_newest);
            matches!(stamps, (Some(ours), Some(theirs)) if ours > theirs)
        };
        held.is_some_and(|held| held.moved_on(answer) && newer(held))
    }

    fn moved_on(&self, answer: &RelationAnswer<'_>) -> bool {
        let wanted = Some(self.wanted.as_str());
        wanted != answer.state.asked_for && wanted != answer.state.fetched
    }
}

/// Which of these keys we hold.
pub(super) async fn living(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    keys: &[&str],
) -> Result<HashSet<String>, Error> {
    let query = sqlx::query_scalar(LIVING.of(resource)).bind(lease.feed().as_str()).bind(keys);
    Ok(query.fetch_all(connection).await?.into_iter().collect())
}

/// Remembers answers.
pub(super) async fn write_answers(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    held: &HeldStates,
    answers: &[&RelationAnswer<'_>],
    now: Timestamp,
) -> Result<(), Error> {
    let states = answers.iter().map(|answer| {
        let (key, relation) = (answer.key.as_str(), answer.relation);
        (key, relation, SetState::answered(held.get(key, relation), answer, now))
    });
    write(connection, lease, resource, held, states.collect()).await
}

/// Reads the rows of these parents.
pub(super) async fn load(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    keys: &[&str],
) -> Result<HeldStates, Error> {
    let rows: Vec<Row> = sqlx::query_as(HELD)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(keys)
        .fetch_all(connection)
        .await?;
    let mut held = HeldStates::default();
    for (key, relation, wanted, wanted_newest, fetched, fetched_newest, due_at, after_sweep, tries) in rows {
        let state = SetState { wanted, wanted_newest, fetched, fetched_newest, due_at, after_sweep, tries };
        held.0.entry(key).or_default().push((text::relation(&relation)?, state));
    }
    Ok(held)
}

/// Writes the rows that differ from what is held.
pub(super) async fn write(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    held: &HeldStates,
    mut states: Vec<(&str, Relation, SetState)>,
) -> Result<(), Error> {
    states.retain(|(key, relation, state)| held.get(key, *relation) != Some(state));
    states.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    // One statement cannot write a row twice.
    states.dedup_by(|later, earlier| (later.0, later.1) == (earlier.0, earlier.1));
    if states.is_empty() {
        return Ok(());
    }
    let rows = || states.iter().map(|(_, _, state)| state);
    sqlx::query(WRITE)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(states.iter().map(|(key, _, _)| *key).collect::<Vec<_>>())
        .bind(states.iter().map(|(_, relation, _)| relation.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|state| state.wanted.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|state| state.wanted_newest).collect::<Vec<_>>())
        .bind(rows().map(|state| state.fetched.as_deref()).collect::<Vec<_>>())
        .bind(rows().map(|state| state.fetched_newest).collect::<Vec<_>>())
        .bind(rows().map(|state| state.due_at).collect::<Vec<_>>())
        .bind(rows().map(|state| state.after_sweep).collect::<Vec<_>>())
        .bind(rows().map(|state| state.tries).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Rows woken in one transaction.
const WAKEN: i64 = 2_000;

/// Wakes at most [`WAKEN`] rows; whether there may be more.
async fn wake_some(
    connection: &mut PgConnection,
    wake: Query<'_, Postgres, PgArguments>,
) -> Result<bool, Error> {
    Ok(wake.execute(connection).await?.rows_affected() == WAKEN.cast_unsigned())
}

/// Makes due what waited for the end of a sweep; whether there is more of it.
pub(super) async fn wake(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
) -> Result<bool, Error> {
    let wake = sqlx::query(WAKE).bind(lease.feed().as_str()).bind(resource.as_str()).bind(WAKEN);
    wake_some(connection, wake).await
}

/// Makes due what no stamp will; whether there is more of it.
pub(super) async fn wake_unstamped(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
) -> Result<bool, Error> {
    let wake = sqlx::query(WAKE_UNSTAMPED.of(resource)).bind(lease.feed().as_str());
    let wake = wake.bind(resource.as_str()).bind(WAKEN);
    wake_some(connection, wake).await
}

/// Makes due whatever was fetched of a relation; whether there is more of it.
pub(crate) async fn wake_fetched(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    relation: Relation,
) -> Result<bool, Error> {
    let wake = sqlx::query(WAKE_FETCHED).bind(lease.feed().as_str()).bind(resource.as_str());
    wake_some(connection, wake.bind(relation.as_str()).bind(WAKEN)).await
}

/// Drops what was due for parents that are gone.
pub(super) async fn forget(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    keys: &[&str],
) -> Result<(), Error> {
    if !keys.is_empty() {
        let forget = sqlx::query(FORGET).bind(lease.feed().as_str()).bind(resource.as_str()).bind(keys);
        forget.execute(connection).await?;
    }
    Ok(())
}
