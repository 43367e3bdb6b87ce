//! A record as served, read once.
//!
//! One pass over the member names of a record finds its key, its stamps, the raw text of the typed columns,
//! the relations that came along, and the canonical hash. Nothing is copied but the key: a [`Record`] borrows
//! from its page. `serde_json` is the tokenizer, no value tree is ever built.
//!
//! Rule: equal content has an equal hash whatever host, version, key order or number spelling served it, and
//! the hash of a record equals the hash of its body as Postgres gives it back.

mod canonical;
mod members;
mod number;
mod scrub;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;

use serde_json::value::RawValue;

use crate::{Breakage, Fingerprint, MediaPart, RecordKey, Relation, Resource, Timestamp};

pub use canonical::{HASH_RECIPE, Hash};
pub use number::normalise as normalise_number;
pub use scrub::scrub_in_place;

pub use members::{Elements, Members};

/// A listing with a hundred photos has some hundred kilobytes.
const LARGEST: usize = 16_000_000;

/// What is kept of a rejected record: it is for people.
const MOST_SHOWN: usize = 1_000_000;

/// Annotates a record whose `Media` lacks parts that were asked for: a list of their names.
pub const ABSENT_PARTS: &str = "Media@Spark.Absent";

/// Annotates a record whose `Media` was asked for without these parts.
pub const OMITTED_PARTS: &str = "Media@Spark.Omitted";

/// What to look for in the records of one resource, and what to leave out. Made once per resource.
#[derive(Debug, Clone)]
pub struct Shape {
    resource: Resource,
    columns: HashMap<&'static str, usize>,
    /// Further names of the same fields; the field's own wins.
    others: HashMap<&'static str, usize>,
    column_count: usize,
    excluded: BTreeSet<String>,
}

/// A record, borrowed from its page.
#[derive(Debug, Clone)]
pub struct Record<'p> {
    /// Its identity within feed and resource.
    pub key: RecordKey,
    /// `ModificationTimestamp`, if it is there and a timestamp.
    pub modified_at: Option<Timestamp>,
    /// The content, canonically.
    pub hash: Hash,
    /// For which state of the record its media would be fetched.
    pub fingerprint: Fingerprint,
    /// The raw JSON of the typed columns, by their place in the list that [`Shape::new`] got.
    pub columns: Vec<Option<&'p str>>,
    /// The relations that are present in the record; an absent one is not an empty one.
    pub relations: Vec<RelationSet<'p>>,
    raw: &'p str,
}

/// The members of one relation of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationSet<'p> {
    /// Which relation.
    pub relation: Relation,
    /// Its members in the order given.
    pub members: Vec<RelationMember<'p>>,
    /// The set goes on behind a link of its own: what is here is only a part.
    pub incomplete: bool,
    /// Parts that were asked for and did not come: the set says nothing of them.
    pub absent: Vec<MediaPart>,
    /// Parts that were not asked for: nor of these.
    pub omitted: Vec<MediaPart>,
}

/// One photo, room, unit and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationMember<'p> {
    /// The member's key, or its ordinal where it has none.
    pub key: String,
    /// Its own ModificationTimestamp; most kinds have none.
    pub modified_at: Option<Timestamp>,
    /// The content, canonically.
    pub hash: Hash,
    category: Option<Category>,
    raw: &'p str,
}

/// What `MediaCategory` says of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Photo,
    Other,
}

/// A record that cannot be taken in, though it is JSON: it goes to quarantine, and its page lands without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its key, if that much could be read.
    pub key: Option<RecordKey>,
    /// What is wrong, in words.
    pub reason: RejectReason,
    /// The record as served, or the beginning of a long one.
    pub raw: String,
}

/// Why a record cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// The element of `value` is no object.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// The key field is absent, null, not a string, or no possible key.
    #[error("field {field} holds no usable key: {found}")]
    NoKey {
        /// The resource's key field.
        field: &'static str,
        /// What stood there.
        found: String,
    },
    /// Objects or arrays lie deeper than any real record's.
    #[error("the record nests deeper than {limit} levels")]
    TooDeep {
        /// The deepest level that is read.
        limit: usize,
    },
    /// Larger than any real record, and than what the rest of the way has memory for.
    #[error("the record has {bytes} bytes, more than {limit}")]
    TooBig {
        /// Its size as served.
        bytes: usize,
        /// The largest size that is read.
        limit: usize,
    },
    /// The tokenizer stumbles inside the record.
    #[error("the record is not readable: {0}")]
    Unreadable(String),
}

impl Shape {
    /// The shape of a resource's records: `columns` are the field names of its typed columns, `excluded` the
    /// fields that are dropped before hashing and never stored.
    pub fn new(resource: Resource, columns: &[&'static str], excluded: BTreeSet<String>) -> Self {
        let by_name = columns.iter().enumerate().map(|(slot, name)| (*name, slot)).collect();
        Self { resource, columns: by_name, others: HashMap::new(), column_count: columns.len(), excluded }
    }

    /// The same, with other names for some of its columns' fields: `(name, field)`.
    #[must_use]
    pub fn or_named(mut self, names: &[(&'static str, &'static str)]) -> Self {
        let slot = |(name, field): &(&'static str, &'static str)| Some((*name, *self.columns.get(field)?));
        self.others = names.iter().filter_map(slot).collect();
        // Whoever excludes a field by RESO's name means it under any.
        let meant = names.iter().filter(|(_, field)| self.excluded.contains(*field));
        let meant: Vec<String> = meant.map(|(name, _)| (*name).to_owned()).collect();
        self.excluded.extend(meant);
        self
    }

    /// The resource whose records have this shape.
    pub const fn resource(&self) -> Resource {
        self.resource
    }

    /// The record for people, without what is excluded; of what cannot be read nothing could be left out.
    fn shown(&self, raw: &str) -> String {
        let begin = |text: &str| text[..text.floor_char_boundary(MOST_SHOWN)].to_owned();
        if self.excluded.is_empty() {
            return begin(raw);
        }
        match Members::read(raw) {
            Ok(members) => begin(&members.to_json(|name| !self.excluded.contains(base_name(name)))),
            Err(_) => "it is not kept: fields are excluded, and it cannot be told where they are".to_owned(),
        }
    }

    /// Whether a member is part of the record's own content: no `@odata.*` noise, no relation, not excluded.
    fn keeps(&self, name: &str) -> bool {
        !is_noise(name) && relation_named(name).is_none() && !self.excluded.contains(base_name(name))
    }
}

/// Reads one record.
pub fn read<'p>(raw: &'p str, shape: &Shape) -> Result<Record<'p>, Rejected> {
    let rejected = |key, reason| Rejected { key, reason, raw: shape.shown(raw) };
    let members = Members::read(raw).map_err(|reason| rejected(None, reason))?;

    let mut columns = vec![None; shape.column_count];
    let mut elsewhere = Vec::new();
    let mut relations: Vec<RelationSet<'p>> = Vec::new();
    let mut partial: Vec<Relation> = Vec::new();
    let (mut absent, mut omitted) = (Vec::new(), Vec::new());
    let mut fingerprint = Fingerprint::collector();
    let (mut key_text, mut modified_at, mut broken) = (None, None, None);
    for (name, value) in members.iter() {
        let name = name.as_ref();
        if let Some(relation) = relation_named(name) {
            if name.len() == relation.as_str().len() {
                relations.retain(|set| set.relation != relation);
                match read_relation(relation, value.get()) {
                    Ok(set) => relations.extend(set),
                    // Judged once the key is known: a rejection without a key could never be released.
                    Err(reason) => broken = broken.or(Some(reason)),
                }
            } else if name.ends_with("@odata.nextLink") {
                partial.push(relation);
            } else if name == ABSENT_PARTS {
                absent = parts(value.get());
            } else if name == OMITTED_PARTS {
                omitted = parts(value.get());
            }
            continue;
        }
        if name == shape.resource.key_field() {
            key_text = Some(value.get());
        } else if name == "ModificationTimestamp" {
            modified_at = timestamp(value.get());
        }
        if shape.excluded.contains(base_name(name)) {
            // Never stored, in a column of its own no more than in the body.
        } else if let Some(slot) = shape.columns.get(name) {
            columns[*slot] = Some(value.get()).filter(|text| *text != "null");
        } else if let Some(slot) = shape.others.get(name) {
            elsewhere.push((*slot, value.get()));
        }
        fingerprint.see(name, value.get());
    }

    for (slot, value) in elsewhere.into_iter().filter(|(_, value)| *value != "null") {
        columns[slot] = columns[slot].or(Some(value));
    }
    let key = key_text.and_then(string).and_then(|text| RecordKey::new(&text).ok()).ok_or_else(|| {
        let field = shape.resource.key_field();
        let found = key_text.map_or("the field is absent".to_owned(), in_short);
        rejected(None, RejectReason::NoKey { field, found })
    })?;
    if raw.len() > LARGEST {
        return Err(rejected(Some(key), RejectReason::TooBig { bytes: raw.len(), limit: LARGEST }));
    }
    if let Some(reason) = broken {
        return Err(rejected(Some(key), reason));
    }
    let hash = match canonical::hash(&members, |name| shape.keeps(name)) {
        Ok(_) if Breakage::RawHash.is_on() => Hash::of_document(raw),
        Ok(hash) => hash,
        Err(reason) => return Err(rejected(Some(key), reason)),
    };
    for set in &mut relations {
        set.incomplete = partial.contains(&set.relation);
        if set.relation == Relation::Media {
            (set.absent, set.omitted) = (mem::take(&mut absent), mem::take(&mut omitted));
        }
    }
    let by_stamps = shape.resource == Resource::Property;
    let fingerprint = fingerprint.finish(modified_at, by_stamps);
    Ok(Record { key, modified_at, hash, fingerprint, columns, relations, raw })
}

impl Record<'_> {
    /// The record as it is stored: without relations, `@odata.*` noise and excluded fields, with
    /// `@Core.Permissions`, because hidden is not null.
    pub fn body(&self, shape: &Shape) -> String {
        Members::read(self.raw).map_or_else(|_| self.raw.to_owned(), |m| m.to_json(|name| shape.keeps(name)))
    }

    /// The record as served.
    pub const fn raw(&self) -> &str {
        self.raw
    }

    /// The record for the quarantine: as served, but for what is excluded.
    pub fn shown(&self, shape: &Shape) -> String {
        shape.shown(self.raw)
    }

    /// The set of a relation, if it came along.
    pub fn relation(&self, relation: Relation) -> Option<&RelationSet<'_>> {
        self.relations.iter().find(|set| set.relation == relation)
    }
}

impl RelationSet<'_> {
    /// Whether nothing follows from the set for members of this part: neither what they are, nor that they are gone.
    pub fn says_nothing_of(&self, part: MediaPart) -> bool {
        self.absent.contains(&part) || self.omitted.contains(&part)
    }
}

impl RelationMember<'_> {
    /// Whether `MediaCategory` is Photo.
    pub fn is_photo(&self) -> bool {
        self.category == Some(Category::Photo)
    }

    /// Whether it says a category at all.
    pub const fn has_category(&self) -> bool {
        self.category.is_some()
    }

    /// The member as it is stored.
    pub fn body(&self) -> String {
        Members::read(self.raw).map_or_else(|_| self.raw.to_owned(), |m| m.to_json(|name| !is_noise(name)))
    }
}

/// An expansion's value: an array of objects, or one object where a server does not wrap it. `null` is an
/// absent expansion, since an empty one is `[]`.
fn read_relation(relation: Relation, text: &str) -> Result<Option<RelationSet<'_>>, RejectReason> {
    let elements: Vec<&RawValue> = match text.as_bytes().first() {
        Some(b'[') => Elements::read(text)?.0,
        Some(b'{') => serde_json::from_str::<&RawValue>(text).into_iter().collect(),
        _ => return Ok(None),
    };
    let mut members: Vec<RelationMember<'_>> = Vec::with_capacity(elements.len());
    for (ordinal, element) in elements.into_iter().enumerate() {
        let fields = Members::read(element.get())?;
        let hash = canonical::hash(&fields, |name| !is_noise(name))?;
        let named = |field: &str| fields.iter().rev().find(|(name, _)| name.as_ref() == field);
        let key = named(relation.key_field())
            .and_then(|(_, value)| scalar_text(value.get()))
            .unwrap_or_else(|| ordinal.to_string());
        let modified_at = named("ModificationTimestamp").and_then(|(_, value)| timestamp(value.get()));
        let category = named("MediaCategory")
            .and_then(|(_, value)| string(value.get()))
            .map(|text| if text == "Photo" { Category::Photo } else { Category::Other });
        members.push(RelationMember { key, modified_at, hash, category, raw: element.get() });
    }
    let members = last_of_each_key(members);
    Ok(Some(RelationSet { relation, members, incomplete: false, absent: Vec::new(), omitted: Vec::new() }))
}

/// The names in an annotation about parts.
fn parts(text: &str) -> Vec<MediaPart> {
    let names: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Two members of one key would break the set's primary key; the last one wins, as in an object.
fn last_of_each_key(mut members: Vec<RelationMember<'_>>) -> Vec<RelationMember<'_>> {
    let last: HashMap<&str, usize> =
        members.iter().enumerate().map(|(at, member)| (member.key.as_str(), at)).collect();
    if last.len() < members.len() {
        let kept: HashSet<usize> = last.into_values().collect();
        let mut at = 0..;
        members.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
    }
    members
}

/// The relation that a member name is, or annotates.
fn relation_named(name: &str) -> Option<Relation> {
    let base = base_name(name);
    Relation::ALL.into_iter().find(|relation| relation.as_str() == base)
}

/// The field that an annotation (`Field@Core.Permissions`) belongs to.
fn base_name(name: &str) -> &str {
    name.split_once('@').map_or(name, |(base, _)| base)
}

/// `@odata.id`, `Media@odata.nextLink`: says where, not what.
fn is_noise(name: &str) -> bool {
    memchr::memchr(b'@', name.as_bytes()).is_some_and(|at| name[at..].starts_with("@odata."))
}

/// The beginning of a raw value, in one line: the feed may have spread it over many.
fn in_short(raw: &str) -> String {
    raw.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text of a JSON string.
pub(crate) fn string(raw: &str) -> Option<String> {
    raw.starts_with('"').then(|| serde_json::from_str(raw).ok()).flatten()
}

fn scalar_text(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => string(raw).filter(|text| !text.is_empty() && text.len() <= 512 && !text.contains('\0')),
        // As people write it: `4300` is not `43e2`.
        b'0'..=b'9' if raw.bytes().all(|digit| digit.is_ascii_digit()) && raw.len() <= 512 => {
            Some(raw.to_owned())
        }
        b'0'..=b'9' | b'-' => normalise_number(raw).map(|number| number.to_string()),
        _ => None,
    }
}

/// A timestamp with an offset (RFC 3339). One without is no moment: it would depend on who reads it.
pub(crate) fn timestamp(raw: &str) -> Option<Timestamp> {
    let text = string(raw)?;
    chrono::DateTime::parse_from_rfc3339(&text).ok().map(|t| t.with_timezone(&chrono::Utc))
}
