//! What a delivery says: one RESO EntityEvent, or several as `value`.
//!
//! Much of it is read as it comes, since nobody outside knows how a sender spells it: a sequence under either name,
//! as a number or a text. One event that cannot be read does not cost the others; polling finds what it meant. Events
//! are taken one by one as the body is read, so that too many of them are never held.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spark_domain::{EntityEvent, RecordKey, Resource};

/// Events of one delivery; a body of the largest size has room for more.
const MOST_EVENTS: usize = 10_000;

/// A delivery, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The events of resources that we know.
    pub(super) events: Vec<EntityEvent>,
    /// How many are of others.
    pub(super) foreign: usize,
    /// How many name no record.
    pub(super) unreadable: usize,
}

/// Why a body is no delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is something else.
    Malformed,
    /// It has too many events.
    TooMany,
}

/// A delivery while it is read.
#[derive(Default)]
struct Reading {
    delivery: Delivery,
    count: usize,
    /// Whether there was a list at all.
    is_batch: bool,
}

/// The body: an object, whose list is taken as it comes.
struct Body<'r>(&'r mut Reading);

/// Its list.
struct List<'r>(&'r mut Reading);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Value,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "ResourceName")]
    resource: Option<Scalar>,
    #[serde(rename = "ResourceRecordKey")]
    key: Option<Scalar>,
    #[serde(rename = "EntityEventSequence")]
    sequence: Option<Scalar>,
    #[serde(rename = "EntityEventSequenceNumeric")]
    sequence_numeric: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(i64),
    Text(String),
    Other(IgnoredAny),
}

impl Scalar {
    fn text(self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text),
            Self::Other(IgnoredAny) => None,
        }
    }

    fn number(self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Other(IgnoredAny) => None,
        }
    }
}

impl Delivery {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unfit> {
        // A letter that is none costs the text that it stands in.
        let body = String::from_utf8_lossy(body);
        let mut reading = Reading::default();
        let mut source = serde_json::Deserializer::from_str(&body);
        let read = Body(&mut reading).deserialize(&mut source).and_then(|()| source.end());
        if reading.count > MOST_EVENTS {
            return Err(Unfit::TooMany);
        }
        read.map_err(|_| Unfit::Malformed)?;
        if !reading.is_batch {
            reading.take(&body);
        }
        let Reading { delivery, count, .. } = reading;
        // Nothing of it makes sense: it is told, so that somebody looks.
        if count > 0 && delivery.unreadable == count { Err(Unfit::Malformed) } else { Ok(delivery) }
    }

    fn take(&mut self, event: Event) {
        let numbers = [event.sequence, event.sequence_numeric].into_iter().flatten();
        let sequence = numbers.filter_map(Scalar::number).find(|number| *number > 0);
        let key = event.key.and_then(Scalar::text).and_then(|text| RecordKey::new(&text).ok());
        match (event.resource.and_then(Scalar::text), key) {
            (Some(name), Some(key)) => match name.parse::<Resource>() {
                Ok(resource) => self.events.push(EntityEvent { resource, key, sequence }),
                Err(_) => self.foreign += 1,
            },
            _ => self.unreadable += 1,
        }
    }
}

impl Reading {
    /// Takes what should be an event.
    fn take(&mut self, text: &str) {
        self.count += 1;
        match serde_json::from_str(text) {
            Ok(event) => self.delivery.take(event),
            Err(_) => self.delivery.unreadable += 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, or a list of them as `value`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(member) = members.next_key()? {
            match member {
                Member::Value => members.next_value_seed(List(&mut *self.0))?,
                Member::Other => _ = members.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST_EVENTS} events")
    }

    /// A sender that fills in all members has one event and no list.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.is_batch = true;
        while let Some(event) = list.next_element::<&RawValue>()? {
            self.0.take(event.get());
            if self.0.count > MOST_EVENTS {
                return Err(A::Error::custom("too many events"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(resource: Resource, key: &str, sequence: Option<i64>) -> EntityEvent {
        EntityEvent { resource, key: RecordKey::new(key).unwrap(), sequence }
    }

    fn read(body: &str) -> Result<Delivery, Unfit> {
        Delivery::read(body.as_bytes())
    }

    #[test]
    fn events_come_alone_or_together_and_their_sequence_in_four_ways() {
        let single = read(
            r#"{"@reso.context":"urn:reso:metadata:2.0:resource:entityevent","EntityEventSequence":50012,
                "ResourceName":"Property","ResourceRecordKey":"2025","ResourceRecordUrl":"https://a/b"}"#,
        );
        assert_eq!(single.unwrap().events, [event(Resource::Property, "2025", Some(50_012))]);
        let batch = read(
            r#"{"value":[
                {"EntityEventSequence":"7","ResourceName":"Member","ResourceRecordKey":"a"},
                {"EntityEventSequenceNumeric":8,"ResourceName":"Office","ResourceRecordKey":20},
                {"EntityEventSequenceNumeric":"9","ResourceName":"Property","ResourceRecordKey":"c"}]}"#,
        );
        let expected = [
            event(Resource::Member, "a", Some(7)),
            event(Resource::Office, "20", Some(8)),
            event(Resource::Property, "c", Some(9)),
        ];
        assert_eq!(batch.unwrap().events, expected);
        assert_eq!(read(r#"{"value":[]}"#), Ok(Delivery::default()));
    }

    #[test]
    fn one_event_that_cannot_be_read_does_not_cost_the_others() {
        let read = read(
            r#"{"value":[{"ResourceName":"Property","ResourceRecordKey":"a","EntityEventSequence":{}},
                {"ResourceName":"Property"},{"ResourceRecordKey":"b"},{"ResourceName":"Property","ResourceRecordKey":""},
                {"ResourceName":"Queue","ResourceRecordKey":"c","EntityEventSequence":-1},{}]}"#,
        );
        let events = vec![event(Resource::Property, "a", None)];
        assert_eq!(read, Ok(Delivery { events, foreign: 1, unreadable: 4 }));
        let good = r#"{"ResourceName":"Property","ResourceRecordKey":"a"}"#;
        let doubled = r#"{"ResourceName":"Property","ResourceName":"Office","ResourceRecordKey":"b"}"#;
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for bad in ["null", "7", "\"text\"", "[]", doubled, &deep] {
            for body in [format!(r#"{{"value":[{good},{bad}]}}"#), format!(r#"{{"value":[{bad},{good}]}}"#)] {
                let events = vec![event(Resource::Property, "a", None)];
                assert_eq!(
                    Delivery::read(body.as_bytes()),
                    Ok(Delivery { events, foreign: 0, unreadable: 1 }),
                    "{bad}"
                );
            }
        }
        let latin = [r#"{"value":["#.as_bytes(), good.as_bytes(), b",{\"Note\":\"Caf\xe9\"}]}"].concat();
        assert_eq!(Delivery::read(&latin).map(|read| (read.events.len(), read.unreadable)), Ok((1, 1)));
        let alone = r#"{"ResourceName":"Property","ResourceRecordKey":"a","value":null}"#;
        assert_eq!(Delivery::read(alone.as_bytes()).map(|read| read.events.len()), Ok(1));
    }

    #[test]
    fn what_is_no_delivery_is_refused_whole() {
        for bad in [
            "",
            "null",
            "[]",
            "7",
            "{}",
            "{\"value\":7}",
            "{\"value\":[7]}",
            "{\"value\":[{}]}",
            "{\"value\":[",
        ] {
            assert_eq!(read(bad), Err(Unfit::Malformed), "{bad}");
        }
        let deep = format!("{{\"value\":{}", "[".repeat(500_000));
        assert_eq!(read(&deep), Err(Unfit::Malformed));
        let many = vec![r#"{"ResourceName":"Property","ResourceRecordKey":"a"}"#; MOST_EVENTS + 1].join(",");
        assert_eq!(read(&format!("{{\"value\":[{many}]}}")), Err(Unfit::TooMany));
        let endless = format!("{{\"value\":[{}", "{},".repeat(MOST_EVENTS + 1));
        assert_eq!(read(&endless), Err(Unfit::TooMany), "it was read on behind the bound");
    }
}
