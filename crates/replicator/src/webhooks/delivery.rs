//! What a delivery says: one RESO EntityEvent, or several as `value`.
//!
//! Much of it is read as it comes, since nobody outside knows how a sender spells it: a sequence under either name,
//! as a number or a text. One event that cannot be read does not cost the others; polling finds what it meant.

use serde::Deserialize;
use serde::de::IgnoredAny;
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

#[derive(Deserialize)]
struct Batch {
    value: Option<Vec<Event>>,
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
        let batch: Batch = serde_json::from_slice(body).map_err(|_| Unfit::Malformed)?;
        let events = match batch.value {
            Some(events) => events,
            None => vec![serde_json::from_slice(body).map_err(|_| Unfit::Malformed)?],
        };
        if events.len() > MOST_EVENTS {
            return Err(Unfit::TooMany);
        }
        let count = events.len();
        let mut delivery = Self::default();
        for event in events {
            delivery.take(event);
        }
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
    }
}
