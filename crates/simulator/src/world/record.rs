//! One record, kept small: a seed, two times, and whatever an edit has planted over the seed's values.
//!
//! A market of 200,000 listings fits a test machine because a listing's few hundred values are never stored;
//! they follow from its seed whenever it is shown. The rule: the same seed always shows the same values.

use std::collections::BTreeMap;

use chrono::DateTime;

use super::Shape;

/// An entity set of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Listings.
    Property,
    /// Agents.
    Member,
    /// Offices.
    Office,
    /// Teams of agents.
    Teams,
    /// Upcoming open houses.
    OpenHouse,
    /// Values of lookup fields.
    Lookup,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Property, Self::Member, Self::Office, Self::Teams, Self::OpenHouse, Self::Lookup];

    /// The name of the entity set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Property => "Property",
            Self::Member => "Member",
            Self::Office => "Office",
            Self::Teams => "Teams",
            Self::OpenHouse => "OpenHouse",
            Self::Lookup => "Lookup",
        }
    }

    /// The name of its key field.
    pub fn key_field(self) -> &'static str {
        match self {
            Self::Property => "ListingKey",
            Self::Member => "MemberKey",
            Self::Office => "OfficeKey",
            Self::Teams => "TeamKey",
            Self::OpenHouse => "OpenHouseKey",
            Self::Lookup => "LookupKey",
        }
    }

    /// The navigation properties it can expand.
    pub fn relations(self) -> &'static [&'static str] {
        match self {
            Self::Property => &["Media", "Room", "Unit", "OpenHouse"],
            Self::Member => &["Media", "SocialMedia", "Association"],
            Self::Office => &["Media", "ExternalProducts", "DelegatedAccess"],
            Self::Teams => &["Media"],
            Self::OpenHouse | Self::Lookup => &[],
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.as_str() == name)
    }
}

/// What all records are drawn from.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) seed: u64,
    /// When the market was made; every first record was modified before.
    pub(crate) birth: i64,
    pub(crate) shape: Shape,
    pub(crate) members: u64,
    pub(crate) offices: u64,
    /// Name and value of every lookup row; a Lookup's seed is its place here.
    pub(crate) lookups: Vec<(String, &'static str)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) seed: u64,
    pub(crate) entered: i64,
    /// Seconds from its entry to the stamp that it was made with; stamps that no edit moved lie between.
    pub(crate) first_life: i64,
    pub(crate) modified: i64,
    /// From this second on the record is gone by itself; open houses only.
    pub(crate) ends: i64,
    /// The photos after a change; before the first one they follow from the seed.
    pub(crate) photos: Option<Box<[u32]>>,
    /// Values that win over the seed's, and relations as a list of objects, by name.
    pub(crate) planted: Option<BTreeMap<Box<str>, Planted>>,
}

/// What stands in a field instead of the seed's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Planted {
    /// JSON as it will be sent, legal or not.
    Raw(Box<str>),
    /// Only `"Field@Core.Permissions": "None"` is sent.
    Hidden,
    /// Nothing is sent.
    Absent,
}

impl Record {
    pub(crate) fn new(seed: u64, modified: i64) -> Self {
        let first_life = below(pick(seed, 1), 200 * 86_400).max(1);
        Self {
            seed,
            entered: modified - first_life,
            first_life,
            modified,
            ends: i64::MAX,
            photos: None,
            planted: None,
        }
    }

    pub(crate) fn planted(&self, field: &str) -> Option<&Planted> {
        self.planted.as_ref()?.get(field)
    }

    pub(crate) fn plant(&mut self, field: &str, value: Planted) {
        self.planted.get_or_insert_default().insert(field.into(), value);
    }

    /// The text of a planted JSON string, without its quotes.
    pub(crate) fn planted_text(&self, field: &str) -> Option<&str> {
        match self.planted(field)? {
            Planted::Raw(raw) => raw.strip_prefix('"')?.strip_suffix('"'),
            Planted::Hidden | Planted::Absent => None,
        }
    }

    /// The ids of its photos, in order.
    pub(crate) fn photos(&self, shape: &Shape) -> Vec<u32> {
        if let Some(photos) = &self.photos {
            return photos.to_vec();
        }
        let twice = u64::from(shape.media_per_listing) * 2;
        let many = pick(self.seed, 2).is_multiple_of(12);
        let count = if many { shape.media_most as u64 } else { pick(self.seed, 3) % (twice + 1) };
        (0..u32::try_from(count).unwrap_or(0)).collect()
    }
}

/// A number that looks random and follows from a seed and what it is for.
pub(crate) fn pick(seed: u64, salt: u64) -> u64 {
    let mut mixed = seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A number from 0 to below the limit.
pub(crate) fn below(number: u64, limit: i64) -> i64 {
    (number % limit.unsigned_abs().max(1)).cast_signed()
}

/// The nth key of a resource: 26 digits that look like a moment; some listings have a data share's key.
pub(crate) fn key(ground: &Ground, resource: Resource, n: u64) -> String {
    let (base, step) = match resource {
        Resource::Property if n % 40 == 7 => {
            return format!("3yd-ABC-{:04}{n:06}", pick(ground.seed, n) % 10_000);
        }
        Resource::Property => (1_704_412_800, 311),
        Resource::Member => (1_262_304_000, 3_607),
        Resource::Office => (1_104_537_600, 86_399),
        Resource::Teams => (1_640_995_200, 7_213),
        Resource::OpenHouse => (1_767_225_600, 97),
        Resource::Lookup => return format!("3001-3001-{}-{}", n / 8 + 1, n % 8 + 1),
    };
    digits(base + n.cast_signed() * step, pick(ground.seed, n ^ base.cast_unsigned()) % 1_000_000)
}

/// `yyyymmddhhmmss` + microseconds + six zeros.
pub(crate) fn digits(seconds: i64, micros: u64) -> String {
    let moment = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    format!("{}{micros:06}000000", moment.format("%Y%m%d%H%M%S"))
}
