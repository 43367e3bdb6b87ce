//! For which state of a record its media was fetched, or should be.
//!
//! Media has no stamp of its own. The guide names Photos-, Videos- and DocumentsChangeTimestamp (FloorPlans-
//! came later) as the way to tell whether it must be fetched again; counts and the addresses of virtual tours,
//! which have no stamp at all, are taken in too. A stamp that is hidden or null says nothing. Where none is
//! visible, where there are media of a kind whose stamp is not, or tours whose addresses are not (the native API
//! shows their number alone), and for everything but a listing, ModificationTimestamp serves.

use std::fmt;

use crate::Timestamp;
use crate::record::{normalise_number, timestamp};

const FIELDS: usize = 12;

/// The fields that a media answer is asked for beside its key, so that its own state can be told.
pub const FINGERPRINT_FIELDS: [&str; FIELDS] = [
    "ModificationTimestamp",
    "PhotosChangeTimestamp",
    "VideosChangeTimestamp",
    "DocumentsChangeTimestamp",
    "FloorPlansChangeTimestamp",
    "PhotosCount",
    "VideosCount",
    "DocumentsCount",
    "VirtualTourURLBranded",
    "VirtualTourURLUnbranded",
    "VirtualToursCount",
    "FloorPlansCount",
];

const STAMPS: std::ops::Range<usize> = 1..5;
const PHOTOS_COUNT: usize = 5;
/// Where the numbers of photos, videos, documents and floor plans stand, and their stamps.
const STAMPED: [(usize, usize); 4] = [(PHOTOS_COUNT, 1), (6, 2), (7, 3), (11, 4)];
const TOUR_ADDRESSES: std::ops::Range<usize> = 8..10;
const TOURS_COUNT: usize = 10;
const LETTERS: [char; FIELDS] = ['m', 'p', 'v', 'd', 'f', 'P', 'V', 'D', 'b', 'u', 't', 'F'];

/// A state of a record, as far as its relations are concerned. Kept as text, readable by people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Equal states have equal text.
    pub text: String,
    /// The newest stamp in it: which of two states is the older one.
    pub newest: Option<Timestamp>,
    /// `PhotosCount`, if visible: fewer photos than this are not yet all.
    pub photos: Option<u32>,
}

impl Fingerprint {
    /// The state that relations without stamps of their own depend on.
    pub fn of_modification(modified_at: Option<Timestamp>) -> Self {
        let text =
            modified_at.map_or_else(String::new, |t| format!("m={}", t.format("%Y-%m-%dT%H:%M:%S%.fZ")));
        Self { text, newest: modified_at, photos: None }
    }

    /// Whether this state is surely older than another.
    pub fn is_older_than(&self, newest: Option<Timestamp>) -> bool {
        matches!((self.newest, newest), (Some(mine), Some(other)) if mine < other)
    }

    pub(crate) const fn collector<'p>() -> Collector<'p> {
        Collector { fields: [None; FIELDS] }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Gathers the fields while a record's members pass by.
pub(crate) struct Collector<'p> {
    fields: [Option<&'p str>; FIELDS],
}

impl<'p> Collector<'p> {
    pub(crate) fn see(&mut self, name: &str, raw: &'p str) {
        if let Some(slot) = FINGERPRINT_FIELDS.iter().position(|field| *field == name) {
            self.fields[slot] = Some(raw).filter(|text| *text != "null");
        }
    }

    pub(crate) fn finish(self, modified_at: Option<Timestamp>, by_stamps: bool) -> Fingerprint {
        let newest = self.fields[STAMPS].iter().flatten().filter_map(|raw| timestamp(raw)).max();
        if !by_stamps {
            return Fingerprint::of_modification(modified_at);
        }
        let count = |slot: usize| normalise_number(self.fields[slot]?.trim_matches('"'))?.as_count();
        let unseen_tours =
            count(TOURS_COUNT) > Some(0) && self.fields[TOUR_ADDRESSES].iter().all(Option::is_none);
        let unseen = |(number, stamp): (usize, usize)| {
            count(number) > Some(0) && self.fields[stamp].and_then(timestamp).is_none()
        };
        let by_modification = newest.is_none() || unseen_tours || STAMPED.into_iter().any(unseen);
        let mut text = String::new();
        for (slot, raw) in self.fields.iter().enumerate() {
            // ModificationTimestamp moves with every edit: it only stands in for what cannot be seen.
            let speaks = slot != 0 || by_modification;
            if let Some(raw) = raw.filter(|_| speaks) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push(LETTERS[slot]);
                text.push('=');
                text.push_str(&short(raw));
            }
        }
        let newest = if by_modification { newest.max(modified_at) } else { newest };
        Fingerprint { text, newest, photos: count(PHOTOS_COUNT) }
    }
}

/// A value in few letters, whatever its spelling: stamps in UTC, numbers normalised, addresses as a digest.
fn short(raw: &str) -> String {
    if let Some(stamp) = timestamp(raw) {
        return stamp.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string();
    }
    match normalise_number(raw.trim_matches('"')) {
        Some(number) => number.to_string(),
        None => blake3::hash(raw.as_bytes()).to_hex()[..16].to_owned(),
    }
}
