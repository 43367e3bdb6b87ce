//! Photos and their like, rooms and units: the RESO members of the same record, said natively.
//!
//! One RESO relation, `Media`, is five native ones. No document shows what the members of rooms and units are
//! called: they keep their RESO names but for the key.

use serde_json::{Map, Value};

use super::View;
use crate::world::{Style, relations, render::HIDDEN};

const SIZES: [(&str, &str); 9] = [
    ("UriThumb", "t"),
    ("Uri300", "300"),
    ("Uri640", "640"),
    ("Uri800", "800"),
    ("Uri1024", "1024"),
    ("Uri1280", "1280"),
    ("Uri1600", "1600"),
    ("Uri2048", "2048"),
    ("UriLarge", "o"),
];

/// The RESO members of a relation; their text if a test planted what nobody can read.
pub(crate) type Reso = Result<Vec<Value>, String>;

/// The members of an expansion as a JSON array; what nobody can read comes as planted. The media, which are
/// five expansions, are read once.
pub(super) fn members(view: &View<'_>, expansion: &str, media: &mut Option<Reso>) -> String {
    let other;
    let reso = match expansion {
        "Rooms" => {
            other = reso(view, "Room");
            &other
        }
        "Units" => {
            other = reso(view, "Unit");
            &other
        }
        _ => &*media.get_or_insert_with(|| reso(view, "Media")),
    };
    let reso = match reso {
        Ok(members) => members,
        Err(raw) => return raw.clone(),
    };
    let members = reso.iter().filter_map(|member| {
        let Value::Object(member) = member else {
            // What a test planted that is none stands among the first of them.
            return matches!(expansion, "Photos" | "Rooms" | "Units").then(|| member.clone());
        };
        let mut native = match expansion {
            "Rooms" => keyed(member, "RoomKey"),
            "Units" => keyed(member, "UnitTypeKey"),
            _ => medium(member, expansion)?,
        };
        let key = native.get("Id").and_then(Value::as_str).unwrap_or_default();
        let uri = format!("{}/{}/{key}", view.uri(), expansion.to_ascii_lowercase());
        native.insert("ResourceUri".to_owned(), address(view.style, &uri).into());
        Some(Value::Object(native))
    });
    Value::Array(members.collect()).to_string()
}

fn reso(view: &View<'_>, relation: &str) -> Reso {
    let mut text = String::new();
    let style = Style { integers_as_floats: view.style.integers_as_floats, ..Style::default() };
    relations::write(&mut text, view.inner, view.resource, &view.scene(), relation, &style, view.now);
    serde_json::from_str(&text).map_err(|_| text)
}

/// A path, or the whole address if another host is to be named.
pub(super) fn address(style: &Style, uri: &str) -> String {
    format!("{}{uri}", style.base.as_deref().unwrap_or_default())
}

fn keyed(member: &Map<String, Value>, key: &str) -> Map<String, Value> {
    let mut native = Map::new();
    for (name, value) in member {
        match name.strip_suffix("@Core.Permissions") {
            Some(hidden) => native.insert(hidden.to_owned(), HIDDEN.into()),
            None if name == key => native.insert("Id".to_owned(), value.clone()),
            None => native.insert(name.clone(), value.clone()),
        };
    }
    native
}

/// `None` if the medium belongs to another expansion.
fn medium(member: &Map<String, Value>, expansion: &str) -> Option<Map<String, Value>> {
    let tour = match (member.get("MediaCategory")?.as_str()?, expansion) {
        ("Branded Virtual Tour", "VirtualTours") => "branded",
        ("Unbranded Virtual Tour", "VirtualTours") => "unbranded",
        ("Photo", "Photos")
        | ("Video", "Videos")
        | ("Document", "Documents")
        | ("Floor Plan", "FloPlans") => "",
        _ => return None,
    };
    let get = |name: &str| match member.get(name) {
        None if member.contains_key(&format!("{name}@Core.Permissions")) => HIDDEN.into(),
        found => found.cloned().unwrap_or_default(),
    };
    let mut native = Map::new();
    let mut say = |name: &str, value: Value| drop(native.insert(name.to_owned(), value));
    say("Id", get("MediaKey"));
    say("Name", get("ShortDescription"));
    match expansion {
        "Photos" => {
            say("Caption", get("LongDescription"));
            say("Primary", get("PreferredPhotoYN"));
            let url = get("MediaURL");
            // The original's address ends in the one size that RESO names.
            let start = url.as_str().and_then(|url| url.strip_suffix("-o.jpg"));
            for (size, suffix) in SIZES {
                say(size, start.map_or(url.clone(), |start| format!("{start}-{suffix}.jpg").into()));
            }
        }
        "Videos" => {
            say("Caption", get("LongDescription"));
            say("Type", "other".into());
            say("ObjectHtml", get("MediaHTML"));
        }
        "VirtualTours" => {
            say("Uri", get("MediaURL"));
            say("Type", tour.into());
        }
        "Documents" => {
            say("Uri", get("MediaURL"));
            say("Privacy", "Public".into());
        }
        _ => say("Uri", get("MediaURL")),
    }
    Some(native)
}
