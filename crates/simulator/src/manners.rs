//! The manners of servers that are not Spark: RESO leaves them free where Spark has habits.
//!
//! Applied to answers after they are made, so that the market and its faults stay what they are.

use serde_json::{Map, Value};

use crate::journal::Entry;
use crate::odata::Answer;

/// How a server differs from Spark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own, in any company")]
pub struct Manners {
    /// Links name no host, and stand before `value`.
    pub relative_links: bool,
    /// Numbers within records come as texts.
    pub numbers_as_text: bool,
    /// Moments have a fraction and an offset.
    pub odd_moments: bool,
    /// Every third record has no ModificationTimestamp, or null for one, and no PhotosChangeTimestamp: no filter by these
    /// finds it.
    pub missing_stamps: bool,
    /// `$top` limits the whole answer: what it asked for comes without a link to more.
    pub top_is_all: bool,
    /// No page holds more records than this, and none has a link.
    pub page_cap: Option<usize>,
    /// What becomes of `$count=true`.
    pub count: Count,
}

/// What a server makes of `$count=true`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Count {
    /// It counts.
    #[default]
    Given,
    /// It takes no notice.
    Ignored,
    /// 501: not implemented.
    Refused,
}

impl Manners {
    /// A record as such a server shows it.
    pub fn dress(self, key_field: &str, record: &Value) -> Value {
        let mut record = record.clone();
        self.values(&mut record);
        let Some(members) = record.as_object_mut() else { return record };
        let key = members.get(key_field).and_then(Value::as_str).unwrap_or_default();
        let digest = key.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        if self.missing_stamps && members.contains_key("ModificationTimestamp") {
            match digest % 6 {
                0 => drop(members.remove("ModificationTimestamp")),
                3 => drop(members.insert("ModificationTimestamp".to_owned(), Value::Null)),
                _ => return record,
            }
            members.remove("PhotosChangeTimestamp");
        }
        record
    }

    /// The refusal of a request that such a server does not understand.
    pub(crate) fn refuse(self, entry: &Entry) -> Option<Answer> {
        (self.count == Count::Refused && entry.param("$count").is_some()).then(|| Answer {
            status: 501,
            content_type: "text/plain",
            body: "Not Implemented".to_owned(),
            records: 0,
        })
    }

    /// The answer in such a server's manner.
    pub(crate) fn apply(self, key_field: &str, entry: &Entry, mut answer: Answer) -> Answer {
        if self == Self::default() || answer.status != 200 {
            return answer;
        }
        let Ok(Value::Object(mut page)) = serde_json::from_str(&answer.body) else { return answer };
        if let Some(Value::Array(records)) = page.get_mut("value") {
            records.truncate(self.page_cap.unwrap_or(usize::MAX));
            for record in records.iter_mut() {
                *record = self.dress(key_field, record);
            }
            let by_stamp =
                entry.param("$filter").is_some_and(|filter| filter.contains("ModificationTimestamp"));
            let found =
                |record: &Value| record.get("ModificationTimestamp").is_some_and(|stamp| !stamp.is_null());
            records.retain(|record| !by_stamp || !self.missing_stamps || found(record));
            self.head(entry, &mut page);
        } else if page.contains_key(key_field) {
            answer.body = self.dress(key_field, &Value::Object(page)).to_string();
            return answer;
        }
        // Members come in the order of their names: `@odata.nextLink` before `value`.
        answer.body = Value::Object(page).to_string();
        answer
    }

    fn head(self, entry: &Entry, page: &mut Map<String, Value>) {
        if self.count == Count::Ignored {
            page.remove("@odata.count");
        }
        if self.page_cap.is_some() || self.top_is_all && entry.param("$top").is_some() {
            page.remove("@odata.nextLink");
        }
        let Some(Value::String(link)) = page.get_mut("@odata.nextLink") else { return };
        let path = link.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        if let Some((_, path)) = path.filter(|_| self.relative_links) {
            *link = path.rsplit_once('/').map_or(path, |(_, last)| last).to_owned();
        }
    }

    fn values(self, value: &mut Value) {
        match value {
            Value::Number(number) if self.numbers_as_text => *value = Value::String(number.to_string()),
            Value::String(text) if self.odd_moments => {
                if let Some(odd) = odd_moment(text) {
                    *text = odd;
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.values(element)),
            Value::Object(members) => members.values_mut().for_each(|member| self.values(member)),
            _ => {}
        }
    }
}

/// The same moment, two hours east and with a fraction of nothing.
fn odd_moment(text: &str) -> Option<String> {
    let moment = chrono::DateTime::parse_from_rfc3339(text).ok().filter(|_| text.ends_with('Z'))?;
    let east = chrono::FixedOffset::east_opt(7_200)?;
    Some(moment.with_timezone(&east).format("%Y-%m-%dT%H:%M:%S.000%:z").to_string())
}
