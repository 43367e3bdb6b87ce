//! What a page tells of the key's role. Neither API names it: only what is shown and what is hidden do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use spark_domain::{Page, RecordKey, Resource};

/// More hidden fields are not named, only counted.
const NAMED: usize = 12;

/// What stands behind the name of a field that is hidden from the key.
const HIDDEN: &str = "@Core.Permissions";

/// What the records of a page show.
#[derive(Debug, Default)]
pub(super) struct Shown {
    records: usize,
    statuses: BTreeMap<String, usize>,
    hidden: BTreeSet<String>,
    pub(super) keys: Vec<RecordKey>,
}

impl Shown {
    pub(super) fn of(page: &Page, resource: Resource) -> Self {
        let mut shown = Self::default();
        for record in page.records().filter_map(|record| serde_json::from_str(record).ok()) {
            shown.take(&record, resource);
        }
        shown
    }

    fn take(&mut self, record: &Map<String, Value>, resource: Resource) {
        self.records += 1;
        if let Some(status) = status_field(resource).and_then(|field| record.get(field)?.as_str()) {
            *self.statuses.entry(status.to_owned()).or_default() += 1;
        }
        let hidden = |(name, value): (&String, &Value)| {
            let field = name.strip_suffix(HIDDEN)?;
            (value == "None").then(|| field.to_owned())
        };
        self.hidden.extend(record.iter().filter_map(hidden));
        let key = record.get(resource.key_field()).and_then(Value::as_str);
        self.keys.extend(key.and_then(|key| RecordKey::new(key).ok()));
    }

    /// In one line; none if there was no record.
    pub(super) fn told(&self) -> Option<String> {
        let Self { records, statuses, hidden, .. } = self;
        if *records == 0 {
            return None;
        }
        let fields = match hidden.len() {
            0 => "no field is hidden from this key".to_owned(),
            count => {
                let names: Vec<&str> = hidden.iter().map(String::as_str).take(NAMED).collect();
                let more = if count > NAMED { " and others" } else { "" };
                let are = if count == 1 { "field is" } else { "fields are" };
                format!("{count} {are} hidden from this key in some or all: {}{more}", names.join(", "))
            }
        };
        let statuses: Vec<String> =
            statuses.iter().map(|(status, count)| format!("{status} {count}")).collect();
        let statuses = if statuses.is_empty() { String::new() } else { format!(" {};", statuses.join(", ")) };
        Some(format!("of {records}:{statuses} {fields}"))
    }
}

/// The field that says how a record stands.
fn status_field(resource: Resource) -> Option<&'static str> {
    match resource {
        Resource::Property => Some("StandardStatus"),
        Resource::Member => Some("MemberStatus"),
        Resource::Office => Some("OfficeStatus"),
        Resource::Teams => Some("TeamStatus"),
        Resource::OpenHouse => Some("OpenHouseStatus"),
        Resource::Lookup => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_is_told_by_what_is_shown_and_what_is_hidden() {
        let mut shown = Shown::default();
        assert_eq!(shown.told(), None);
        for (status, hidden) in [("Active", "None"), ("Closed", "None"), ("Active", "Read")] {
            let record =
                json!({"ListingKey": "1", "StandardStatus": status, "BuyerName@Core.Permissions": hidden});
            shown.take(record.as_object().unwrap(), Resource::Property);
        }
        let told = shown.told().unwrap();
        assert_eq!(
            told,
            "of 3: Active 2, Closed 1; 1 field is hidden from this key in some or all: BuyerName"
        );
        assert_eq!(shown.keys.len(), 3);
        let mut lookups = Shown::default();
        lookups.take(&Map::new(), Resource::Lookup);
        assert_eq!(lookups.told().unwrap(), "of 1: no field is hidden from this key");
    }
}
