//! Pages and single records.
//!
//! Lists are keyset-paged: records in the order of their keys' bytes, `$skiptoken` is the last key. So a record
//! that changes while somebody pages keeps its place, as on a real feed. Lookup pages by `$skip`.

use std::fmt::Write as _;

use super::{
    Answer, PATH, encode,
    query::{Query, relation},
};
use crate::{
    faults::{BROKEN, ErrorShape, InTrouble, Trouble, breaks, disarrange, shorten},
    journal::Entry,
    world::{Inner, Object, Record, Resource, Scene, Style, pick, string, write_fields, write_relation},
};

/// What an answer needs to know besides the market.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// `http://127.0.0.1:PORT`.
    pub(crate) origin: &'a str,
    /// The request's number: what is shuffled, is shuffled differently each time.
    pub(crate) number: u64,
    pub(crate) now: i64,
    pub(crate) troubles: &'a [Trouble],
}

/// Answers a request to the surface, whatever it asks.
pub(crate) fn answer(inner: &Inner, entry: &Entry, context: &Context<'_>) -> Answer {
    let resource = entry.resource.as_deref().and_then(Resource::named);
    let Some(resource) = resource else {
        return Answer::error(ErrorShape::Error, 404, 404, "No such resource.");
    };
    let query = match Query::read(&entry.params, &inner.shelf(resource).schema) {
        Ok(query) => query,
        Err(answer) => return answer,
    };
    for trouble in context.troubles {
        match trouble {
            Trouble::ExpiredToken => {
                return Answer::bad("$skiptoken", 1053, "The token is no longer valid.");
            }
            Trouble::In(InTrouble::Refused) => return Answer::bad("$filter", 1040, "Unknown operator: in"),
            Trouble::TooSlowAbove(_) => {
                let message = "Your request took too long to process and has therefore been cancelled.";
                return Answer::error(ErrorShape::D, 503, 1515, message);
            }
            _ => {}
        }
    }
    let view = View { inner, resource, query: &query, context, style: style(inner, context) };
    match &entry.key {
        Some(key) => view.single(key, entry.path.rsplit_once(")/").map(|(_, relation)| relation)),
        None => view.list(&entry.params),
    }
}

fn style(inner: &Inner, context: &Context<'_>) -> Style {
    let mut style = Style {
        base: Some(format!("{}{PATH}", context.origin)),
        integers_as_floats: inner.ground.shape.integers_as_floats,
        ..Style::default()
    };
    for trouble in context.troubles {
        match trouble {
            Trouble::IntegersAsFloats => style.integers_as_floats = true,
            Trouble::ShuffledMembers => style.shuffle = Some(context.number + 1),
            Trouble::OtherHost(host) => {
                style.base = Some(format!("{host}{PATH}"));
                style.noise = true;
            }
            _ => {}
        }
    }
    style
}

/// One request's view of one resource.
struct View<'a> {
    inner: &'a Inner,
    resource: Resource,
    query: &'a Query,
    context: &'a Context<'a>,
    style: Style,
}

impl View<'_> {
    fn single(&self, key: &str, relation_name: Option<&str>) -> Answer {
        let Some((key, record)) = self.inner.shown(self.resource, key, self.context.now) else {
            return Answer::error(ErrorShape::Error, 404, 404, "Not found.");
        };
        if let Some(answer) = self.broken_by(&[key]) {
            return answer;
        }
        if let Some(name) = relation_name {
            let Some(relation) = relation(self.resource, name) else {
                return Answer::error(ErrorShape::Error, 404, 404, "No such navigation property.");
            };
            let mut body = "{\"value\":".to_owned();
            self.relation(&mut body, key, record, relation);
            body.push('}');
            return Answer::json(body, 1);
        }
        let mut body = String::new();
        self.record(&mut body, key, record, true);
        Answer::json(body, 1)
    }

    fn list(&self, params: &[(String, String)]) -> Answer {
        let troubles = self.context.troubles;
        let has = |trouble: &Trouble| troubles.contains(trouble);
        let ignored = troubles.iter().find_map(|trouble| match trouble {
            Trouble::In(how) => Some(*how),
            _ => None,
        });
        let filtered = ignored.is_none();
        let top = if ignored == Some(InTrouble::PageOfTen) { 10 } else { self.query.top };
        let unsorted = has(&Trouble::Unsorted) && !self.query.ordered;
        let by_skip = has(&Trouble::Unsorted) || self.resource == Resource::Lookup;
        let after = self.query.skiptoken.as_deref().filter(|_| !by_skip);
        let mut matching = self.matching(after, filtered, ignored, unsorted);
        let mut records: Vec<(&str, &Record)> = matching.by_ref().skip(self.query.skip).take(top).collect();
        let mut more = matching.next().is_some();
        drop(matching);
        more |= shorten(&mut records, troubles);
        if let Some(answer) = self.broken_by(&records.iter().map(|(key, _)| *key).collect::<Vec<_>>()) {
            return answer;
        }

        let last = records.last().map(|(key, _)| (*key).to_owned());
        let link = last.filter(|_| more && !has(&Trouble::NoLink)).map(|last| {
            if by_skip {
                self.link(params, ("$skip", &(self.query.skip + records.len()).to_string()))
            } else {
                self.link(params, ("$skiptoken", &last))
            }
        });
        let link = if has(&Trouble::EmptyPage) {
            records.clear();
            // Sorts behind the last token and before the next key: nothing is lost, no two links are equal.
            let token = format!("{}!", after.unwrap_or_default());
            Some(self.link(params, ("$skiptoken", &token)))
        } else {
            link
        };
        disarrange(&mut records, troubles);

        let mut body = String::with_capacity(records.len() * 1_024 + 512);
        body.push_str("{\"@odata.context\":");
        string(&mut body, &self.metadata_address(""));
        if self.query.count && !has(&Trouble::NoCount) {
            let all = self.matching(None, filtered, ignored, false).count();
            let mut shown = i64::try_from(all).unwrap_or(i64::MAX);
            for trouble in troubles {
                if let Trouble::CountOff(by) = trouble {
                    shown += by;
                }
            }
            let _ = write!(body, ",\"@odata.count\":{shown}");
        }
        if let Some(link) = link {
            body.push_str(",\"@odata.nextLink\":");
            string(&mut body, &link);
        }
        body.push_str(",\"value\":[");
        for (n, (key, record)) in records.iter().enumerate() {
            if n > 0 {
                body.push(',');
            }
            self.record(&mut body, key, record, false);
        }
        body.push_str("]}");
        Answer::json(body, records.len())
    }

    /// The refusal of an answer that one of its records breaks.
    fn broken_by(&self, keys: &[&str]) -> Option<Answer> {
        breaks(keys, self.context.troubles).then(|| Answer::error(ErrorShape::D, 500, 1026, BROKEN))
    }

    /// What answers the filter, in the order of the list.
    fn matching<'s>(
        &'s self,
        after: Option<&str>,
        filtered: bool,
        ignored: Option<InTrouble>,
        unsorted: bool,
    ) -> Box<dyn Iterator<Item = (&'s str, &'s Record)> + 's> {
        let schema = &self.inner.shelf(self.resource).schema;
        let now = self.context.now;
        let filter = self.query.filter.as_ref().filter(|_| filtered);
        let accepts = move |key: &str, record: &Record| {
            let scene = Scene { key, record, ground: &self.inner.ground };
            filter.is_none_or(|filter| filter.accepts(schema, &scene))
        };
        if ignored == Some(InTrouble::Nothing) {
            return Box::new(std::iter::empty());
        }
        if let Some(mut keys) = filter.and_then(|filter| filter.keys(schema)) {
            keys.sort_unstable();
            keys.dedup();
            keys.retain(|key| after.is_none_or(|after| *key > after));
            let found = keys.into_iter().filter_map(move |key| self.inner.shown(self.resource, key, now));
            return Box::new(found.filter(move |(key, record)| accepts(key, record)));
        }
        let all = self.inner.shown_after(self.resource, after, now);
        let matching = all.filter(move |(key, record)| accepts(key, record));
        if unsorted {
            let mut shuffled: Vec<_> = matching.collect();
            // No order that a client could guess, but the same one on every page.
            shuffled.sort_by_key(|(_, record)| pick(record.seed, 7));
            return Box::new(shuffled.into_iter());
        }
        Box::new(matching)
    }

    fn record(&self, page: &mut String, key: &str, record: &Record, alone: bool) {
        let scene = Scene { key, record, ground: &self.inner.ground };
        let mut object = Object::new(&self.style);
        if alone {
            object.text("@odata.context", &self.metadata_address("/$entity"));
        }
        object.id(&format!("{}('{}')", self.resource.as_str(), key.replace('\'', "''")));
        let schema = &self.inner.shelf(self.resource).schema;
        write_fields(&mut object, schema, &scene, self.query.select.as_deref());
        for relation in &self.query.expand {
            if self.context.troubles.contains(&Trouble::NoExpansion(relation)) {
                continue;
            }
            let mut members = "[]".to_owned();
            if !self.context.troubles.contains(&Trouble::EmptyExpansion(relation)) {
                members.clear();
                self.relation(&mut members, key, record, relation);
            }
            object.raw(relation, &members);
            if self.context.troubles.contains(&Trouble::PartialExpansion(relation)) {
                let base = self.style.base.as_deref().unwrap_or_default();
                let more = format!("{base}/{}('{key}')/{relation}?%24skip=1", self.resource.as_str());
                object.text(&format!("{relation}@odata.nextLink"), &more);
            }
        }
        object.close(page);
    }

    fn relation(&self, page: &mut String, key: &str, record: &Record, relation: &str) {
        let scene = Scene { key, record, ground: &self.inner.ground };
        write_relation(page, self.inner, self.resource, &scene, relation, &self.style, self.context.now);
    }

    fn metadata_address(&self, suffix: &str) -> String {
        let base = self.style.base.as_deref().unwrap_or_default();
        format!("{base}/$metadata#{}{suffix}", self.resource.as_str())
    }

    /// The next page's address: the parameters of this one, encoded and sorted, and where to go on.
    fn link(&self, params: &[(String, String)], next: (&str, &str)) -> String {
        let mut origin = self.context.origin;
        let mut repeated = false;
        for trouble in self.context.troubles {
            match trouble {
                Trouble::ForeignLink(other) => origin = other,
                Trouble::RelativeLink => origin = "",
                Trouble::RepeatedLink => repeated = true,
                _ => {}
            }
        }
        let mut all: Vec<(&str, &str)> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
        if !repeated {
            all.retain(|(name, _)| *name != "$skiptoken" && *name != "$skip");
            all.push(next);
        }
        all.sort_unstable();
        let query: Vec<String> =
            all.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        format!("{origin}{PATH}/{}?{}", self.resource.as_str(), query.join("&"))
    }
}
