//! The members of sets: only those that differ are written, those that are gone are deleted.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use sqlx::postgres::PgArguments;
use sqlx::{PgConnection, raw_sql};

use spark_domain::record::{RelationMember, RelationSet};
use spark_domain::{Hash, MediaPart, Relation, Resource};

use super::RelationOutcome;
use crate::columns::by_table::is_shared;
use crate::columns::{ByRelation, Value, add, of_relation};
use crate::commit_page::Halving;
use crate::error::{Error, PostgresSaid};
use crate::lease::Lease;
use crate::quarantine::{self, Refused};
use crate::text;

sql! {
    // What a set says nothing of is not held against it.
    CATEGORIES = "select parent_key, key, media_category from mls.media \
        where feed = $1 and parent_resource = $2 and parent_key = any($3)";
}

/// Members in one statement: a bounded batch stays far below the statement's time limit.
const BATCH: usize = 2000;

static HELD: ByRelation = ByRelation::new(
    "select parent_key, key, hash from {table} as held \
     where feed = $1 and parent_resource = $2 and parent_key = any($3){and relation}",
    4,
);
static UPSERT: ByRelation = ByRelation::new(
    "insert into {table} as held (feed, parent_resource, parent_key, {relation, }key, modified_at, hash, body, \
         first_seen_at, written_at{columns}) \
     select $1, $2, page.parent_key, {relation parameter, }page.key, page.modified_at, page.hash, page.body::jsonb, \
         clock_timestamp(), clock_timestamp(){page.columns} \
     from unnest($3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::text[]{arrays}) \
         as page (parent_key, key, modified_at, hash, body{columns}) \
     order by page.parent_key collate \"C\", page.key collate \"C\" \
     on conflict (feed, parent_resource, parent_key, {relation, }key) do update set \
         modified_at = excluded.modified_at, hash = excluded.hash, body = excluded.body, \
         written_at = excluded.written_at{assign} \
     where held.hash <> excluded.hash",
    8,
);
static DELETE: ByRelation = ByRelation::new(
    "delete from {table} as held using unnest($3::text[], $4::text[]) as gone (parent_key, key) \
     where held.feed = $1 and held.parent_resource = $2 and held.parent_key = gone.parent_key \
         and held.key = gone.key{and relation}",
    5,
);
/// Everything below these parents, for the purge.
pub(crate) static DELETE_OF_PARENTS: ByRelation = ByRelation::new(
    "delete from {table} where feed = $1 and parent_resource = $2 and parent_key = any($3)",
    4,
);

pub(super) static PER_TABLE: [&ByRelation; 4] = [&HELD, &UPSERT, &DELETE, &DELETE_OF_PARENTS];

/// A set that is to be what we hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct SetToReplace<'a> {
    parent: &'a str,
    set: &'a RelationSet<'a>,
}

/// What differs between a set and what we hold of it.
#[derive(Debug)]
struct Difference<'a> {
    set: SetToReplace<'a>,
    written: Vec<&'a RelationMember<'a>>,
    deleted: Vec<String>,
}

impl<'a> SetToReplace<'a> {
    /// A part of a set is no set.
    pub(super) fn whole(parent: &'a str, set: &'a RelationSet<'a>) -> Option<Self> {
        (!set.incomplete).then_some(Self { parent, set })
    }
}

/// Puts sets in place, each whole or not at all.
pub(super) async fn replace(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    sets: &[SetToReplace<'_>],
) -> Result<RelationOutcome, Error> {
    let mut outcome = RelationOutcome::default();
    for relation in Relation::ALL {
        let of_this: Vec<_> = sets.iter().copied().filter(|each| each.set.relation == relation).collect();
        if of_this.is_empty() {
            continue;
        }
        let held = held(connection, lease, resource, relation, &of_this).await?;
        let (different, same): (Vec<_>, Vec<_>) = of_this
            .into_iter()
            .map(|set| difference(set, held.get(set.parent)))
            .partition(|each| !each.written.is_empty() || !each.deleted.is_empty());
        outcome.sets_unchanged += same.len() as u64;
        let mut landed: Vec<&str> = same.iter().map(|each| each.set.parent).collect();
        let mut halving = Halving::of(batches(&different));
        while let Some(range) = halving.next() {
            let batch = &different[range.clone()];
            raw_sql("savepoint batch").execute(&mut *connection).await?;
            match write(connection, lease, resource, relation, batch).await {
                Ok(misfits) => {
                    raw_sql("release savepoint batch").execute(&mut *connection).await?;
                    outcome.column_nulls += misfits;
                    outcome.sets_replaced += batch.len() as u64;
                    outcome.members_written +=
                        batch.iter().map(|each| each.written.len() as u64).sum::<u64>();
                    outcome.members_deleted +=
                        batch.iter().map(|each| each.deleted.len() as u64).sum::<u64>();
                    landed.extend(batch.iter().map(|each| each.set.parent));
                }
                Err(error) => {
                    halving.failed(range, error)?;
                    raw_sql("rollback to savepoint batch; release savepoint batch")
                        .execute(&mut *connection)
                        .await?;
                }
            }
        }
        outcome.sets_rejected += halving.poison.len() as u64;
        quarantine::release(connection, lease, resource, &landed, Some(relation)).await?;
        let refused: Vec<_> =
            halving.poison.iter().map(|(at, said)| refused(&different[*at], said)).collect();
        quarantine::put(connection, lease, resource, &refused).await?;
    }
    Ok(outcome)
}

async fn held(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    relation: Relation,
    sets: &[SetToReplace<'_>],
) -> Result<HashMap<String, HashMap<String, Hash>>, Error> {
    let parents: Vec<&str> = sets.iter().map(|set| set.parent).collect();
    let mut arguments = PgArguments::default();
    add(&mut arguments, lease.feed().as_str())?;
    add(&mut arguments, resource.as_str())?;
    add(&mut arguments, parents)?;
    add_relation(&mut arguments, relation)?;
    let rows: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as_with(HELD.of(relation), arguments).fetch_all(&mut *connection).await?;
    let mut held: HashMap<String, HashMap<String, Hash>> = HashMap::new();
    for (parent, key, hash) in rows {
        held.entry(parent).or_default().insert(key, text::hash(&hash)?);
    }
    if relation == Relation::Media {
        leave_out_unsaid(connection, lease, resource, sets, &mut held).await?;
    }
    Ok(held)
}

/// Takes from what is held the members of parts that the sets say nothing of: so they stay as they are.
async fn leave_out_unsaid(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    sets: &[SetToReplace<'_>],
    held: &mut HashMap<String, HashMap<String, Hash>>,
) -> Result<(), Error> {
    let in_parts =
        |each: &&SetToReplace<'_>| MediaPart::ALL.into_iter().any(|part| each.set.says_nothing_of(part));
    let sets: HashMap<&str, &RelationSet<'_>> =
        sets.iter().filter(in_parts).map(|each| (each.parent, each.set)).collect();
    if sets.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(CATEGORIES)
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(sets.keys().copied().collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    for (parent, key, category) in rows {
        let part = category.as_deref().and_then(MediaPart::of_category);
        let unsaid = part.is_some_and(|part| sets[parent.as_str()].says_nothing_of(part));
        if let Some(members) = held.get_mut(&parent).filter(|_| unsaid) {
            members.remove(&key);
        }
    }
    Ok(())
}

fn difference<'a>(set: SetToReplace<'a>, held: Option<&HashMap<String, Hash>>) -> Difference<'a> {
    let differs = |member: &&RelationMember<'_>| {
        held.and_then(|held| held.get(&member.key)).is_none_or(|hash| *hash != member.hash)
    };
    let written = set.set.members.iter().filter(differs).collect();
    let present: HashSet<&str> = set.set.members.iter().map(|member| member.key.as_str()).collect();
    let gone = |key: &&String| !present.contains(key.as_str());
    let deleted = held.into_iter().flat_map(HashMap::keys).filter(gone).cloned().collect();
    Difference { set, written, deleted }
}

/// Cuts the sets into batches of bounded size, never through a set.
fn batches(sets: &[Difference<'_>]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut members) = (0, 0);
    for (at, set) in sets.iter().enumerate() {
        let size = set.written.len() + set.deleted.len();
        if at > start && members + size > BATCH {
            ranges.push(start..at);
            (start, members) = (at, 0);
        }
        members += size;
    }
    ranges.push(start..sets.len());
    ranges
}

/// Writes and deletes the members of a batch; answers how many values did not fit their columns.
async fn write(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    relation: Relation,
    batch: &[Difference<'_>],
) -> Result<u64, sqlx::Error> {
    let mut misfits = 0;
    let gone: Vec<(&str, &str)> = batch
        .iter()
        .flat_map(|each| each.deleted.iter().map(|key| (each.set.parent, key.as_str())))
        .collect();
    if !gone.is_empty() {
        let mut arguments = PgArguments::default();
        add(&mut arguments, lease.feed().as_str())?;
        add(&mut arguments, resource.as_str())?;
        add(&mut arguments, gone.iter().map(|(parent, _)| *parent).collect::<Vec<_>>())?;
        add(&mut arguments, gone.iter().map(|(_, key)| *key).collect::<Vec<_>>())?;
        add_relation(&mut arguments, relation)?;
        sqlx::query_with(DELETE.of(relation), arguments).execute(&mut *connection).await?;
    }
    let members: Vec<(&str, &RelationMember<'_>)> =
        batch.iter().flat_map(|each| each.written.iter().map(|member| (each.set.parent, *member))).collect();
    if !members.is_empty() {
        let bodies: Vec<String> = members.iter().map(|(_, member)| member.body()).collect();
        let values: Vec<Vec<Value>> = bodies
            .iter()
            .map(|body| {
                let (values, missed) = of_relation(relation).read_body(body);
                misfits += missed;
                values
            })
            .collect();
        let mut arguments = PgArguments::default();
        add(&mut arguments, lease.feed().as_str())?;
        add(&mut arguments, resource.as_str())?;
        add(&mut arguments, members.iter().map(|(parent, _)| *parent).collect::<Vec<_>>())?;
        add(&mut arguments, members.iter().map(|(_, member)| member.key.as_str()).collect::<Vec<_>>())?;
        add(&mut arguments, members.iter().map(|(_, member)| member.modified_at).collect::<Vec<_>>())?;
        add(&mut arguments, members.iter().map(|(_, member)| member.hash.0.to_vec()).collect::<Vec<_>>())?;
        add(&mut arguments, bodies)?;
        add_relation(&mut arguments, relation)?;
        let rows: Vec<&[Value]> = values.iter().map(Vec::as_slice).collect();
        of_relation(relation).add_arrays(&mut arguments, &rows)?;
        sqlx::query_with(UPSERT.of(relation), arguments).execute(&mut *connection).await?;
    }
    Ok(misfits)
}

/// Only the shared table has a column for it.
fn add_relation(arguments: &mut PgArguments, relation: Relation) -> Result<(), sqlx::Error> {
    if is_shared(relation) { add(arguments, relation.as_str()) } else { Ok(()) }
}

fn refused<'a>(difference: &Difference<'a>, said: &PostgresSaid) -> Refused<'a> {
    let bodies: Vec<String> = difference.written.iter().map(|member| member.body()).collect();
    Refused {
        key: Some(difference.set.parent),
        relation: Some(difference.set.set.relation),
        reason: "refused_by_postgres",
        message: said.to_string(),
        raw: format!("[{}]", bodies.join(",")),
    }
}
