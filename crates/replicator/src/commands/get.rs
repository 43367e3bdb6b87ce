//! `get`: one record as it is stored, as JSON.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;
use spark_domain::{RecordKey, Timestamp};
use spark_store::Store;

use super::print_json;
use crate::cli::Get;
use crate::exit::{Exit, refuse};

/// Tombstones that are searched for a record that is not there.
const TOMBSTONES: i64 = 10_000;

pub(super) async fn run(store: &Store, arguments: &Get) -> anyhow::Result<Exit> {
    let Get { feed, resource, key, expand } = arguments;
    let key = RecordKey::new(key).context("the key cannot be one")?;
    let Some(record) = store.record(feed, *resource, &key).await? else {
        return Err(absent(store, arguments, &key).await);
    };
    let mut relations = BTreeMap::new();
    for relation in expand {
        let members = store.relation_members(feed, *resource, &key, *relation).await?;
        let members: Result<Vec<_>, _> =
            members.into_iter().map(|(_, body)| RawValue::from_string(body)).collect();
        relations.insert(relation.as_str(), members.context("a stored member is no JSON")?);
    }
    print_json(&Shown {
        feed: feed.as_str(),
        resource: resource.as_str(),
        key: key.as_str(),
        modified_at: record.modified_at,
        first_seen_at: record.first_seen_at,
        written_at: record.written_at,
        body: RawValue::from_string(record.body).context("the stored body is no JSON")?,
        relations,
    })?;
    Ok(Exit::Done)
}

/// Bodies go out as they are: a number of 26 digits must not become a float on the way.
#[derive(Serialize)]
struct Shown<'a> {
    feed: &'a str,
    resource: &'a str,
    key: &'a str,
    modified_at: Option<Timestamp>,
    first_seen_at: Timestamp,
    written_at: Timestamp,
    body: Box<RawValue>,
    relations: BTreeMap<&'a str, Vec<Box<RawValue>>>,
}

/// Why it is not there.
async fn absent(store: &Store, arguments: &Get, key: &RecordKey) -> anyhow::Error {
    let Get { feed, resource, .. } = arguments;
    let tombstones = store.tombstones(feed, *resource, TOMBSTONES).await.unwrap_or_default();
    let said = match tombstones.iter().find(|tombstone| tombstone.key == *key) {
        Some(tombstone) => format!(
            "{resource} {key} of {feed} was purged at {} ({})",
            tombstone.deleted_at.format("%Y-%m-%d %H:%M:%S UTC"),
            tombstone.reason
        ),
        None => format!("{feed} has no {resource} {key}"),
    };
    refuse(Exit::Failed, said)
}
