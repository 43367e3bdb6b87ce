//! A record that is asked for by key, put together from wherever it and its relations were shown.

use std::collections::HashMap;

use serde_json::value::{RawValue, to_raw_value};

use super::{
    question::Wanted,
    recording::{Object, Sighting},
};

/// The records of exchanges, by their keys.
pub(super) type Pages = HashMap<usize, HashMap<String, Box<RawValue>>>;

/// Where a record is found, and where those of its relations that did not come along with it.
pub(super) struct View<'a> {
    pub(super) key: &'a str,
    pub(super) record: &'a Sighting,
    relations: Vec<(String, usize)>,
}

impl<'a> View<'a> {
    /// Where it is from that exchange on, or was last; none if it was never shown with all that is wanted.
    pub(super) fn find(
        key: &'a str,
        sightings: &'a [Sighting],
        next: usize,
        wanted: &Wanted,
    ) -> Option<Self> {
        let state = next_or_last(sightings, next, |seen| seen.by_key);
        if let Some(gone) = state.filter(|state| !state.is_there) {
            return Some(Self { key, record: gone, relations: Vec::new() });
        }
        let fits = |seen: &Sighting| seen.is_there && seen.wanted.has_fields_of(wanted);
        // Of lists the last: its reader may have seen it, and what is too new does no harm.
        let mut record = next_or_last(sightings, next, |seen| seen.by_key && fits(seen))
            .or_else(|| sightings.iter().rev().find(|seen| fits(seen)))?;
        loop {
            let elsewhere = wanted.relations.difference(&record.wanted.relations);
            let relations: Vec<(String, usize)> = elsewhere
                .map(|relation| {
                    let brings = |seen: &Sighting| seen.is_there && seen.wanted.relations.contains(relation);
                    Some((relation.clone(), next_or_last(sightings, record.exchange, brings)?.exchange))
                })
                .collect::<Option<_>>()?;
            let first = relations.iter().map(|(_, exchange)| *exchange).min();
            let Some(first) = first.filter(|first| *first < record.exchange) else {
                return Some(Self { key, record, relations });
            };
            // Under a newer stamp an older set of photos would pass for the new one: then rather an older record.
            let behind = sightings.partition_point(|seen| seen.exchange <= first);
            record = sightings[..behind].iter().rev().find(|seen| fits(seen))?;
        }
    }

    /// The exchanges that are to be read.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = usize> {
        let record = self.record.is_there.then_some(self.record.exchange);
        record.into_iter().chain(self.relations.iter().map(|(_, exchange)| *exchange))
    }

    /// The record with the relations that are wanted, and no others; none if it was not there.
    pub(super) fn record(&self, pages: &Pages, wanted: &Wanted) -> Option<serde_json::Result<Box<RawValue>>> {
        let shown = |exchange: usize| pages.get(&exchange)?.get(self.key);
        let record = self.exchanges().next().and_then(shown)?;
        if self.record.wanted.relations == wanted.relations {
            return Some(Ok(record.clone()));
        }
        let arranged = || {
            let mut members = Members::of(record)?;
            members.retain(|name| {
                wanted.relations.contains(name) || !self.record.wanted.relations.contains(name)
            });
            for (relation, exchange) in &self.relations {
                if let Some(other) = shown(*exchange) {
                    members.take(relation, Members::of(other)?);
                }
            }
            members.into_raw()
        };
        Some(arranged())
    }
}

/// The first that fits from that exchange on, or the last before it.
fn next_or_last(sightings: &[Sighting], from: usize, fits: impl Fn(&Sighting) -> bool) -> Option<&Sighting> {
    let (before, after) = sightings.split_at(sightings.partition_point(|seen| seen.exchange < from));
    after.iter().find(|seen| fits(seen)).or_else(|| before.iter().rev().find(|seen| fits(seen)))
}

/// A record's members; natively most of them, and nearly all relations, stand one level deeper.
struct Members {
    outer: Object,
    standard: Option<Object>,
}

/// Where Spark keeps the members of a record.
const STANDARD: &str = "StandardFields";

impl Members {
    fn of(record: &RawValue) -> serde_json::Result<Self> {
        let mut outer: Object = serde_json::from_str(record.get())?;
        let standard = match outer.get(STANDARD).map(|fields| fields.get()) {
            Some(fields) if fields.starts_with('{') => Some(serde_json::from_str(fields)?),
            // Nothing, or nothing that has members: it stays as it is.
            _ => None,
        };
        if standard.is_some() {
            outer.remove(STANDARD);
        }
        Ok(Self { outer, standard })
    }

    fn objects(&mut self) -> impl Iterator<Item = &mut Object> {
        [&mut self.outer].into_iter().chain(&mut self.standard)
    }

    /// Keeps members by their names; what is said of a member goes where it goes.
    fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.objects().for_each(|members| members.retain(|name, _| keeps(about(name))));
    }

    /// Takes over a relation, wherever it stands.
    fn take(&mut self, relation: &str, from: Self) {
        let of_it = |members: Object| members.into_iter().filter(|(name, _)| about(name) == relation);
        self.outer.extend(of_it(from.outer));
        let mut deeper = from.standard.into_iter().flat_map(of_it).peekable();
        if deeper.peek().is_some() {
            self.standard.get_or_insert_default().extend(deeper);
        }
    }

    fn into_raw(mut self) -> serde_json::Result<Box<RawValue>> {
        if let Some(standard) = &self.standard {
            self.outer.insert(STANDARD.to_owned(), to_raw_value(standard)?);
        }
        to_raw_value(&self.outer)
    }
}

/// Which member a name is about: `Media@odata.count` is about `Media`.
fn about(name: &str) -> &str {
    name.split('@').next().unwrap_or_default()
}
