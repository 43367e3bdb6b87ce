//! What a faithful copy of the native surface holds.
//!
//! A copy keeps one form for both surfaces. A native record becomes one flat object: the members of
//! `StandardFields` but for the expansions, and beside them the custom fields and `DisplayCompliance`; an
//! account or open house is such an object already. `Id`, `ResourceUri` and `LastCachedTimestamp` go; the key
//! stands under its RESO name, where `StandardFields` has none of that name. At any depth, also within arrays,
//! a member with the value `********` becomes `"<Name>@Core.Permissions": "None"`.
//!
//! Relations have their RESO names. `Media` is the photos, videos, virtual tours, documents and floor plans, in
//! this order, each with a `MediaCategory` and its place within its own kind as `Order`. Who asks for custom
//! fields may hold them beside the record instead of within: they are told as relations as well.

use serde_json::{Map, Value};

use super::{Asked, CUSTOM, View};
use crate::{
    dialect::Dialect,
    world::{
        Inner, Record, Resource, Style, World,
        render::HIDDEN,
        truth::{readable, scrubbed},
    },
};

/// Members of a served record that say nothing about it.
const NOISE: [&str; 3] = ["Id", "ResourceUri", "LastCachedTimestamp"];

impl World {
    /// [`World::truth`] as a copy of that surface holds it, without custom fields; nothing for a resource that
    /// the surface does not offer.
    pub fn truth_in(&self, dialect: Dialect, resource: Resource) -> Vec<(String, Value)> {
        match dialect {
            Dialect::Reso => self.truth(resource),
            Dialect::Spark => self.truth_with(resource, &[]),
        }
    }

    /// The native truth for who asks for these expansions of the custom fields, as in `CustomFieldsRaw`.
    pub fn truth_with(&self, resource: Resource, expansions: &[&str]) -> Vec<(String, Value)> {
        if !Dialect::Spark.offers(resource) {
            return Vec::new();
        }
        let now = self.clock().seconds();
        let inner = self.lock();
        let records = inner.true_records(resource, now);
        records
            .map(|(key, record)| (key.to_owned(), body(&inner, resource, key, record, now, expansions)))
            .collect()
    }

    /// [`World::record`] as a copy of that surface holds it.
    pub fn record_in(&self, dialect: Dialect, resource: Resource, key: &str) -> Option<Value> {
        if dialect == Dialect::Reso {
            return self.record(resource, key);
        }
        if !Dialect::Spark.offers(resource) {
            return None;
        }
        let now = self.clock().seconds();
        let inner = self.lock();
        let record = inner.shelf(resource).entries.get(key)?.truth(now)?;
        Some(body(&inner, resource, key, record, now, &[]))
    }

    /// [`World::truth_relation`] as a copy of that surface holds it, under the RESO name of the relation.
    pub fn relation_in(&self, dialect: Dialect, resource: Resource, key: &str, relation: &str) -> Vec<Value> {
        if dialect == Dialect::Reso {
            return self.truth_relation(resource, key, relation);
        }
        let now = self.clock().seconds();
        let inner = self.lock();
        let record = inner.shelf(resource).entries.get(key).and_then(|entry| entry.truth(now));
        let Some(record) = record.filter(|_| Dialect::Spark.relations(resource).contains(&relation)) else {
            return Vec::new();
        };
        let style = inner.native();
        let view = View { inner: &inner, resource, key, record, style: &style, now };
        members(&view, relation)
    }
}

impl Inner {
    /// The native surface's own way of writing, without noise.
    fn native(&self) -> Style {
        Style { native: true, integers_as_floats: self.ground.shape.integers_as_floats, ..Style::default() }
    }
}

fn body(
    inner: &Inner,
    resource: Resource,
    key: &str,
    record: &Record,
    now: i64,
    expansions: &[&str],
) -> Value {
    let style = inner.native();
    let view = View { inner, resource, key, record, style: &style, now };
    let expand = CUSTOM.into_iter().filter(|custom| expansions.contains(custom)).collect();
    let mut text = String::new();
    view.write(&mut text, &Asked { expand, ..Asked::default() });
    let mut flat = Map::new();
    let Value::Object(served) = told(&text) else { return Value::Null };
    for (name, value) in served {
        match value {
            Value::Object(fields) if name == "StandardFields" => flat.extend(fields),
            // Too strange for a JSON library as a whole: then member by member.
            Value::String(fields) if name == "StandardFields" => {
                if let Value::Object(fields) = told(&fields) {
                    flat.extend(fields);
                }
            }
            value => drop(flat.insert(name, value)),
        }
    }
    flat.retain(|name, _| !NOISE.contains(&&**name));
    flat.entry(resource.key_field()).or_insert_with(|| key.into());
    unmasked(Value::Object(flat))
}

fn told(text: &str) -> Value {
    readable(&scrubbed(text))
}

fn members(view: &View<'_>, relation: &str) -> Vec<Value> {
    if CUSTOM.contains(&relation) {
        let Value::Array(trees) = told(&view.expansion(relation, &mut None)) else { return Vec::new() };
        return trees.into_iter().map(unmasked).collect();
    }
    let media = ["Photos", "Videos", "VirtualTours", "Documents", "FloPlans"];
    let (expansions, key_field): (&[&str], &str) = match relation {
        "Media" => (&media, "MediaKey"),
        "Room" => (&["Rooms"], "RoomKey"),
        "Unit" => (&["Units"], "UnitTypeKey"),
        _ => (&["OpenHouses"], "OpenHouseKey"),
    };
    let (mut all, mut read) = (Vec::new(), None);
    for expansion in expansions {
        let Value::Array(served) = told(&view.expansion(expansion, &mut read)) else { continue };
        for (n, member) in served.into_iter().enumerate() {
            let Value::Object(mut member) = member else { continue };
            let id = member.remove("Id").unwrap_or_default();
            member.retain(|name, _| !NOISE.contains(&&**name));
            member.insert(key_field.to_owned(), id);
            if relation == "Media" {
                member.insert("MediaCategory".to_owned(), category(expansion, &member).into());
                member.insert("Order".to_owned(), (n + 1).into());
            }
            all.push(unmasked(Value::Object(member)));
        }
    }
    all
}

fn category(expansion: &str, member: &Map<String, Value>) -> &'static str {
    match expansion {
        "Photos" => "Photo",
        "Videos" => "Video",
        "VirtualTours" if member.get("Type").is_some_and(|kind| kind == "branded") => "Branded Virtual Tour",
        "VirtualTours" => "Unbranded Virtual Tour",
        "Documents" => "Document",
        _ => "Floor Plan",
    }
}

fn unmasked(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) if text == HIDDEN => (format!("{name}@Core.Permissions"), "None".into()),
                value => (name, unmasked(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(elements) => elements.into_iter().map(unmasked).collect(),
        other => other,
    }
}
