//! What a faithful copy of the market holds.
//!
//! Tests compare it with the database, so it leaves out what a copy must leave out (`@odata` noise, relations)
//! and replaces what Postgres' `jsonb` cannot hold by U+FFFD, as a copy must.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use super::{Inner, Object, Resource, Scene, Style, World, relations, render};

impl World {
    /// Key and body of every record, in the order of keys; no cache, no expansions.
    ///
    /// A value that no JSON library takes, such as `1e200000`, comes as a string with its text.
    pub fn truth(&self, resource: Resource) -> Vec<(String, Value)> {
        let now = self.clock().seconds();
        let inner = self.lock();
        let records = inner.true_records(resource, now);
        records.map(|(key, record)| (key.to_owned(), body(&inner, resource, key, record))).collect()
    }

    /// The body of one record, or `None` if the feed does not have it.
    pub fn record(&self, resource: Resource, key: &str) -> Option<Value> {
        let now = self.clock().seconds();
        let inner = self.lock();
        let record = inner.shelf(resource).entries.get(key)?.truth(now)?;
        Some(body(&inner, resource, key, record))
    }

    /// The body of one listing.
    pub fn listing(&self, key: &str) -> Option<Value> {
        self.record(Resource::Property, key)
    }

    /// The members of one relation of one record, in the order shown; empty if the record is gone.
    pub fn truth_relation(&self, resource: Resource, key: &str, relation: &str) -> Vec<Value> {
        let now = self.clock().seconds();
        let inner = self.lock();
        let record = inner.shelf(resource).entries.get(key).and_then(|entry| entry.truth(now));
        let Some(record) = record else { return Vec::new() };
        let mut text = String::new();
        let scene = Scene { key, record, ground: &inner.ground };
        relations::write(&mut text, &inner, resource, &scene, relation, &inner.plain(), now);
        let members: Vec<Box<RawValue>> = serde_json::from_str(&scrubbed(&text)).unwrap_or_default();
        members.iter().map(|member| readable(member.get())).collect()
    }
}

impl Inner {
    /// The shape's own way of writing, without addresses.
    fn plain(&self) -> Style {
        Style { integers_as_floats: self.ground.shape.integers_as_floats, ..Style::default() }
    }
}

fn body(inner: &Inner, resource: Resource, key: &str, record: &super::Record) -> Value {
    let style = inner.plain();
    let mut object = Object::new(&style);
    let scene = Scene { key, record, ground: &inner.ground };
    render::fields(&mut object, &inner.shelf(resource).schema, &scene, None);
    let mut text = String::new();
    object.close(&mut text);
    readable(&scrubbed(&text))
}

/// Parses what can be parsed, member by member if need be.
pub(super) fn readable(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| {
        let Ok(members) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text) else {
            return Value::from(text);
        };
        let values = members.into_iter().filter(|(name, _)| !name.starts_with("@odata."));
        Value::Object(
            values
                .map(|(name, raw)| {
                    let value = serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::from(raw.get()));
                    (name, value)
                })
                .collect::<Map<_, _>>(),
        )
    })
}

/// Replaces `\u0000` and lone surrogates by U+FFFD, in the text.
pub(super) fn scrubbed(text: &str) -> String {
    let unit = |at: usize| -> Option<u16> {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(escape, 16).ok()
    };
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        clean.push_str(&text[at..at + found]);
        at += found;
        let (length, legal) = match unit(at) {
            None => (2, true),
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => (12, true),
            Some(0 | 0xD800..=0xDFFF) => (6, false),
            Some(_) => (6, true),
        };
        let end = (at + length).min(text.len());
        clean.push_str(if legal { text.get(at..end).unwrap_or_default() } else { "\u{FFFD}" });
        at = end;
    }
    clean.push_str(&text[at..]);
    clean
}
