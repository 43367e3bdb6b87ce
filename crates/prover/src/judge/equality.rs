//! Row-for-row equality with the simulator's truth.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use spark_simulator::Resource;
use sqlx::{AssertSqlSafe, PgConnection};

use super::table;
use crate::{Error, report::Figures, sql, stage::Stage};

/// The relations that every configuration asks for.
const RELATIONS: [(Resource, &str, &str); 5] = [
    (Resource::Property, "Media", "media"),
    (Resource::Property, "Room", "room"),
    (Resource::Property, "Unit", "unit"),
    (Resource::Member, "Media", "media"),
    (Resource::Office, "Media", "media"),
];

/// Every row that differs, with both sides.
pub(super) async fn differences(
    stage: &Stage,
    connection: &mut PgConnection,
    figures: &mut Figures,
) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let dialect = stage.climate.dialect;
    for resource in Resource::ALL.into_iter().filter(|resource| dialect.offers(*resource)) {
        let ours = records(connection, resource).await?;
        let theirs: BTreeMap<String, Value> =
            stage.simulator.world().truth_in(dialect, resource).into_iter().collect();
        figures.rows_compared += theirs.len() as u64;
        compare(resource.as_str(), &ours, &theirs, &mut found);
    }
    let requests = stage.simulator.journal().requests();
    let emptied = requests.iter().any(|entry| entry.faults.contains(&"empty_expansion"));
    let offered = |relation: &(Resource, &str, &str)| dialect.relations(relation.0).contains(&relation.1);
    for (resource, relation, table) in RELATIONS.into_iter().filter(offered) {
        let ours = members(connection, resource, table).await?;
        let parents = stage.simulator.world().keys(resource);
        for parent in ours.keys().filter(|parent| !parents.contains(parent)) {
            found.push(format!("{relation} of {} {parent} is held without its parent", resource.as_str()));
        }
        for parent in parents {
            let theirs = stage.simulator.world().relation_in(dialect, resource, &parent, relation);
            figures.rows_compared += theirs.len() as u64;
            let mut theirs: Vec<String> = theirs.iter().map(|member| plain(member).to_string()).collect();
            theirs.sort_unstable();
            let ours = ours.get(&parent).cloned().unwrap_or_default();
            // Only a count of photos tells an empty set from one that the feed left out.
            let left_out =
                emptied && ours.is_empty() && !theirs.iter().any(|member| member.contains("\"Photo\""));
            if ours != theirs && !left_out {
                let known = known_of(connection, resource, relation, &parent).await?;
                found.push(format!(
                    "{relation} of {} {parent} ({known}): ours {ours:?}, the feed's {theirs:?}",
                    resource.as_str()
                ));
            }
        }
    }
    Ok(found)
}

fn compare(
    name: &str,
    ours: &BTreeMap<String, Value>,
    theirs: &BTreeMap<String, Value>,
    found: &mut Vec<String>,
) {
    let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        match (ours.get(key), theirs.get(key)) {
            (Some(_), None) => found.push(format!("{name} {key} is held, and the feed has it no more")),
            (None, Some(_)) => found.push(format!("{name} {key} is missing")),
            (Some(ours), Some(theirs)) => {
                let (ours, theirs) = (plain(ours), plain(theirs));
                if ours != theirs {
                    let (ours, theirs) = (only_in(&ours, &theirs), only_in(&theirs, &ours));
                    found.push(format!("{name} {key} differs: ours {ours}, the feed's {theirs}"));
                }
            }
            (None, None) => {}
        }
    }
}

async fn records(
    connection: &mut PgConnection,
    resource: Resource,
) -> Result<BTreeMap<String, Value>, Error> {
    // What a person asks by the typed stamp must be what stands in the body.
    let sentence = format!(
        "select key, body from mls.{} where modified_at is not distinct from
             (body->>'ModificationTimestamp')::timestamptz",
        table(resource)
    );
    let rows: Vec<(String, Value)> =
        sqlx::query_as(AssertSqlSafe(sentence)).fetch_all(connection).await.map_err(sql("read the rows"))?;
    Ok(rows.into_iter().collect())
}

async fn members(
    connection: &mut PgConnection,
    resource: Resource,
    table: &str,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let sentence = format!("select parent_key, body from mls.{table} where parent_resource = $1");
    let rows: Vec<(String, Value)> = sqlx::query_as(AssertSqlSafe(sentence))
        .bind(resource.as_str())
        .fetch_all(connection)
        .await
        .map_err(sql("read the relations"))?;
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (parent, body) in rows {
        members.entry(parent).or_default().push(plain(&body).to_string());
    }
    for members in members.values_mut() {
        members.sort_unstable();
    }
    Ok(members)
}

/// What is known of a set: for which state of its parent it was wanted and fetched.
async fn known_of(
    connection: &mut PgConnection,
    resource: Resource,
    relation: &str,
    parent: &str,
) -> Result<String, Error> {
    let known: Option<String> = sqlx::query_scalar(
        "select format('wanted for %s, fetched for %s, %s tries', wanted, fetched, tries)
         from replicator.relation_set where resource = $1 and relation = $2 and key = $3",
    )
    .bind(resource.as_str())
    .bind(relation)
    .bind(parent)
    .fetch_optional(connection)
    .await
    .map_err(sql("read the state of a relation"))?;
    Ok(known.unwrap_or_else(|| "never wanted".to_owned()))
}

/// A body without `@odata.*` noise and nulls, and with every number as the decimal that it is.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, value)| !name.contains("@odata.") && !value.is_null())
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(elements) => elements.iter().map(plain).collect::<Vec<_>>().into(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string().into(), Value::from),
        other => other.clone(),
    }
}

/// The members of one object that the other has not, or has otherwise.
fn only_in(one: &Value, other: &Value) -> Value {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one.clone() };
    let differing = one.iter().filter(|(name, value)| other.get(*name) != Some(*value));
    Value::Object(differing.map(|(name, value)| (name.clone(), value.clone())).collect())
}
