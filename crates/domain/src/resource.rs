//! What a feed publishes: the entity sets of Spark's RESO Web API that can be listed whole.

use std::fmt;
use std::str::FromStr;

/// An entity set. Its word is RESO's, in both dialects of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Listings.
    Property,
    /// Agents and other people.
    Member,
    /// Brokerages.
    Office,
    /// Teams of agents; version 3 only.
    Teams,
    /// Upcoming open houses; an ended one leaves the feed by itself.
    OpenHouse,
    /// The values that lookup fields may have.
    Lookup,
}

/// The text names no resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown resource {0:?}; known are Property, Member, Office, Teams, OpenHouse, Lookup")]
pub struct UnknownResource(String);

impl Resource {
    /// Every resource, in the order in which a feed is first downloaded.
    pub const ALL: [Self; 6] =
        [Self::Property, Self::Member, Self::Office, Self::Teams, Self::OpenHouse, Self::Lookup];

    /// The entity set's name: path segment, label, word on the command line, value of column `resource`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Property => "Property",
            Self::Member => "Member",
            Self::Office => "Office",
            Self::Teams => "Teams",
            Self::OpenHouse => "OpenHouse",
            Self::Lookup => "Lookup",
        }
    }

    /// The field that identifies a record.
    pub const fn key_field(self) -> &'static str {
        match self {
            Self::Property => "ListingKey",
            Self::Member => "MemberKey",
            Self::Office => "OfficeKey",
            Self::Teams => "TeamKey",
            Self::OpenHouse => "OpenHouseKey",
            Self::Lookup => "LookupKey",
        }
    }

    /// The table in schema `mls` that holds it.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Property => "property",
            Self::Member => "member",
            Self::Office => "office",
            Self::Teams => "team",
            Self::OpenHouse => "open_house",
            Self::Lookup => "lookup",
        }
    }

    /// Whether it changes by `ModificationTimestamp` and so is followed by updates.
    /// Lookup is not: it is compared whole, once a day.
    pub const fn has_updates(self) -> bool {
        !matches!(self, Self::Lookup)
    }
}

impl FromStr for Resource {
    type Err = UnknownResource;

    fn from_str(text: &str) -> Result<Self, UnknownResource> {
        Self::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(|| UnknownResource(text.to_owned()))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
