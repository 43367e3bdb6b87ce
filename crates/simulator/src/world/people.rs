//! The fields of everything that is not a listing.

use super::{
    names,
    property::text,
    record::{Resource, below, key, pick},
    schema::{
        Cell, Core,
        Kind::{self, Choice, Choices, Flag, Stamp, Text},
        Scene,
    },
};

pub(super) const MEMBER: &[(&str, Kind, Core)] = &[
    ("MemberKey", Text, |s| text(s.key)),
    ("MemberMlsId", Text, |s| text(format!("a{}", s.pick(50) % 100_000))),
    ("MemberFullName", Text, |s| text(format!("{} {}", first(s), last(s)))),
    ("MemberFirstName", Text, |s| text(first(s))),
    ("MemberLastName", Text, |s| text(last(s))),
    ("MemberEmail", Text, |s| text(format!("{:x}@example.test", s.pick(51) % 0xFF_FFFF))),
    ("MemberMobilePhone", Text, |s| if s.one_in(52, 3) { phone(s) } else { Cell::Hidden }),
    ("MemberDirectPhone", Text, |s| phone(s)),
    ("MemberStatus", Choice, |s| text(if s.one_in(53, 12) { "Inactive" } else { "Active" })),
    ("MemberType", Choice, |_| text("MLS Participant")),
    ("MemberLanguages", Choices, |_| Cell::Choices(vec!["English"])),
    ("MemberDesignation", Choices, |_| Cell::Choices(Vec::new())),
    ("OfficeKey", Text, |s| text(key(s.ground, Resource::Office, s.pick(54) % s.ground.offices.max(1)))),
    ("OfficeMlsId", Text, |s| text(format!("o{}", s.pick(54) % s.ground.offices.max(1)))),
    ("OfficeName", Text, |s| text(format!("{} Realty", s.one(27, &names::STREETS)))),
    ("MlsStatusYN", Flag, |_| Cell::Flag(true)),
    ("Visible", Flag, |_| Cell::Flag(true)),
    ("OriginalEntryTimestamp", Stamp, |s| Cell::Stamp(s.record.entered)),
    ("ModificationTimestamp", Stamp, |s| Cell::Stamp(s.record.modified)),
];

pub(super) const OFFICE: &[(&str, Kind, Core)] = &[
    ("OfficeKey", Text, |s| text(s.key)),
    ("OfficeMlsId", Text, |s| text(format!("o{}", s.pick(60) % 10_000))),
    ("OfficeName", Text, |s| text(format!("{} Realty", s.one(61, &names::STREETS)))),
    ("OfficePhone", Text, |s| phone(s)),
    ("OfficeAddress1", Text, |s| text(format!("{} Quay Street", 1 + s.pick(62) % 900))),
    ("OfficeCity", Text, |s| text(s.one(63, &names::CITIES).0)),
    ("OfficeStateOrProvince", Choice, |_| text("ND")),
    ("OfficePostalCode", Text, |s| text(s.one(63, &names::CITIES).2)),
    ("OfficeStatus", Choice, |_| text("Active")),
    ("MainOfficeKey", Text, |s| {
        if s.one_in(64, 3) { text(key(s.ground, Resource::Office, 0)) } else { Cell::Null }
    }),
    ("OfficeBrokerKey", Text, |s| {
        text(key(s.ground, Resource::Member, s.pick(65) % s.ground.members.max(1)))
    }),
    ("IDXOfficeParticipationYN", Flag, |s| Cell::Flag(!s.one_in(66, 15))),
    ("Visible", Flag, |_| Cell::Flag(true)),
    ("OriginalEntryTimestamp", Stamp, |s| Cell::Stamp(s.record.entered)),
    ("ModificationTimestamp", Stamp, |s| Cell::Stamp(s.record.modified)),
];

pub(super) const TEAM: &[(&str, Kind, Core)] = &[
    ("TeamKey", Text, |s| text(s.key)),
    ("TeamName", Text, |s| text(format!("Team {}", last(s)))),
    ("TeamLeadKey", Text, |s| text(key(s.ground, Resource::Member, s.pick(70) % s.ground.members.max(1)))),
    ("TeamStatus", Choice, |_| text("Active")),
    ("OriginalEntryTimestamp", Stamp, |s| Cell::Stamp(s.record.entered)),
    ("ModificationTimestamp", Stamp, |s| Cell::Stamp(s.record.modified)),
];

/// Listing and times are planted when an open house is announced.
pub(super) const OPEN_HOUSE: &[(&str, Kind, Core)] = &[
    ("OpenHouseKey", Text, |s| text(s.key)),
    ("ListingKey", Text, |_| Cell::Null),
    ("OpenHouseType", Choice, |_| text("Public")),
    ("OpenHouseStartTime", Stamp, |_| Cell::Null),
    ("OpenHouseEndTime", Stamp, |_| Cell::Null),
    ("OpenHouseRemarks", Text, |s| if s.one_in(80, 2) { text("Park on street.") } else { Cell::Null }),
    ("ModificationTimestamp", Stamp, |s| Cell::Stamp(s.record.modified)),
];

pub(super) const LOOKUP: &[(&str, Kind, Core)] = &[
    ("LookupKey", Text, |s| text(s.key)),
    ("LookupName", Text, |s| row(s).map_or(Cell::Null, |(name, _)| text(name.as_str()))),
    ("LookupValue", Text, |s| row(s).map_or(Cell::Null, |(_, value)| text(*value))),
    ("StandardLookupValue", Text, |s| row(s).map_or(Cell::Null, |(_, value)| text(*value))),
    ("LegacyODataValue", Text, |s| {
        if s.one_in(90, 2) { text(legacy(s)) } else { row(s).map_or(Cell::Null, |(_, value)| text(*value)) }
    }),
    ("ModificationTimestamp", Stamp, |s| Cell::Stamp(s.record.modified)),
];

fn row<'a>(scene: &Scene<'a>) -> Option<&'a (String, &'static str)> {
    scene.ground.lookups.get(usize::try_from(scene.record.seed).ok()?)
}

/// `b__` and 22 characters: an id that only `$metadata` can explain.
fn legacy(scene: &Scene<'_>) -> String {
    let letters = (0..22).map(|n| {
        char::from(
            b"abcdefghijklmnopqrstuvwxyz234567"
                [usize::try_from(pick(scene.record.seed, n) % 32).unwrap_or(0)],
        )
    });
    format!("b__{}", letters.collect::<String>())
}

fn first(scene: &Scene<'_>) -> &'static str {
    scene.one(25, &names::FIRST)
}

fn last(scene: &Scene<'_>) -> &'static str {
    scene.one(26, &names::LAST)
}

fn phone<'a>(scene: &Scene<'a>) -> Cell<'a> {
    text(format!("701-555-{:04}", below(scene.pick(55), 10_000)))
}
