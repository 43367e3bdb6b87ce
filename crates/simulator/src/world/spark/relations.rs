//! Photos and their like, rooms and units: the RESO members of the same record, said natively.
//!
//! One RESO relation, `Media`, is five native ones. No document shows what the members of rooms and units are
//! called: they keep their RESO names but for the key.

use serde_json::{Map, Value, json};

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

/// The members of an expansion as a JSON array; what a test planted and nobody can read comes as planted.
pub(super) fn members(view: &View<'_>, expansion: &str) -> String {
    let relation = match expansion {
        "Rooms" => "Room",
        "Units" => "Unit",
        _ => "Media",
    };
    let mut reso = String::new();
    let style = Style { integers_as_floats: view.style.integers_as_floats, ..Style::default() };
    relations::write(&mut reso, view.inner, view.resource, &view.scene(), relation, &style, view.now);
    let Ok(members) = serde_json::from_str::<Vec<Value>>(&reso) else { return reso };
    let members = members.iter().filter_map(|member| {
        let Value::Object(member) = member else { return None };
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
    let get = |name: &str| match member.get(name) {
        None if member.contains_key(&format!("{name}@Core.Permissions")) => HIDDEN.into(),
        found => found.cloned().unwrap_or_default(),
    };
    let (id, name, caption) = (get("MediaKey"), get("ShortDescription"), get("LongDescription"));
    let url = get("MediaURL");
    let native = match (get("MediaCategory").as_str()?, expansion) {
        ("Photo", "Photos") => {
            let primary = get("PreferredPhotoYN");
            let mut photo = json!({ "Id": id, "Name": name, "Caption": caption, "Primary": primary });
            for (size, suffix) in SIZES {
                // The original's address ends in the one size that RESO names.
                let at = url.as_str().and_then(|url| url.strip_suffix("-o.jpg"));
                photo[size] = at.map_or(url.clone(), |start| format!("{start}-{suffix}.jpg").into());
            }
            photo
        }
        ("Video", "Videos") => {
            json!({ "Id": id, "Name": name, "Caption": caption, "Type": "other", "ObjectHtml": get("MediaHTML") })
        }
        ("Unbranded Virtual Tour", "VirtualTours") => {
            json!({ "Id": id, "Name": name, "Uri": url, "Type": "unbranded" })
        }
        ("Branded Virtual Tour", "VirtualTours") => {
            json!({ "Id": id, "Name": name, "Uri": url, "Type": "branded" })
        }
        ("Document", "Documents") => json!({ "Id": id, "Name": name, "Uri": url, "Privacy": "Public" }),
        ("Floor Plan", "FloPlans") => json!({ "Id": id, "Name": name, "Uri": url }),
        _ => return None,
    };
    if let Value::Object(native) = native { Some(native) } else { None }
}
