//! What hangs on a record under `$expand`: media, rooms, units, links.
//!
//! Members have no stamp of their own; they change with their parent. A relation planted by a test wins over
//! what the seed would give.

use super::{
    Inner, names,
    record::{Planted, Record, Resource, digits, pick},
    render::{self, Object, Style},
    schema::{
        Cell,
        Kind::{self, Choice, Choices, Decimal, Flag, Integer, Text},
        Scene,
    },
};

/// The type behind a relation: its name, its key, its fields as `$metadata` tells them. An open house has the
/// type of its entity set.
pub(crate) struct Related {
    pub(crate) relation: &'static str,
    pub(crate) type_name: &'static str,
    pub(crate) key: &'static str,
    pub(crate) fields: &'static [(&'static str, Kind)],
}

pub(crate) const RELATED: &[Related] = &[
    Related {
        relation: "Media",
        type_name: "Media",
        key: "MediaKey",
        fields: &[
            ("MediaKey", Text),
            ("ResourceRecordKey", Text),
            ("ResourceRecordID", Text),
            ("MediaCategory", Choice),
            ("Order", Integer),
            ("PreferredPhotoYN", Flag),
            ("ShortDescription", Text),
            ("LongDescription", Text),
            ("MediaURL", Text),
            ("MediaHTML", Text),
            ("OriginatingSystemMediaKey", Text),
            ("Permission", Choices),
        ],
    },
    Related {
        relation: "Room",
        type_name: "PropertyRooms",
        key: "RoomKey",
        fields: &[
            ("RoomKey", Text),
            ("RoomType", Choice),
            ("RoomLevel", Choice),
            ("RoomLength", Decimal),
            ("RoomWidth", Decimal),
            ("RoomDescription", Text),
        ],
    },
    Related {
        relation: "Unit",
        type_name: "PropertyUnits",
        key: "UnitTypeKey",
        fields: &[
            ("UnitTypeKey", Text),
            ("UnitTypeType", Choice),
            ("UnitTypeBedsTotal", Integer),
            ("UnitTypeActualRent", Decimal),
        ],
    },
    Related {
        relation: "SocialMedia",
        type_name: "SocialMedia",
        key: "SocialMediaKey",
        fields: &[("SocialMediaKey", Text), ("SocialMediaType", Choice), ("SocialMediaUrlOrId", Text)],
    },
    Related {
        relation: "Association",
        type_name: "Association",
        key: "AssociationKey",
        fields: &[("AssociationKey", Text), ("AssociationMlsId", Text)],
    },
    Related {
        relation: "ExternalProducts",
        type_name: "ExternalProducts",
        key: "ExternalProductKey",
        fields: &[("ExternalProductKey", Text), ("Product", Text)],
    },
    Related {
        relation: "DelegatedAccess",
        type_name: "DelegatedAccess",
        key: "DelegatedAccessKey",
        fields: &[
            ("DelegatedAccessKey", Text),
            ("Id", Text),
            ("AsUser", Flag),
            ("AllUsers", Flag),
            ("BrokerloadOverride", Flag),
        ],
    },
];

/// Appends the JSON array of one relation.
pub(crate) fn write(
    page: &mut String,
    inner: &Inner,
    resource: Resource,
    scene: &Scene<'_>,
    relation: &str,
    style: &Style,
    now: i64,
) {
    if let Some(Planted::Raw(raw)) = scene.record.planted(relation) {
        page.push_str(raw);
        return;
    }
    page.push('[');
    let path = format!("{}('{}')/{relation}", resource.as_str(), scene.key);
    let mut first = true;
    let mut add = |object: Object<'_>| {
        if !first {
            page.push(',');
        }
        first = false;
        object.close(page);
    };
    match relation {
        "Media" => media(resource, scene, &path, style, &mut add),
        "Room" => rooms(scene, &path, style, &mut add),
        "Unit" => units(scene, &path, style, &mut add),
        "OpenHouse" => {
            let shelf = inner.shelf(Resource::OpenHouse);
            for (key, record) in inner.open_houses_of(scene.key, now) {
                let mut object = Object::new(style);
                object.id(&format!("OpenHouse('{key}')"));
                render::fields(
                    &mut object,
                    &shelf.schema,
                    &Scene { key, record, ground: scene.ground },
                    None,
                );
                add(object);
            }
        }
        "DelegatedAccess" | "ExternalProducts" | "Association" | "SocialMedia" => {
            for n in 0..scene.pick(100) % 3 {
                add(link(relation, scene, n, style));
            }
        }
        _ => {}
    }
    page.push(']');
}

pub(crate) fn tour(scene: &Scene<'_>) -> Option<String> {
    if let Some(Planted::Raw(raw)) = scene.record.planted("VirtualTourURLUnbranded") {
        return serde_json::from_str(raw).ok();
    }
    scene.one_in(110, 4).then(|| format!("https://tours.example.test/{:x}", scene.pick(110)))
}

pub(super) fn videos(scene: &Scene<'_>) -> usize {
    usize::from(scene.one_in(31, 8))
}

pub(super) fn documents(scene: &Scene<'_>) -> usize {
    usize::from(scene.one_in(32, 3))
}

/// The photos of a record; people and offices have at most one, their face or logo.
fn photos_of(resource: Resource, record: &Record, scene: &Scene<'_>) -> Vec<u32> {
    match (resource, &record.photos) {
        (Resource::Property, _) => record.photos(&scene.ground.shape),
        (_, Some(photos)) => photos.to_vec(),
        (_, None) => {
            if scene.one_in(111, 2) {
                vec![0]
            } else {
                Vec::new()
            }
        }
    }
}

fn media<'s>(
    resource: Resource,
    scene: &Scene<'_>,
    path: &str,
    style: &'s Style,
    add: &mut dyn FnMut(Object<'s>),
) {
    for (at, id) in photos_of(resource, scene.record, scene).into_iter().enumerate() {
        let order = i64::try_from(at).unwrap_or(0) + 1;
        let mut photo = medium(scene, path, "Photo", u64::from(id), order, style);
        let draw = pick(scene.record.seed, 1_000_000 + u64::from(id));
        photo.cell("PreferredPhotoYN", &Cell::Flag(at == 0));
        photo.text("ShortDescription", names::WORDS[usize::try_from(draw % 64).unwrap_or(0)]);
        photo.text("LongDescription", names::SENTENCES[usize::try_from(draw % 10).unwrap_or(0)]);
        // The file's id differs from the medium's key.
        photo.text("MediaURL", &format!("https://cdn.photos.sparkplatform.com/xmls/{draw:020}-o.jpg"));
        photo.raw("MediaHTML", "null");
        add(photo);
    }
    if resource != Resource::Property {
        return;
    }
    let others = [
        ("Unbranded Virtual Tour", 900_000, tour(scene)),
        ("Document", 900_001, (documents(scene) > 0).then(|| "https://docs.example.test/d.pdf".to_owned())),
        // A video has no address: its link stands in the HTML.
        ("Video", 900_002, (videos(scene) > 0).then(String::new)),
    ];
    for (category, id, url) in others {
        let Some(url) = url else { continue };
        let mut other = medium(scene, path, category, id, 1, style);
        for name in ["PreferredPhotoYN", "ShortDescription", "LongDescription"] {
            other.raw(name, "null");
        }
        if url.is_empty() {
            other.raw("MediaURL", "null");
            other.text("MediaHTML", "<iframe src=\"https://video.example.test/9\"></iframe>");
        } else {
            other.text("MediaURL", &url);
            other.raw("MediaHTML", "null");
        }
        add(other);
    }
}

fn medium<'s>(
    scene: &Scene<'_>,
    path: &str,
    category: &str,
    id: u64,
    order: i64,
    style: &'s Style,
) -> Object<'s> {
    let draw = scene.pick(112);
    let moment = digits(1_704_067_200 + i64::from((draw % 60_000_000) as u32), (draw >> 32) % 1_000_000);
    let key = format!("{}{id:06}", &moment[..20]);
    let mut object = Object::new(style);
    object.id(&format!("{path}('{key}')"));
    object.text("MediaKey", &key);
    object.text("ResourceRecordKey", scene.key);
    object.text("ResourceRecordID", &format!("{}", 70_000_000 + scene.pick(113) % 9_999_999));
    object.text("MediaCategory", category);
    object.cell("Order", &Cell::Integer(order));
    object.text("OriginatingSystemMediaKey", &format!("{}", 90_000_000 + (draw ^ id) % 9_999_999));
    object.cell("Permission", &Cell::Choices(vec!["Public"]));
    object
}

fn rooms<'s>(scene: &Scene<'_>, path: &str, style: &'s Style, add: &mut dyn FnMut(Object<'s>)) {
    const ROOMS: [&str; 6] = ["Kitchen", "Living Room", "Bedroom", "Bedroom", "Bathroom", "Office"];
    for n in 0..scene.pick(114) % 6 {
        let draw = scene.pick(115 + n);
        let key = format!("R-{:x}-{n}", scene.record.seed);
        let mut room = Object::new(style);
        // Relative, unlike every other id: as seen on a real feed.
        if style.base.is_some() {
            room.text("@odata.id", &format!("{path}('{key}')"));
        }
        room.text("RoomKey", &key);
        room.text("RoomType", ROOMS[usize::try_from(draw % 6).unwrap_or(0)]);
        room.text("RoomLevel", if draw.is_multiple_of(2) { "Main" } else { "Upper" });
        // Strings, although $metadata says decimal.
        room.text("RoomLength", &format!("{}.00", 8 + draw % 14));
        room.text("RoomWidth", &format!("{}.50", 7 + draw % 9));
        room.raw("RoomDescription", "null");
        add(room);
    }
}

fn units<'s>(scene: &Scene<'_>, path: &str, style: &'s Style, add: &mut dyn FnMut(Object<'s>)) {
    if scene.one(11, &names::TYPES).0 != "Residential Income" {
        return;
    }
    for n in 0..2 + scene.pick(130) % 3 {
        let mut unit = Object::new(style);
        unit.id(&format!("{path}('U-{n}')"));
        unit.text("UnitTypeKey", &format!("U-{n}"));
        unit.text("UnitTypeType", "2 Bedroom");
        unit.cell("UnitTypeBedsTotal", &Cell::Integer(2));
        unit.cell("UnitTypeActualRent", &Cell::Decimal(1_200.0));
        add(unit);
    }
}

fn link<'s>(relation: &str, scene: &Scene<'_>, n: u64, style: &'s Style) -> Object<'s> {
    let mut object = Object::new(style);
    let key = format!("{}{n}", relation.chars().next().unwrap_or('k').to_ascii_lowercase());
    match relation {
        "DelegatedAccess" => {
            object.text("DelegatedAccessKey", &key);
            object.text("Id", &super::record::key(scene.ground, Resource::Member, n));
            object.cell("AsUser", &Cell::Flag(true));
            object.cell("AllUsers", &Cell::Flag(false));
            object.cell("BrokerloadOverride", &Cell::Flag(false));
        }
        "ExternalProducts" => {
            object.text("ExternalProductKey", &key);
            object.text("Product", "Tours");
        }
        "Association" => {
            object.text("AssociationKey", &key);
            object.text("AssociationMlsId", "M00000001");
        }
        _ => {
            object.text("SocialMediaKey", &key);
            object.text("SocialMediaType", "Website");
            object.text("SocialMediaUrlOrId", "https://agent.example.test/");
        }
    }
    object
}
