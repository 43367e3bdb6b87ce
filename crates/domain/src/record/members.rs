//! The members of one JSON object, in order, as slices.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::RejectReason;

/// No real object has more than a few thousand members, and no array as many elements. What is kept of each is
/// larger than the shortest of them, so a page could otherwise take many times its memory.
pub(super) const MOST: usize = 200_000;

/// The elements of one JSON array, as slices.
#[derive(Debug)]
pub struct Elements<'a>(pub(super) Vec<&'a RawValue>);

/// An object's members as they stand: names unescaped, values untouched.
#[derive(Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A member's name: borrowed unless it needed unescaping.
struct Name<'a>(Cow<'a, str>);

impl<'a> Members<'a> {
    /// Finds the members of an object.
    pub fn read(raw: &'a str) -> Result<Self, RejectReason> {
        if !raw.starts_with('{') {
            return Err(RejectReason::NotAnObject);
        }
        parse(raw)
    }

    /// The members in the order given; a name may stand there twice.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Cow<'a, str>, &'a RawValue)> {
        self.0.iter()
    }

    /// The raw value of a member; the last one of that name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.get())
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
            Self::push_name(&mut json, name);
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
        json
    }

    /// Writes a member's name as JSON.
    pub fn push_name(json: &mut String, name: &str) {
        if name.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            json.push('"');
            json.push_str(name);
            json.push('"');
        } else {
            json.push_str(&serde_json::Value::from(name).to_string());
        }
    }
}

impl<'a> Elements<'a> {
    /// Finds the elements of an array.
    pub fn read(raw: &'a str) -> Result<Self, RejectReason> {
        parse(raw)
    }

    /// Takes a single value for an array of one, where a server does not wrap it.
    pub fn one(raw: &'a str) -> Result<Self, RejectReason> {
        parse(raw).map(|element| Self(vec![element]))
    }

    /// The elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a RawValue> {
        self.0.iter().copied()
    }
}

fn too_many<E: de::Error>() -> E {
    E::custom(format_args!("more than {MOST} members or elements"))
}

fn parse<'a, T: Deserialize<'a>>(raw: &'a str) -> Result<T, RejectReason> {
    serde_json::from_str(raw).map_err(|error| RejectReason::Unreadable(error.to_string()))
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
                let mut elements = Vec::new();
                while let Some(element) = sequence.next_element()? {
                    if elements.len() == MOST {
                        return Err(too_many());
                    }
                    elements.push(element);
                }
                Ok(elements)
            }
        }
        deserializer.deserialize_seq(Collect).map(Self)
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
                    if members.len() == MOST {
                        return Err(too_many());
                    }
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
