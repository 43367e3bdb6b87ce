//! What happens on a market, and what goes wrong with its stamps.
//!
//! All edits are synchronous and whole: an answer shows the market before or after one, never in between.
//! Each returns whether the record was there.

use serde_json::Value;

use super::{
    Inner, Past, World, property,
    record::{Planted, Record, Resource, key, pick},
    schema::Scene,
};
use crate::clock;

/// What happens to the photos of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoChange {
    /// One more at the end.
    Add,
    /// One less, the first.
    Remove,
    /// As many as before, but all new.
    Replace,
    /// The same ones in another order.
    Reverse,
}

impl World {
    /// A new listing, entered now.
    pub fn insert_listing(&self) -> String {
        self.insert(Resource::Property)
    }

    /// A new record of any resource, entered now. Open houses: see [`World::announce_open_house`].
    pub fn insert(&self, resource: Resource) -> String {
        let now = self.clock().seconds();
        let mut inner = self.lock();
        let n = inner.shelf(resource).next;
        inner.shelf_mut(resource).next += 1;
        let seed = if resource == Resource::Lookup { n } else { pick(inner.ground.seed, n ^ 0x5EED << 40) };
        let key = key(&inner.ground, resource, n);
        let mut record = Record::new(seed, now);
        (record.entered, record.first_life) = (now, 1);
        inner.add(resource, &key, record, now);
        key
    }

    /// Sets a field and stamps the record.
    pub fn edit(&self, resource: Resource, key: &str, field: &str, value: impl Into<Value>) -> bool {
        let value = value.into();
        self.change(resource, key, |record, _| plant(record, field, &value))
    }

    /// Sets a field to JSON that need not be legal, and stamps the record.
    pub fn set_raw_field(&self, resource: Resource, key: &str, field: &str, json: &str) -> bool {
        self.change(resource, key, |record, _| {
            record.plant(field, Planted::Raw(json.into()));
        })
    }

    /// Hides a field: only `"<field>@Core.Permissions": "None"` is left.
    pub fn hide_field(&self, resource: Resource, key: &str, field: &str) -> bool {
        self.change(resource, key, |record, _| record.plant(field, Planted::Hidden))
    }

    /// Leaves a field out altogether.
    pub fn leave_out_field(&self, resource: Resource, key: &str, field: &str) -> bool {
        self.change(resource, key, |record, _| record.plant(field, Planted::Absent))
    }

    /// Replaces a whole relation, and stamps the record.
    pub fn set_relation(&self, resource: Resource, key: &str, relation: &str, members: &[Value]) -> bool {
        let json = Value::from(members.to_vec()).to_string();
        self.set_raw_field(resource, key, relation, &json)
    }

    /// A new price, with its stamp.
    pub fn set_price(&self, key: &str, price: f64) -> bool {
        self.change(Resource::Property, key, |record, now| {
            record.plant("ListPrice", Planted::Raw(format!("{price:?}").into()));
            plant_stamp(record, "PriceChangeTimestamp", now);
            plant_stamp(record, "MajorChangeTimestamp", now);
        })
    }

    /// A new status, with its stamps; `Closed` also closes.
    pub fn set_status(&self, key: &str, status: &str) -> bool {
        self.change(Resource::Property, key, |record, now| {
            for field in ["StandardStatus", "MlsStatus"] {
                plant(record, field, &status.into());
            }
            for field in ["StatusChangeTimestamp", "MajorChangeTimestamp"] {
                plant_stamp(record, field, now);
            }
            if status == "Closed" {
                plant(record, "CloseDate", &clock::date(now).into());
                plant_stamp(record, "OffMarketTimestamp", now);
            }
        })
    }

    /// Other photos, with `PhotosCount` and `PhotosChangeTimestamp`.
    pub fn change_photos(&self, key: &str, how: PhotoChange) -> bool {
        let shape = self.lock().ground.shape;
        self.change(Resource::Property, key, |record, now| {
            let mut photos = record.photos(&shape);
            let next = photos.iter().max().map_or(0, |most| most + 1);
            match how {
                PhotoChange::Add => photos.push(next),
                PhotoChange::Remove if photos.is_empty() => {}
                PhotoChange::Remove => drop(photos.remove(0)),
                PhotoChange::Replace => photos.iter_mut().for_each(|photo| *photo += next),
                PhotoChange::Reverse => photos.reverse(),
            }
            record.photos = Some(photos.into());
            plant_stamp(record, "PhotosChangeTimestamp", now);
        })
    }

    /// Another virtual tour, or none. No stamp of media moves with it: there is none for tours.
    pub fn change_tour(&self, key: &str, url: Option<&str>) -> bool {
        self.change(Resource::Property, key, |record, _| {
            plant(record, "VirtualTourURLUnbranded", &url.into());
        })
    }

    /// Takes a record off the feed without a trace.
    pub fn remove(&self, resource: Resource, key: &str) -> bool {
        let now = self.clock().seconds();
        let mut inner = self.lock();
        let until = inner.shown_until(now);
        let entry = inner.shelf_mut(resource).entries.get_mut(key);
        let Some(entry) = entry.filter(|entry| entry.live.is_some()) else {
            return false;
        };
        let before = entry.live.take();
        entry.keep(before, until, now);
        inner.tell(resource, key);
        true
    }

    /// The same home under a new key; the old listing is gone.
    pub fn relist(&self, key: &str) -> Option<String> {
        let old = self.lock().live(Resource::Property, key)?.clone();
        let new = self.insert_listing();
        let now = self.clock().seconds();
        let mut inner = self.lock();
        if let Some(record) = inner.live_mut(Resource::Property, &new) {
            *record = Record {
                entered: now,
                first_life: 1,
                modified: now,
                photos: old.photos,
                ..Record::new(old.seed, now)
            };
        }
        drop(inner);
        self.remove(Resource::Property, key);
        Some(new)
    }

    /// Shows an older version: other content under a smaller `ModificationTimestamp`.
    pub fn rewind(&self, key: &str) -> bool {
        self.change_with(Resource::Property, key, |record, _| {
            record.modified -= 3_600;
            plant(record, "PublicRemarks", &"As it was an hour before.".into());
        })
    }

    /// Changes a record now, but stamps it with that moment: what replication lag looks like.
    ///
    /// A held back record, or one out of the role, becomes visible by it.
    pub fn surface_late(&self, key: &str, modified: chrono::DateTime<chrono::Utc>) -> bool {
        let done = self.change_with(Resource::Property, key, |record, _| {
            record.modified = modified.timestamp();
            plant(record, "PublicRemarks", &format!("Entered late, at {}.", record.modified).into());
        });
        self.enter_role(Resource::Property, key);
        self.release(Resource::Property, key);
        done
    }

    /// Gives every record of a resource a new stamp and no new content.
    pub fn mass_restamp(&self, resource: Resource) {
        for key in self.keys(resource) {
            self.change(resource, &key, |_, _| {});
        }
    }

    /// Takes a record out of what the key's role may see; nothing tells.
    pub fn leave_role(&self, resource: Resource, key: &str) -> bool {
        self.lock().set_role(resource, key, true)
    }

    /// Brings a record back into the role, under its old stamp.
    pub fn enter_role(&self, resource: Resource, key: &str) -> bool {
        self.lock().set_role(resource, key, false)
    }

    /// Shows the version before the last edit until that moment; a removed record is shown again, a new one
    /// hidden again.
    pub fn serve_stale(&self, resource: Resource, key: &str, until: chrono::DateTime<chrono::Utc>) -> bool {
        let mut inner = self.lock();
        let entry = inner.shelf_mut(resource).entries.get_mut(key);
        let Some(past) = entry.and_then(|entry| entry.past.as_mut()) else {
            return false;
        };
        past.until = until.timestamp();
        true
    }

    /// Shows the version of now until that moment, whatever is edited meanwhile.
    pub fn freeze(&self, resource: Resource, key: &str, until: chrono::DateTime<chrono::Utc>) -> bool {
        let now = self.clock().seconds();
        let mut inner = self.lock();
        let Some(entry) = inner.shelf_mut(resource).entries.get_mut(key) else {
            return false;
        };
        let record = entry.shown(now).cloned();
        entry.past = Some(Box::new(Past { record, until: until.timestamp() }));
        true
    }

    /// Hides a record until it is [released](World::release), without touching it.
    pub fn hold_back(&self, resource: Resource, key: &str) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.shelf_mut(resource).entries.get_mut(key) else {
            return false;
        };
        entry.past = Some(Box::new(Past { record: None, until: i64::MAX }));
        true
    }

    /// Ends whatever staleness a record has.
    pub fn release(&self, resource: Resource, key: &str) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.shelf_mut(resource).entries.get_mut(key) else {
            return false;
        };
        if let Some(past) = &mut entry.past {
            past.until = i64::MIN;
        }
        true
    }

    /// An open house within the next two weeks, at some listing.
    pub fn announce_open_house(&self) -> Option<String> {
        let now = self.clock().seconds();
        let mut inner = self.lock();
        let listings = inner.shelf(Resource::Property).next;
        // A few draws find a listing that is still there, unless there are hardly any.
        let listing = (0..50).find_map(|_| {
            let n = inner.chance.u64(..listings.max(1));
            let key = key(&inner.ground, Resource::Property, n);
            inner.live(Resource::Property, &key).is_some().then_some(key)
        })?;
        let start = now - now % 3_600 + 3_600 * inner.chance.i64(2..330);
        drop(inner);
        Some(self.open_house_add(&listing, start, start + 7_200))
    }

    /// An open house at a listing, between two moments in seconds since 1970.
    pub fn open_house_add(&self, listing: &str, start: i64, end: i64) -> String {
        let now = self.clock().seconds();
        let mut inner = self.lock();
        let n = inner.shelf(Resource::OpenHouse).next;
        inner.shelf_mut(Resource::OpenHouse).next += 1;
        let key = key(&inner.ground, Resource::OpenHouse, n);
        let mut record = Record { ends: end, ..Record::new(pick(inner.ground.seed, n ^ 0x0A << 40), now) };
        plant(&mut record, "ListingKey", &listing.into());
        plant_stamp(&mut record, "OpenHouseStartTime", start);
        plant_stamp(&mut record, "OpenHouseEndTime", end);
        inner.add(Resource::OpenHouse, &key, record, now);
        inner.open_houses.entry(listing.into()).or_default().push(key.clone().into());
        key
    }

    /// Lets an open house be over: it leaves the feed by itself.
    pub fn open_house_end(&self, key: &str) -> bool {
        let now = self.clock().seconds();
        self.change_with(Resource::OpenHouse, key, |record, _| {
            plant_stamp(record, "OpenHouseEndTime", now - 1);
            record.ends = now;
        })
    }

    /// The photos that `Media` will show, for a look at one listing.
    pub fn photo_count(&self, key: &str) -> Option<usize> {
        let inner = self.lock();
        Some(inner.live(Resource::Property, key)?.photos(&inner.ground.shape).len())
    }

    /// The price and status of a listing.
    pub fn price_and_status(&self, key: &str) -> Option<(f64, String)> {
        let inner = self.lock();
        let record = inner.live(Resource::Property, key)?;
        let scene = Scene { key, record, ground: &inner.ground };
        Some((property::price(&scene), property::status(&scene).to_owned()))
    }

    fn change(&self, resource: Resource, key: &str, edit: impl FnOnce(&mut Record, i64)) -> bool {
        self.change_with(resource, key, |record, now| {
            record.modified = now;
            edit(record, now);
        })
    }

    fn change_with(&self, resource: Resource, key: &str, edit: impl FnOnce(&mut Record, i64)) -> bool {
        let now = self.clock().seconds();
        let mut inner = self.lock();
        let until = inner.shown_until(now);
        let Some(entry) = inner.shelf_mut(resource).entries.get_mut(key) else {
            return false;
        };
        let Some(record) = &mut entry.live else {
            return false;
        };
        let before = record.clone();
        edit(record, now);
        entry.keep(Some(before), until, now);
        inner.tell(resource, key);
        true
    }
}

impl Inner {
    fn live(&self, resource: Resource, key: &str) -> Option<&Record> {
        self.shelf(resource).entries.get(key)?.live.as_ref()
    }

    fn live_mut(&mut self, resource: Resource, key: &str) -> Option<&mut Record> {
        self.shelf_mut(resource).entries.get_mut(key)?.live.as_mut()
    }

    fn add(&mut self, resource: Resource, key: &str, record: Record, now: i64) {
        let until = self.shown_until(now);
        let entry = self.shelf_mut(resource).entries.entry(key.into()).or_default();
        let before = entry.live.replace(record);
        entry.keep(before, until, now);
        self.tell(resource, key);
    }

    fn set_role(&mut self, resource: Resource, key: &str, out: bool) -> bool {
        let entry = self.shelf_mut(resource).entries.get_mut(key);
        entry.map(|entry| entry.out_of_role = out).is_some()
    }

    /// Until when the cache shows the version before an edit of now.
    fn shown_until(&mut self, now: i64) -> i64 {
        if self.cache_window == 0 { i64::MIN } else { now + self.chance.i64(0..=self.cache_window) }
    }
}

impl super::Entry {
    /// Remembers the version before an edit, unless an even older one is still shown.
    fn keep(&mut self, before: Option<Record>, until: i64, now: i64) {
        if self.past.as_ref().is_none_or(|past| past.until <= now) {
            self.past = Some(Box::new(Past { record: before, until }));
        }
    }
}

fn plant(record: &mut Record, field: &str, value: &Value) {
    record.plant(field, Planted::Raw(value.to_string().into()));
}

fn plant_stamp(record: &mut Record, field: &str, seconds: i64) {
    plant(record, field, &clock::stamp(seconds).into());
}
