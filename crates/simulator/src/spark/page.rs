//! Lists and single records.
//!
//! A walk by `_skiptoken` is keyset-paged as on the RESO side: the token is the last key, an empty one starts. A
//! short page says nothing; how the end is told is a [`ListEnd`] of the simulator's settings.

use std::fmt::Write as _;

use super::{
    ListEnd, about, misread, most, not_found, place,
    query::{Pagination, Query},
    refuse, results,
};
use crate::{
    faults::{BROKEN, InTrouble, Trouble, breaks, disarrange, shorten},
    journal::Entry,
    odata::{Answer, Context},
    world::{Asked, Inner, Record, Resource, Scene, SparkView, Style, expansion, pick, string},
};

/// A record on its way into a page, with the place of its resource in the list's own order.
type Found<'a> = (usize, &'a str, &'a Record);

/// Sorts before every key: behind it the list starts anew.
const START: &str = "0";

/// Answers a request to the surface, whatever it asks.
pub(crate) fn answer(inner: &Inner, entry: &Entry, context: &Context<'_>, end: ListEnd) -> Answer {
    let (collection, key, relation) = place(&entry.path);
    let resources: &[Resource] = match (collection, entry.resource.as_deref()) {
        ("system", _) => return about::system(),
        ("standardfields", _) => return about::standard_fields(inner),
        ("listings", _) => &[Resource::Property],
        ("openhouses", _) => &[Resource::OpenHouse],
        ("accounts", Some("Member")) => &[Resource::Member],
        ("accounts", Some("Office")) => &[Resource::Office],
        ("accounts", _) => &[Resource::Member, Resource::Office],
        _ => return not_found(),
    };
    for trouble in context.troubles {
        match trouble {
            Trouble::ExpiredToken => return refuse(400, 1053, "The token is no longer valid.", None),
            Trouble::In(InTrouble::Refused) => return misread(",", "Unexpected list of values"),
            Trouble::TooSlowAbove(_) => {
                let message = "Your request took too long to process and has therefore been cancelled.";
                return refuse(503, 1515, message, None);
            }
            _ => {}
        }
    }
    let mut queries = Vec::new();
    for resource in resources {
        let shelf = inner.shelf(*resource);
        let Some(columns) = &shelf.columns else { return not_found() };
        match Query::read(&entry.params, &shelf.schema, columns, most(entry)) {
            Ok(query) => queries.push((*resource, query)),
            Err(refusal) => return refusal,
        }
    }
    for (_, query) in &mut queries {
        damage(&mut query.asked, context.troubles);
    }
    let list = List { inner, queries: &queries, context, style: style(inner, context), end };
    match key {
        Some(key) => list.single(key, relation),
        None => list.page(),
    }
}

/// Leaves out and empties expansions. No link says natively that there is more of one: a part of `Media` that
/// does not come at all is what shows that the set is not whole.
fn damage(asked: &mut Asked, troubles: &[Trouble]) {
    let part_of =
        |name: &&str, asked: &str| expansion(name).is_some_and(|(own, of)| own == asked || of == asked);
    for trouble in troubles {
        match trouble {
            Trouble::NoExpansion(relation) => asked.expand.retain(|name| !part_of(name, relation)),
            Trouble::EmptyExpansion(relation) => {
                asked.empty.extend(asked.expand.iter().filter(|name| part_of(name, relation)));
            }
            Trouble::PartialExpansion(relation) => {
                if let Some(at) = asked.expand.iter().position(|name| part_of(name, relation)) {
                    asked.expand.remove(at);
                }
            }
            _ => {}
        }
    }
}

fn style(inner: &Inner, context: &Context<'_>) -> Style {
    let integers_as_floats = inner.ground.shape.integers_as_floats;
    let mut style = Style { native: true, integers_as_floats, ..Style::default() };
    for trouble in context.troubles {
        match trouble {
            Trouble::IntegersAsFloats => style.integers_as_floats = true,
            Trouble::ShuffledMembers => style.shuffle = Some(context.number + 1),
            Trouble::OtherHost(host) => {
                style.base = Some(host.clone());
                style.noise = true;
            }
            _ => {}
        }
    }
    style
}

/// One request's view of one list, which may mix two resources.
struct List<'a> {
    inner: &'a Inner,
    queries: &'a [(Resource, Query)],
    context: &'a Context<'a>,
    style: Style,
    end: ListEnd,
}

impl List<'_> {
    fn single(&self, key: &str, relation: Option<&str>) -> Answer {
        let now = self.context.now;
        let found = self.queries.iter().find_map(|(resource, query)| {
            let (key, record) = self.inner.shown(*resource, key, now)?;
            Some((*resource, query, key, record))
        });
        let Some((resource, query, key, record)) = found else { return not_found() };
        if let Some(answer) = self.broken_by(&[key]) {
            return answer;
        }
        let view = SparkView { inner: self.inner, resource, key, record, style: &self.style, now };
        let Some(relation) = relation else {
            let mut body = "[".to_owned();
            view.write(&mut body, &query.asked);
            body.push(']');
            return results(&body, 1, "");
        };
        let names =
            ["Photos", "Videos", "VirtualTours", "Documents", "FloPlans", "OpenHouses", "Rooms", "Units"];
        match names.into_iter().find(|name| name.eq_ignore_ascii_case(relation)) {
            Some(name) if resource == Resource::Property => results(&view.expansion(name, &mut None), 1, ""),
            _ => not_found(),
        }
    }

    /// The refusal of an answer that one of its records breaks.
    fn broken_by(&self, keys: &[&str]) -> Option<Answer> {
        breaks(keys, self.context.troubles).then(|| refuse(500, 1026, BROKEN, None))
    }

    fn page(&self) -> Answer {
        let (_, query) = &self.queries[0];
        let troubles = self.context.troubles;
        let has = |trouble: &Trouble| troubles.contains(trouble);
        let misread = self.misread();
        let limit = if misread == Some(InTrouble::PageOfTen) { 10 } else { query.limit };
        let sent = query.skiptoken.as_deref().unwrap_or_default();
        let unsorted = has(&Trouble::Unsorted) && !query.ordered;
        // Out of order a key leads nowhere: then the token says how far we are.
        let offset = sent.strip_prefix('@').and_then(|offset| offset.parse::<usize>().ok()).unwrap_or(0);
        let after = (offset == 0 && !sent.is_empty()).then_some(sent);
        let mut matching = self.matching(after, unsorted).skip(offset + query.pages_before * limit);
        let mut records: Vec<Found<'_>> = matching.by_ref().take(limit).collect();
        let mut more = matching.next().is_some();
        drop(matching);
        more |= shorten(&mut records, troubles);
        let shown: Vec<&str> = records.iter().map(|(_, key, _)| *key).collect();
        if let Some(answer) = self.broken_by(&shown).filter(|_| query.pagination != Pagination::Only) {
            return answer;
        }

        let next = if unsorted {
            Some(format!("@{}", offset + records.len()))
        } else {
            records.last().map(|(_, key, _)| (*key).to_owned())
        };
        let mut token = self.token(sent, next, more);
        if has(&Trouble::EmptyPage) {
            records.clear();
            // Sorts behind the token sent and before the next key: who goes on loses nothing.
            token = Some(format!("{sent}!"));
        }
        disarrange(&mut records, troubles);

        let mut figures = String::new();
        if query.pagination != Pagination::No && !has(&Trouble::NoCount) {
            self.figures(&mut figures, query);
        }
        if query.pagination == Pagination::Only {
            let body = format!("{{\"D\":{{\"Success\":true{figures}}}}}");
            return Answer { status: 200, content_type: "application/json", body, records: 0 };
        }
        let mut body = String::with_capacity(records.len() * 1_024 + 512);
        body.push('[');
        for (n, (nth, key, record)) in records.iter().enumerate() {
            if n > 0 {
                body.push(',');
            }
            let (resource, query) = &self.queries[*nth];
            let (inner, resource, now) = (self.inner, *resource, self.context.now);
            SparkView { inner, resource, key, record, style: &self.style, now }
                .write(&mut body, &query.asked);
        }
        body.push(']');
        if let Some(token) = token.filter(|_| query.skiptoken.is_some()) {
            figures.push_str(",\"SkipToken\":");
            string(&mut figures, &token);
        }
        results(&body, records.len(), &figures)
    }

    /// The token of a page that was asked with one; `None` if it lacks one.
    fn token(&self, sent: &str, next: Option<String>, more: bool) -> Option<String> {
        let troubles = self.context.troubles;
        if troubles.contains(&Trouble::RepeatedLink) && sent != START {
            return Some(START.to_owned());
        }
        if troubles.contains(&Trouble::NoLink) {
            return None;
        }
        let end = match (self.end, pick(self.context.number, 3) % 3) {
            (ListEnd::Any, 0) => ListEnd::Empty,
            (ListEnd::Any, 1) => ListEnd::Missing,
            (ListEnd::Any, _) => ListEnd::Unchanged,
            (end, _) => end,
        };
        match end {
            _ if more => next,
            ListEnd::Missing => None,
            ListEnd::Empty => Some(next.unwrap_or_else(|| sent.to_owned())),
            ListEnd::Unchanged | ListEnd::Any => Some(sent.to_owned()),
        }
    }

    fn figures(&self, out: &mut String, query: &Query) {
        let mut rows = i64::try_from(self.matching(None, false).count()).unwrap_or(i64::MAX);
        for trouble in self.context.troubles {
            if let Trouble::CountOff(by) = trouble {
                rows += by;
            }
        }
        let size = i64::try_from(query.limit.max(1)).unwrap_or(i64::MAX);
        let pages = rows.max(0).unsigned_abs().div_ceil(size.unsigned_abs());
        let _ = write!(
            out,
            ",\"Pagination\":{{\"TotalRows\":{rows},\"PageSize\":{size},\"CurrentPage\":{},\"TotalPages\":{pages}}}",
            query.pages_before + 1
        );
    }

    fn misread(&self) -> Option<InTrouble> {
        self.context.troubles.iter().find_map(|trouble| match trouble {
            Trouble::In(how) => Some(*how),
            _ => None,
        })
    }

    /// What answers the filter, in the order of the list.
    fn matching<'s>(
        &'s self,
        after: Option<&str>,
        unsorted: bool,
    ) -> Box<dyn Iterator<Item = Found<'s>> + 's> {
        if self.misread() == Some(InTrouble::Nothing) {
            return Box::new(std::iter::empty());
        }
        if let ([_], false) = (self.queries, unsorted) {
            return self.of_one(0, after);
        }
        let mut all: Vec<Found<'s>> = (0..self.queries.len()).flat_map(|n| self.of_one(n, after)).collect();
        if unsorted {
            // No order that a client could guess, but the same one on every page.
            all.sort_by_key(|(_, _, record)| pick(record.seed, 7));
        } else {
            all.sort_by_key(|(_, key, _)| *key);
        }
        Box::new(all.into_iter())
    }

    fn of_one<'s>(&'s self, nth: usize, after: Option<&str>) -> Box<dyn Iterator<Item = Found<'s>> + 's> {
        let (resource, query) = &self.queries[nth];
        let all = self.inner.shelf(*resource);
        let now = self.context.now;
        let read = query.filter.as_ref().zip(all.columns.as_ref()).filter(|_| self.misread().is_none());
        let accepts = move |found: &Found<'_>| {
            let scene = Scene { key: found.1, record: found.2, ground: &self.inner.ground };
            read.is_none_or(|(filter, columns)| filter.accepts(&all.schema, columns, &scene))
        };
        if let Some(mut keys) = read.and_then(|(filter, columns)| filter.keys(&all.schema, columns)) {
            keys.sort_unstable();
            keys.dedup();
            keys.retain(|key| after.is_none_or(|after| *key > after));
            let found = keys.into_iter().filter_map(move |key| self.inner.shown(*resource, key, now));
            return Box::new(found.map(move |(key, record)| (nth, key, record)).filter(accepts));
        }
        let shown = self.inner.shown_after(*resource, after, now);
        Box::new(shown.map(move |(key, record)| (nth, key, record)).filter(accepts))
    }
}
