//! The members of one JSON object, in order, as slices.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::RejectReason;

/// An object's members as they stand: names unescaped, values untouched.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A member's name: borrowed unless it needed unescaping.
struct Name<'a>(Cow<'a, str>);

impl<'a> Members<'a> {
    pub(super) fn read(raw: &'a str) -> Result<Self, RejectReason> {
        if !raw.starts_with('{') {
            return Err(RejectReason::NotAnObject);
        }
        serde_json::from_str(raw).map_err(|error| RejectReason::Unreadable(error.to_string()))
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(Cow<'a, str>, &'a RawValue)> {
        self.0.iter()
    }

    /// The object again, with those members that are kept.
    pub(super) fn to_json(&self, keep: impl Fn(&str) -> bool) -> String {
        let size = self.0.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum::<usize>();
        let mut json = String::with_capacity(size + 2);
        json.push('{');
        for (name, value) in self.0.iter().filter(|(name, _)| keep(name)) {
            if json.len() > 1 {
                json.push(',');
            }
            push_name(&mut json, name);
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
        json
    }
}

fn push_name(json: &mut String, name: &str) {
    if name.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        json.push('"');
        json.push_str(name);
        json.push('"');
    } else {
        json.push_str(&serde_json::Value::from(name).to_string());
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(name))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(name.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Self)
    }
}
