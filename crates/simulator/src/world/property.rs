//! The fields of a listing that mean something: status, prices, place, people, stamps, counts.

use std::borrow::Cow;

use super::{
    names,
    record::{Resource, below, key},
    relations,
    schema::{
        Cell, Core,
        Kind::{self, Choice, Date, Decimal, Flag, Integer, Stamp, Text},
        Scene,
    },
};

pub(super) const CORE: &[(&str, Kind, Core)] = &[
    ("ListingKey", Text, |s| text(s.key)),
    ("ListingId", Text, |s| text(format!("X-{:07}", s.pick(10) % 10_000_000))),
    ("StandardStatus", Choice, |s| text(status(s))),
    ("MlsStatus", Choice, |s| text(status(s))),
    ("PropertyType", Choice, |s| text(s.one(11, &names::TYPES).0)),
    ("PropertySubType", Choice, |s| text(s.one(11, &names::TYPES).1)),
    ("ListPrice", Decimal, |s| Cell::Decimal(price(s))),
    ("OriginalListPrice", Decimal, |s| Cell::Decimal(first_price(s))),
    ("ClosePrice", Decimal, |s| if closed(s) { Cell::Decimal(price(s) - 4_000.0) } else { Cell::Null }),
    ("CloseDate", Date, |s| if closed(s) { Cell::Date(s.record.entered + 30 * 86_400) } else { Cell::Null }),
    ("BedroomsTotal", Integer, |s| Cell::Integer(1 + below(s.pick(12), 6))),
    ("BathroomsTotalInteger", Integer, |s| Cell::Integer(1 + below(s.pick(13), 4))),
    ("BathroomsFull", Integer, |s| Cell::Integer(1 + below(s.pick(13), 4))),
    ("BathroomsHalf", Integer, |_| Cell::Integer(0)),
    ("LivingArea", Decimal, |s| Cell::Decimal(number(700 + s.pick(14) % 4_000))),
    ("LotSizeArea", Decimal, |s| Cell::Decimal(number(s.pick(15) % 900) / 100.0)),
    ("LotSizeUnits", Choice, |_| text("Acres")),
    ("YearBuilt", Integer, |s| Cell::Integer(1905 + below(s.pick(16), 120))),
    ("UnparsedAddress", Text, |s| {
        text(format!("{} {} {}", house(s), s.one(17, &names::STREETS), s.one(18, &names::SUFFIXES)))
    }),
    ("StreetNumber", Text, |s| text(house(s).to_string())),
    ("StreetName", Text, |s| text(s.one(17, &names::STREETS))),
    ("StreetSuffix", Choice, |s| text(s.one(18, &names::SUFFIXES))),
    (
        "UnitNumber",
        Text,
        |s| {
            if s.one_in(19, 5) { text(format!("{}", s.pick(20) % 40 + 1)) } else { Cell::Null }
        },
    ),
    ("City", Choice, |s| text(s.one(21, &names::CITIES).0)),
    ("CountyOrParish", Choice, |s| text(s.one(21, &names::CITIES).1)),
    ("StateOrProvince", Choice, |_| text("ND")),
    ("PostalCode", Text, |s| text(s.one(21, &names::CITIES).2)),
    ("Country", Choice, |_| text("US")),
    ("Latitude", Decimal, |s| Cell::Decimal(around(s.one(21, &names::CITIES).3, s.pick(22)))),
    ("Longitude", Decimal, |s| Cell::Decimal(around(s.one(21, &names::CITIES).4, s.pick(23)))),
    ("ListAgentKey", Text, |s| text(agent(s, 24))),
    ("ListAgentMlsId", Text, |s| text(format!("a{}", s.pick(24) % s.ground.members.max(1)))),
    ("ListAgentFullName", Text, |s| {
        text(format!("{} {}", s.one(25, &names::FIRST), s.one(26, &names::LAST)))
    }),
    ("ListOfficeKey", Text, |s| text(office(s, 24))),
    ("ListOfficeName", Text, |s| text(format!("{} Realty", s.one(27, &names::STREETS)))),
    ("CoListAgentKey", Text, |s| if s.one_in(28, 6) { text(agent(s, 28)) } else { Cell::Null }),
    // Null while on the market, hidden under contract: as seen on a real IDX feed.
    ("BuyerAgentKey", Text, |s| buyer(s, agent)),
    ("BuyerOfficeKey", Text, |s| buyer(s, office)),
    ("ListingContractDate", Date, |s| Cell::Date(s.record.entered)),
    ("OnMarketDate", Date, |s| Cell::Date(s.record.entered + 86_400)),
    ("DaysOnMarket", Integer, |s| Cell::Integer((s.ground.birth - s.record.entered) / 86_400)),
    ("ModificationTimestamp", Stamp, |s| Cell::Stamp(s.record.modified)),
    ("OriginalEntryTimestamp", Stamp, |s| Cell::Stamp(s.record.entered)),
    ("PhotosChangeTimestamp", Stamp, |s| since(s, 30)),
    ("VideosChangeTimestamp", Stamp, |s| if s.one_in(31, 8) { since(s, 31) } else { Cell::Hidden }),
    ("DocumentsChangeTimestamp", Stamp, |s| if s.one_in(32, 3) { since(s, 32) } else { Cell::Null }),
    ("FloorPlansChangeTimestamp", Stamp, |_| Cell::Null),
    ("StatusChangeTimestamp", Stamp, |s| since(s, 33)),
    ("PriceChangeTimestamp", Stamp, |s| if first_price(s) > price(s) { since(s, 34) } else { Cell::Null }),
    ("MajorChangeTimestamp", Stamp, |s| since(s, 33)),
    ("OnMarketTimestamp", Stamp, |s| Cell::Stamp(s.record.entered)),
    ("OffMarketTimestamp", Stamp, |s| if closed(s) { since(s, 35) } else { Cell::Null }),
    ("PhotosCount", Integer, |s| count(s.record.photos(&s.ground.shape).len())),
    ("VideosCount", Integer, |s| count(relations::videos(s))),
    ("DocumentsCount", Integer, |s| count(relations::documents(s))),
    ("VirtualTourURLUnbranded", Text, |s| match relations::tour(s) {
        Some(url) => text(url),
        None => Cell::Null,
    }),
    ("SourceSystemKey", Text, |s| text(s.key)),
    ("OriginatingSystemKey", Text, |s| text(format!("{}", 70_000_000 + s.pick(36) % 9_999_999))),
    ("OriginatingSystemName", Text, |_| text("Example MLS")),
    ("InternetEntireListingDisplayYN", Flag, |s| Cell::Flag(!s.one_in(37, 30))),
    ("InternetAddressDisplayYN", Flag, |s| Cell::Flag(!s.one_in(38, 20))),
    // A Boolean in spite of its name: as seen on a real feed.
    ("ApprovalStatus", Flag, |_| Cell::Flag(true)),
    ("PublicRemarks", Text, |s| text(remarks(s))),
];

/// The status that a listing shows now.
pub(crate) fn status<'a>(scene: &Scene<'a>) -> &'a str {
    let planted = scene.record.planted_text("StandardStatus");
    planted.unwrap_or_else(|| scene.one(40, &names::STATUSES))
}

/// The price that a listing shows now, in whole dollars.
pub(crate) fn price(scene: &Scene<'_>) -> f64 {
    match scene.record.planted("ListPrice") {
        Some(super::record::Planted::Raw(raw)) => raw.parse().unwrap_or_default(),
        _ => first_price(scene) - if scene.one_in(41, 4) { 5_000.0 } else { 0.0 },
    }
}

fn first_price(scene: &Scene<'_>) -> f64 {
    number(60 + scene.pick(42) % 1_400) * 1_000.0
}

fn closed(scene: &Scene<'_>) -> bool {
    status(scene) == "Closed"
}

fn house(scene: &Scene<'_>) -> u64 {
    1 + scene.pick(43) % 9_800
}

fn agent(scene: &Scene<'_>, salt: u64) -> String {
    key(scene.ground, Resource::Member, scene.pick(salt) % scene.ground.members.max(1))
}

fn office(scene: &Scene<'_>, salt: u64) -> String {
    key(scene.ground, Resource::Office, scene.pick(salt) % scene.ground.offices.max(1))
}

fn buyer<'a>(scene: &Scene<'a>, whose: fn(&Scene<'_>, u64) -> String) -> Cell<'a> {
    match status(scene) {
        "Closed" => text(whose(scene, 44)),
        "Pending" | "Active Under Contract" => Cell::Hidden,
        _ => Cell::Null,
    }
}

/// A moment between the listing's entry and its first modification. Later edits plant the stamps that they
/// move; all others stand still.
fn since<'a>(scene: &Scene<'a>, salt: u64) -> Cell<'a> {
    Cell::Stamp(scene.record.entered + below(scene.pick(salt), scene.record.first_life))
}

fn remarks(scene: &Scene<'_>) -> String {
    let sentences: Vec<&str> =
        (0..3 + scene.pick(45) % 9).map(|n| scene.one(46 + (n << 16), &names::SENTENCES)).collect();
    sentences.join(" ")
}

fn around(centre: f64, draw: u64) -> f64 {
    ((centre + number(draw % 100_000) / 1_000_000.0) * 1e6).round() / 1e6
}

fn count<'a>(of: usize) -> Cell<'a> {
    Cell::Integer(i64::try_from(of).unwrap_or(i64::MAX))
}

fn number(of: u64) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}

pub(super) fn text<'a>(value: impl Into<Cow<'a, str>>) -> Cell<'a> {
    Cell::Text(value.into())
}
