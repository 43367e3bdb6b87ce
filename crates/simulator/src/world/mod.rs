//! The market that the simulator shows: what is there now, and what a stale cache still shows.
//!
//! Every entry keeps its live record and, for a while, the version before: an answer shows one of them, the
//! [truth](World::truth) is always the live one. The rule: whatever an edit does, `ModificationTimestamp`
//! comes from the simulator's clock, unless the edit is about a wrong stamp.

mod edits;
mod names;
mod people;
mod property;
mod record;
mod relations;
mod render;
mod schema;
mod spark;
mod truth;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) use self::spark::{Asked, Columns, LOCAL_SECONDS, View as SparkView, expansion, reso_name};
pub use self::{edits::PhotoChange, record::Resource};
pub(crate) use self::{
    record::{Ground, Record, pick},
    relations::RELATED,
    render::{Object, Style},
    schema::{Cell, Kind, Scene, Schema},
};
pub(crate) use self::{relations::write as write_relation, render::fields as write_fields, render::string};
use crate::clock::Clock;

/// What a listing looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of JSON of an average listing without expansions.
    pub listing_bytes: usize,
    /// Photos of an average listing.
    pub media_per_listing: u32,
    /// Photos of one listing in twelve.
    pub media_most: usize,
    /// Fields that are mostly hidden from the key's role.
    pub hidden_fields: usize,
    /// The longest name of a field that the MLS added itself.
    pub custom_name_bytes: usize,
    /// Whether whole numbers come as `4.0`.
    pub integers_as_floats: bool,
    /// Whether decimals come as `"18.00"`.
    pub decimals_as_strings: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            listing_bytes: 8_000,
            media_per_listing: 5,
            media_most: 12,
            hidden_fields: 40,
            custom_name_bytes: 48,
            integers_as_floats: false,
            decimals_as_strings: false,
        }
    }
}

impl Shape {
    /// As measured on a real feed: 51 KB a listing with everything expanded, 172 hidden fields, up to 88 media.
    pub fn measured() -> Self {
        Self {
            listing_bytes: 27_000,
            media_per_listing: 36,
            media_most: 88,
            hidden_fields: 185,
            custom_name_bytes: 93,
            integers_as_floats: true,
            decimals_as_strings: true,
        }
    }

    /// Small listings with few photos, for tests that want many of them quickly.
    pub fn small() -> Self {
        Self { listing_bytes: 3_000, media_per_listing: 2, media_most: 4, ..Self::default() }
    }
}

/// How many records of each kind there are at first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Census {
    pub(crate) listings: u64,
    pub(crate) members: u64,
    pub(crate) offices: u64,
    pub(crate) teams: u64,
    pub(crate) open_houses: u64,
}

/// A handle on the market; clones share it.
#[derive(Debug, Clone)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) ground: Ground,
    shelves: Vec<Shelf>,
    /// The open houses of a listing; one never moves to another.
    open_houses: HashMap<Box<str>, Vec<Box<str>>>,
    cache_window: i64,
    chance: fastrand::Rng,
    /// Whoever wants to hear of each change: the webhooks.
    ears: Vec<UnboundedSender<Changed>>,
}

/// What changed, came or went.
pub(crate) type Changed = (Resource, String);

/// The records of one resource, in the order of their keys' bytes.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) schema: Arc<Schema>,
    /// What the native surface makes of them, if it has them.
    pub(crate) columns: Option<Columns>,
    entries: BTreeMap<Box<str>, Entry>,
    next: u64,
}

#[derive(Debug, Default)]
struct Entry {
    live: Option<Record>,
    past: Option<Box<Past>>,
    out_of_role: bool,
}

/// The version before the last edit; shown until a moment that may have passed.
#[derive(Debug)]
struct Past {
    record: Option<Record>,
    until: i64,
}

impl World {
    pub(crate) fn new(seed: u64, shape: Shape, census: Census, cache_window: Duration, clock: Clock) -> Self {
        let birth = clock.seconds();
        let mut ground = Ground {
            seed,
            birth,
            shape,
            members: census.members,
            offices: census.offices,
            lookups: Vec::new(),
        };
        let schemas: Vec<Arc<Schema>> =
            Resource::ALL.iter().map(|resource| Schema::of(*resource, &ground)).collect();
        for field in schemas.iter().flat_map(|schema| &schema.fields) {
            let known = ground.lookups.iter().any(|(name, _)| *name == field.name);
            if matches!(field.kind, Kind::Choice | Kind::Choices) && !known {
                let values = names::values_of(&field.name);
                ground.lookups.extend(values.iter().map(|value| (field.name.clone(), *value)));
            }
        }
        let shelf = |schema: Arc<Schema>| Shelf {
            columns: Columns::of(&schema),
            schema,
            entries: BTreeMap::new(),
            next: 0,
        };
        let shelves = schemas.into_iter().map(shelf).collect();
        let mut inner = Inner {
            ground,
            shelves,
            open_houses: HashMap::new(),
            cache_window: i64::try_from(cache_window.as_secs()).unwrap_or(i64::MAX),
            chance: fastrand::Rng::with_seed(seed),
            ears: Vec::new(),
        };
        let lookups = inner.ground.lookups.len() as u64;
        for (resource, many) in [
            (Resource::Property, census.listings),
            (Resource::Member, census.members),
            (Resource::Office, census.offices),
            (Resource::Teams, census.teams),
            (Resource::Lookup, lookups),
        ] {
            for n in 0..many {
                let seed = if resource == Resource::Lookup { n } else { pick(seed, n ^ many << 32) };
                let modified = birth - 3_600 - record::below(pick(seed, 4), 300 * 86_400);
                let key = record::key(&inner.ground, resource, n);
                inner.put(resource, &key, Record::new(seed, modified));
            }
            inner.shelf_mut(resource).next = many;
        }
        let world = Self { inner: Arc::new(Mutex::new(inner)), clock };
        for _ in 0..census.open_houses {
            world.announce_open_house();
        }
        world
    }

    /// The clock that stamps every edit.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The keys that a complete list shows, in order; a stale cache changes nothing here.
    pub fn keys(&self, resource: Resource) -> Vec<String> {
        let now = self.clock.seconds();
        self.lock().true_records(resource, now).map(|(key, _)| key.to_owned()).collect()
    }

    /// The same keys, each with its `ModificationTimestamp` in seconds since 1970.
    pub fn stamps(&self, resource: Resource) -> Vec<(String, i64)> {
        let now = self.clock.seconds();
        let inner = self.lock();
        inner.true_records(resource, now).map(|(key, record)| (key.to_owned(), record.modified)).collect()
    }

    /// How many there are.
    pub fn count(&self, resource: Resource) -> usize {
        let now = self.clock.seconds();
        self.lock().true_records(resource, now).count()
    }

    /// A key that follows from the draw, without walking through all of them.
    pub(crate) fn any_key(&self, resource: Resource, draw: u64) -> Option<String> {
        let now = self.clock.seconds();
        let inner = self.lock();
        let Shelf { entries, next, .. } = inner.shelf(resource);
        let from = record::key(&inner.ground, resource, draw % (*next).max(1));
        let mut behind = entries.range::<str, _>((Bound::Included(&*from), Bound::Unbounded));
        let found = behind.find(|(_, entry)| entry.truth(now).is_some());
        let first = || entries.iter().find(|(_, entry)| entry.truth(now).is_some());
        found.or_else(first).map(|(key, _)| (**key).to_owned())
    }

    /// Hears of every change from now on.
    pub(crate) fn listen(&self) -> UnboundedReceiver<Changed> {
        let (ear, changes) = unbounded_channel();
        self.lock().ears.push(ear);
        changes
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(crate) fn shelf(&self, resource: Resource) -> &Shelf {
        &self.shelves[resource as usize]
    }

    fn shelf_mut(&mut self, resource: Resource) -> &mut Shelf {
        &mut self.shelves[resource as usize]
    }

    fn put(&mut self, resource: Resource, key: &str, record: Record) {
        let entry = Entry { live: Some(record), ..Entry::default() };
        self.shelf_mut(resource).entries.insert(key.into(), entry);
    }

    /// Tells of a change.
    fn tell(&mut self, resource: Resource, key: &str) {
        self.ears.retain(|ear| ear.send((resource, key.to_owned())).is_ok());
    }

    /// What answers show, from behind a key on; in the order of keys.
    pub(crate) fn shown_after<'a>(
        &'a self,
        resource: Resource,
        after: Option<&str>,
        now: i64,
    ) -> impl Iterator<Item = (&'a str, &'a Record)> + use<'a> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.shelf(resource).entries.range::<str, _>((from, Bound::Unbounded));
        range.filter_map(move |(key, entry)| Some((&**key, entry.shown(now)?)))
    }

    /// What an answer shows under one key.
    pub(crate) fn shown(&self, resource: Resource, key: &str, now: i64) -> Option<(&str, &Record)> {
        let (key, entry) = self.shelf(resource).entries.get_key_value(key)?;
        Some((key, entry.shown(now)?))
    }

    /// Whether there ever was such a record.
    pub(crate) fn holds(&self, resource: Resource, key: &str) -> bool {
        self.shelf(resource).entries.contains_key(key)
    }

    fn true_records(&self, resource: Resource, now: i64) -> impl Iterator<Item = (&str, &Record)> {
        let entries = self.shelf(resource).entries.iter();
        entries.filter_map(move |(key, entry)| Some((&**key, entry.truth(now)?)))
    }

    fn open_houses_of<'a>(
        &'a self,
        listing: &str,
        now: i64,
    ) -> impl Iterator<Item = (&'a str, &'a Record)> + use<'a> {
        let keys = self.open_houses.get(listing).into_iter().flatten();
        keys.filter_map(move |key| self.shown(Resource::OpenHouse, key, now))
    }
}

impl Entry {
    fn shown(&self, now: i64) -> Option<&Record> {
        match &self.past {
            Some(past) if past.until > now => past.record.as_ref(),
            _ => self.truth(now),
        }
    }

    fn truth(&self, now: i64) -> Option<&Record> {
        self.live.as_ref().filter(|record| !self.out_of_role && record.ends > now)
    }
}
