//! What hangs below a record: the navigation properties that `$expand` brings along.
//!
//! They are contained: none can be listed, filtered or dated on its own, so a set is always fetched with its
//! parent and replaced whole.

use std::fmt;
use std::str::FromStr;

/// A navigation property, spelled as RESO and Spark's `$metadata` spell it; the last three are the native API's
/// own expansions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the RESO name itself")]
pub enum Relation {
    Media,
    Room,
    Unit,
    OpenHouse,
    GreenVerification,
    PowerProduction,
    RentalCalendar,
    HistoryTransactional,
    SocialMedia,
    Association,
    DelegatedAccess,
    ExternalProducts,
    TeamMembers,
    CustomFields,
    CustomFieldsRaw,
    CustomFieldsExpandedRaw,
}

/// The text names no relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown relation {0:?}; known are Media, Room, Unit, OpenHouse, GreenVerification, PowerProduction, \
     RentalCalendar, HistoryTransactional, SocialMedia, Association, DelegatedAccess, ExternalProducts, TeamMembers, \
     CustomFields, CustomFieldsRaw, CustomFieldsExpandedRaw"
)]
pub struct UnknownRelation(String);

impl Relation {
    /// Every relation that Spark documents.
    pub const ALL: [Self; 16] = [
        Self::Media,
        Self::Room,
        Self::Unit,
        Self::OpenHouse,
        Self::GreenVerification,
        Self::PowerProduction,
        Self::RentalCalendar,
        Self::HistoryTransactional,
        Self::SocialMedia,
        Self::Association,
        Self::DelegatedAccess,
        Self::ExternalProducts,
        Self::TeamMembers,
        Self::CustomFields,
        Self::CustomFieldsRaw,
        Self::CustomFieldsExpandedRaw,
    ];

    /// The navigation property's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Media => "Media",
            Self::Room => "Room",
            Self::Unit => "Unit",
            Self::OpenHouse => "OpenHouse",
            Self::GreenVerification => "GreenVerification",
            Self::PowerProduction => "PowerProduction",
            Self::RentalCalendar => "RentalCalendar",
            Self::HistoryTransactional => "HistoryTransactional",
            Self::SocialMedia => "SocialMedia",
            Self::Association => "Association",
            Self::DelegatedAccess => "DelegatedAccess",
            Self::ExternalProducts => "ExternalProducts",
            Self::TeamMembers => "TeamMembers",
            Self::CustomFields => "CustomFields",
            Self::CustomFieldsRaw => "CustomFieldsRaw",
            Self::CustomFieldsExpandedRaw => "CustomFieldsExpandedRaw",
        }
    }

    /// The field that identifies a member within its parent; a member without it is known by its ordinal.
    pub const fn key_field(self) -> &'static str {
        match self {
            Self::Media => "MediaKey",
            Self::Room => "RoomKey",
            Self::Unit => "UnitTypeKey",
            Self::OpenHouse => "OpenHouseKey",
            Self::GreenVerification => "GreenBuildingVerificationKey",
            Self::PowerProduction => "PowerProductionKey",
            Self::RentalCalendar => "RentalCalendarKey",
            Self::HistoryTransactional => "HistoryTransactionalKey",
            Self::SocialMedia => "SocialMediaKey",
            Self::Association => "AssociationKey",
            Self::DelegatedAccess => "DelegatedAccessKey",
            Self::ExternalProducts => "ExternalProductKey",
            Self::TeamMembers => "TeamMemberKey",
            // A tree without a key of its own.
            Self::CustomFields | Self::CustomFieldsRaw | Self::CustomFieldsExpandedRaw => "CustomFieldsKey",
        }
    }

    /// Whether an update asks for it together with the changed parents. Rooms, units and custom fields are small
    /// and have no stamp of their own (the guide's update step); everything else waits until it is due.
    pub const fn comes_with_update(self) -> bool {
        matches!(
            self,
            Self::Room
                | Self::Unit
                | Self::CustomFields
                | Self::CustomFieldsRaw
                | Self::CustomFieldsExpandedRaw
        )
    }
}

impl FromStr for Relation {
    type Err = UnknownRelation;

    fn from_str(text: &str) -> Result<Self, UnknownRelation> {
        Self::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(|| UnknownRelation(text.to_owned()))
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
