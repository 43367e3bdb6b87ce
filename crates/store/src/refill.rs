//! After an upgrade: typed columns of rows that an older list of columns filled, and hashes of an older recipe.
//!
//! Equal hashes would hide a new column for ever, and a new recipe would make every record look changed. So
//! both are made again from `body`, by the converters that serve the wire, in batches, and without touching
//! `written_at`: nothing changed in the feed. A version that is not ours counts as behind, whether older or
//! newer; the instance that wrote last is the one whose columns are filled.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgArguments;
use sqlx::{PgConnection, Row};

use spark_domain::record::{self, HASH_RECIPE};
use spark_domain::{Hash, Relation, Resource, Shape};

use crate::boundary::Boundary;
use crate::columns::by_table::{RELATION_TABLES, is_shared};
use crate::columns::{ByRelation, ByResource, COLUMNS_VERSION, Value, add, of_relation, of_resource};
use crate::commit_page::lock_resource;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text;

static ROWS: ByResource = ByResource::new(
    "select key, body::text from {table} where feed = $1 and ($2::text is null or key > $2) order by key limit $3",
    0,
);
static FILL: ByResource = ByResource::new(
    "update {table} as held set hash = page.hash{assign from page} \
     from unnest($2::text[], $3::bytea[]{arrays}) as page (key, hash{columns}) \
     where held.feed = $1 and held.key = page.key \
         and (held.hash{held.columns}) is distinct from (page.hash{page.columns})",
    4,
);
static MEMBERS: ByRelation = ByRelation::new(
    "select held.parent_key, {relation, }held.key, held.body::text from {table} as held \
     where held.feed = $1 and held.parent_resource = $2 and held.parent_key in ( \
         select distinct parent_key from {table} where feed = $1 and parent_resource = $2 \
             and ($3::text is null or parent_key > $3) order by parent_key limit $4) \
     order by held.parent_key",
    5,
);
static FILL_MEMBERS: ByRelation = ByRelation::new(
    "update {table} as held set hash = page.hash{assign from page} \
     from unnest($3::text[], $4::text[], $5::bytea[]{arrays}) as page (parent_key, key, hash{columns}) \
     where held.feed = $1 and held.parent_resource = $2 and held.parent_key = page.parent_key \
         and held.key = page.key{and relation} \
         and (held.hash{held.columns}) is distinct from (page.hash{page.columns})",
    6,
);

pub(crate) static PER_TABLE: [&ByResource; 2] = [&ROWS, &FILL];
pub(crate) static PER_RELATION_TABLE: [&ByRelation; 2] = [&MEMBERS, &FILL_MEMBERS];

sql! {
    STATE = "select columns_version, hash_recipe, refill_table, refill_after \
        from replicator.resource where feed = $1 and resource = $2";
    UNDER_WAY = "update replicator.resource set refill_table = $3, refill_after = $4 \
        where feed = $1 and resource = $2";
    DONE = "update replicator.resource set columns_version = $3, hash_recipe = $4, refill_table = null, \
        refill_after = null where feed = $1 and resource = $2";
}

/// Where a refill stands: the number of its table, the resource's own first, and the last key of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    table: usize,
    after: Option<String>,
}

/// A member of a set on its way: parent, key, hash and typed values.
type Member = (String, String, Hash, Vec<Value>);

impl Store {
    /// Fills typed columns and hashes anew, `batch` rows at a time, where they are not by this version's lists
    /// and recipe. Answers whether there is more to do; no other job of the resource should run until then.
    pub async fn refill_columns(&self, lease: &Lease, resource: Resource, batch: u32) -> Result<bool, Error> {
        self.observed("upsert", async {
            let mut writing = self.begin_long_write(lease).await?;
            let connection = writing.conn();
            lock_resource(connection, lease, resource).await?;
            let (feed, word) = (lease.feed().as_str(), resource.as_str());
            let (columns, recipe, table, after): (Option<i32>, Option<i32>, Option<String>, Option<String>) =
                sqlx::query_as(STATE).bind(feed).bind(word).fetch_one(&mut *connection).await?;
            if columns == Some(COLUMNS_VERSION) && recipe == Some(HASH_RECIPE) {
                writing.commit(Boundary::RefillColumnsNot).await?;
                return Ok(false);
            }
            let place = Place { table: place_of(table.as_deref()), after };
            let next = match place.table {
                0 => rows(connection, lease, resource, &place, batch).await?,
                _ => members(connection, lease, resource, &place, (batch / 20).max(1)).await?,
            };
            let more = next.table <= RELATION_TABLES.len();
            if more {
                let word_of_table = next.table.checked_sub(1).map_or("", |at| RELATION_TABLES[at].0);
                let note = sqlx::query(UNDER_WAY).bind(feed).bind(word).bind(word_of_table).bind(next.after);
                note.execute(&mut *connection).await?;
            } else {
                let done = sqlx::query(DONE).bind(feed).bind(word).bind(COLUMNS_VERSION).bind(HASH_RECIPE);
                done.execute(&mut *connection).await?;
            }
            writing.commit(Boundary::RefillColumns).await?;
            Ok(more)
        })
        .await
    }
}

/// The number of a table that a row of `replicator.resource` names; none or its own is the first.
fn place_of(table: Option<&str>) -> usize {
    RELATION_TABLES.iter().position(|(name, _)| Some(*name) == table).map_or(0, |at| at + 1)
}

impl Place {
    /// The place after a batch that ended with this key; a table that gave none is done.
    fn after(&self, last: Option<String>) -> Self {
        match last {
            Some(last) => Self { table: self.table, after: Some(last) },
            None => Self { table: self.table + 1, after: None },
        }
    }
}

async fn rows(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    place: &Place,
    batch: u32,
) -> Result<Place, Error> {
    let list = of_resource(resource);
    let rows: Vec<(String, String)> = sqlx::query_as(ROWS.of(resource))
        .bind(lease.feed().as_str())
        .bind(place.after.as_deref())
        .bind(i64::from(batch.max(1)))
        .fetch_all(&mut *connection)
        .await?;
    let shape = Store::shape(resource, BTreeSet::new());
    let (mut keys, mut hashes, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (key, body) in &rows {
        let record = record::read(body, &shape).map_err(|_| unreadable(lease, resource, key))?;
        keys.push(key.as_str());
        hashes.push(record.hash.0.to_vec());
        values.push(list.read(&record.columns).0);
    }
    let mut arguments = PgArguments::default();
    add(&mut arguments, lease.feed().as_str())?;
    add(&mut arguments, keys)?;
    add(&mut arguments, hashes)?;
    list.add_arrays(&mut arguments, &values.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    sqlx::query_with(FILL.of(resource), arguments).execute(connection).await?;
    Ok(place.after(rows.last().map(|(key, _)| key.clone())))
}

async fn members(
    connection: &mut PgConnection,
    lease: &Lease,
    resource: Resource,
    place: &Place,
    parents: u32,
) -> Result<Place, Error> {
    let (_, own) = RELATION_TABLES[place.table - 1];
    let rows = sqlx::query(MEMBERS.all()[place.table - 1].as_str())
        .bind(lease.feed().as_str())
        .bind(resource.as_str())
        .bind(place.after.as_deref())
        .bind(i64::from(parents))
        .fetch_all(&mut *connection)
        .await?;
    let mut by_relation: BTreeMap<Relation, Vec<Member>> = BTreeMap::new();
    let mut last = None;
    for row in &rows {
        let relation = match own {
            Some(relation) => relation,
            None => text::relation(row.try_get("relation")?)?,
        };
        let (parent, key, body): (String, String, &str) =
            (row.try_get("parent_key")?, row.try_get("key")?, row.try_get("body")?);
        let hash =
            member_hash(resource, relation, body).ok_or_else(|| unreadable(lease, resource, &parent))?;
        let values = of_relation(relation).read_body(body).0;
        last = Some(parent.clone());
        by_relation.entry(relation).or_default().push((parent, key, hash, values));
    }
    for (relation, members) in by_relation {
        let mut arguments = PgArguments::default();
        add(&mut arguments, lease.feed().as_str())?;
        add(&mut arguments, resource.as_str())?;
        add(&mut arguments, members.iter().map(|(parent, ..)| parent.as_str()).collect::<Vec<_>>())?;
        add(&mut arguments, members.iter().map(|(_, key, ..)| key.as_str()).collect::<Vec<_>>())?;
        add(&mut arguments, members.iter().map(|(_, _, hash, _)| hash.0.to_vec()).collect::<Vec<_>>())?;
        if is_shared(relation) {
            add(&mut arguments, relation.as_str())?;
        }
        let values: Vec<&[Value]> = members.iter().map(|(.., values)| values.as_slice()).collect();
        of_relation(relation).add_arrays(&mut arguments, &values)?;
        sqlx::query_with(FILL_MEMBERS.of(relation), arguments).execute(&mut *connection).await?;
    }
    Ok(place.after(last))
}

/// A member is read inside its parent, so its body is put into one.
fn member_hash(resource: Resource, relation: Relation, body: &str) -> Option<Hash> {
    let parent = format!("{{\"{}\":\"parent\",\"{relation}\":[{body}]}}", resource.key_field());
    let record = record::read(&parent, &Shape::new(resource, &[], BTreeSet::new())).ok()?;
    Some(record.relation(relation)?.members.first()?.hash)
}

fn unreadable(lease: &Lease, resource: Resource, key: &str) -> Error {
    let feed = lease.feed();
    Error::inconsistent(format!(
        "the body of {feed} {resource} {key} in mls is not what was stored; delete the row, `repair` fetches it again"
    ))
}
