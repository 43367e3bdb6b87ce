//! Spells questions as addresses of the native API, and its tokens as links.
//!
//! The API gives no links but tokens. A link is made of the address that was asked and the token that came
//! back, so that a walk, its checkpoint and the guard against circles are the same in both dialects.
//!
//! Rules: a quote within a literal is escaped by a backslash (`SparkQL`), not doubled; moments end with `Z`, since
//! one without a zone is local to the server; `_orderby` never stands beside `_skiptoken`.

use spark_domain::walk::{Paging, Position};
use spark_domain::{Filter, KeyListForm, MediaPart, Query, RecordKey, Relation, Resource};
use url::Url;

use crate::address::{Root, ceil, encoded, floor, with_value};
use crate::question::{self, checked};

/// The service root of a feed and its standing filter.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    root: Root,
    filter: String,
}

/// The largest `_limit` of a resource, with a replication key (replication guide).
pub(crate) const fn most_per_page(resource: Resource) -> u32 {
    match resource {
        Resource::Property | Resource::Member | Resource::Office => 1000,
        Resource::Teams | Resource::OpenHouse | Resource::Lookup => 200,
    }
}

/// Whether the native API lists the resource.
pub(crate) const fn lists(resource: Resource) -> bool {
    path(resource).is_some()
}

const MEDIA: [&str; MediaPart::ALL.len()] = {
    let mut names = [""; MediaPart::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = MediaPart::ALL[at].as_str();
        at += 1;
    }
    names
};

/// What `_expand` names for a relation; empty if the native API has no such thing.
pub(crate) const fn expansions(relation: Relation) -> &'static [&'static str] {
    match relation {
        Relation::Media => &MEDIA,
        Relation::Room => &["Rooms"],
        Relation::Unit => &["Units"],
        Relation::OpenHouse => &["OpenHouses"],
        Relation::CustomFields => &["CustomFields"],
        Relation::CustomFieldsRaw => &["CustomFieldsRaw"],
        Relation::CustomFieldsExpandedRaw => &["CustomFieldsExpandedRaw"],
        Relation::GreenVerification
        | Relation::PowerProduction
        | Relation::RentalCalendar
        | Relation::HistoryTransactional
        | Relation::SocialMedia
        | Relation::Association
        | Relation::DelegatedAccess
        | Relation::ExternalProducts
        | Relation::TeamMembers => &[],
    }
}

/// What `_expand` names for a relation in this question: parts of `Media` may be left out of it.
pub(crate) fn asked(query: &Query, relation: Relation) -> impl Iterator<Item = &'static str> {
    // No part of `Media` is named as another relation's expansion is.
    let omitted = |name: &&str| query.omit.iter().any(|part| part.as_str() == *name);
    expansions(relation).iter().copied().filter(move |name| !omitted(name))
}

const fn path(resource: Resource) -> Option<&'static str> {
    match resource {
        Resource::Property => Some("listings"),
        Resource::Member | Resource::Office => Some("accounts"),
        Resource::OpenHouse => Some("openhouses"),
        Resource::Teams | Resource::Lookup => None,
    }
}

/// The key as the native API calls it.
const fn key_field(resource: Resource) -> &'static str {
    match resource {
        Resource::Property => "ListingKey",
        _ => "Id",
    }
}

impl Service {
    pub(crate) fn new(base_url: &Url, filter: &str) -> Self {
        Self { root: Root::new(base_url), filter: filter.trim().to_owned() }
    }

    /// The address of a page that no link leads to. The error says why the question has no spelling.
    pub(crate) fn page(
        &self,
        query: &Query,
        position: &Position,
        paging: Paging,
        top: u32,
    ) -> Result<Url, &'static str> {
        // A key only to step over a record that breaks its page: no token leads behind it.
        let after = checked(query, position)?;
        if paging != Paging::NextLink {
            return Err("the native API is paged by its tokens, not by key");
        }
        let path = path(query.resource).ok_or("the native API does not list this resource")?;
        let options = options(query)?;
        if let Some(key) = self.single(query) {
            return Ok(self.root.below(&format!("{path}/{}", encoded(key.as_str())), &options.join("&")));
        }
        let mut parts = vec![format!("_limit={}", top.min(most_per_page(query.resource)))];
        if !matches!(query.filter, Filter::Keys(..)) {
            // Begun empty, a walk is in the order of keys. A list of keys ends with them: whoever misses one asks again.
            parts.push("_skiptoken=".to_owned());
        }
        parts.extend(options);
        parts.extend(self.condition(query, after));
        Ok(self.root.below(path, &parts.join("&")))
    }

    /// The address that only counts what a question would list.
    pub(crate) fn count(&self, query: &Query) -> Result<Url, &'static str> {
        let path = path(query.resource).ok_or("the native API does not list this resource")?;
        let parts: Vec<_> =
            std::iter::once("_pagination=count".to_owned()).chain(self.condition(query, None)).collect();
        Ok(self.root.below(path, &parts.join("&")))
    }

    /// The key of a question that is answered by one record.
    pub(crate) fn single<'q>(&self, query: &'q Query) -> Option<&'q RecordKey> {
        question::single(query, &self.filter)
    }

    /// Where a stored link leads, with the value of `_limit` replaced. The error is the foreign origin.
    pub(crate) fn link(&self, resource: Resource, link: &str, top: Option<u32>) -> Result<Url, String> {
        self.root.link(link, "_limit", top.map(|top| top.min(most_per_page(resource))))
    }

    /// The link to the next page: the address that was asked, with the token that came back. The end has none:
    /// it is an empty page, a missing or empty token, or the one that was sent; never a short page alone.
    pub(crate) fn next(asked: &Url, token: Option<&str>, is_empty: bool) -> Option<String> {
        let token = token.filter(|token| !is_empty && !token.is_empty())?;
        let sent = asked.query_pairs().find(|(name, _)| name == "_skiptoken")?.1;
        (sent != token).then(|| with_value(asked.as_str(), "_skiptoken", &encoded(token)))
    }

    /// How many leading keys one question holds; at least 1.
    pub(crate) fn keys_that_fit(&self, query: &Query, keys: &[RecordKey]) -> usize {
        let address = |query: &Query| {
            self.page(query, &Position::Start, Paging::NextLink, 1000)
                .map_or(usize::MAX, |url| url.as_str().len())
        };
        let literal = |key: &RecordKey| encoded(&quoted(key)).len() - encoded("''").len();
        question::keys_that_fit(query, keys, address, literal)
    }

    fn condition(&self, query: &Query, after: Option<&RecordKey>) -> Option<String> {
        let key_field = key_field(query.resource);
        let mut terms = Vec::new();
        if !self.filter.is_empty() {
            terms.push(format!("({})", self.filter));
        }
        match query.resource {
            Resource::Member => terms.push("UserType Eq 'Member'".to_owned()),
            Resource::Office => terms.push("UserType Eq 'Office'".to_owned()),
            Resource::Property | Resource::Teams | Resource::OpenHouse | Resource::Lookup => {}
        }
        match &query.filter {
            Filter::All => {}
            Filter::Modified { after, until } => {
                terms.push(format!("ModificationTimestamp Gt {}", floor(*after)));
                terms.extend(until.map(|until| format!("ModificationTimestamp Le {}", ceil(until))));
            }
            Filter::Keys(keys, KeyListForm::In) => {
                let list: Vec<String> = keys.iter().map(quoted).collect();
                terms.push(format!("{key_field} Eq {}", list.join(",")));
            }
            Filter::Keys(keys, KeyListForm::EqOr | KeyListForm::Single) => {
                let list: Vec<String> =
                    keys.iter().map(|key| format!("{key_field} Eq {}", quoted(key))).collect();
                let alone = list.len() == 1 || terms.is_empty() && after.is_none();
                terms.push(if alone { list.join(" Or ") } else { format!("({})", list.join(" Or ")) });
            }
        }
        terms.extend(after.map(|key| format!("{key_field} Gt {}", quoted(key))));
        (!terms.is_empty()).then(|| format!("_filter={}", encoded(&terms.join(" And "))))
    }
}

fn options(query: &Query) -> Result<Vec<String>, &'static str> {
    if query.expand.is_empty() {
        if query.select.is_empty() {
            return Ok(Vec::new());
        }
        let own = query.resource.key_field();
        let name = |field: &&'static str| if *field == own { key_field(query.resource) } else { *field };
        return Ok(vec![format!("_select={}", query.select.iter().map(name).collect::<Vec<_>>().join(","))]);
    }
    // An expansion is a standard field as well: selecting others beside it might leave it out.
    let mut names: Vec<&str> = Vec::new();
    for relation in &query.expand {
        if expansions(*relation).is_empty() {
            return Err("the native API has no such expansion");
        }
        names.extend(asked(query, *relation));
    }
    if names.is_empty() {
        return Err("every part of Media is left out");
    }
    Ok(vec![format!("_expand={}", names.join(","))])
}

fn quoted(key: &RecordKey) -> String {
    format!("'{}'", key.as_str().replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use percent_encoding::percent_decode_str;

    use super::*;

    fn service(filter: &str) -> Service {
        Service::new(&"https://replication.sparkapi.com/v1/".parse().unwrap(), filter)
    }

    /// The token in an address, as it was meant.
    fn token_of(link: &str) -> Option<String> {
        let raw = link.split_once("_skiptoken=")?.1.split('&').next()?;
        Some(percent_decode_str(raw).decode_utf8_lossy().into_owned())
    }

    fn spell(service: &Service, query: &Query) -> String {
        let url = service.page(query, &Position::Start, Paging::NextLink, 1000).unwrap();
        let text = percent_decode_str(url.as_str()).decode_utf8_lossy().into_owned();
        text.trim_start_matches("https://replication.sparkapi.com/v1/").to_owned()
    }

    fn keys(list: &[&str], form: KeyListForm) -> Filter {
        Filter::Keys(list.iter().map(|key| RecordKey::new(key).unwrap()).collect(), form)
    }

    #[test]
    fn a_download_carries_nothing_but_its_size_and_an_empty_token() {
        let query = Query::collection(Resource::Property);
        assert_eq!(spell(&service(""), &query), "listings?_limit=1000&_skiptoken=");
        let query = Query::collection(Resource::OpenHouse);
        assert_eq!(spell(&service(""), &query), "openhouses?_limit=200&_skiptoken=");
    }

    #[test]
    fn people_and_offices_are_accounts_told_apart_by_their_type() {
        let query = Query::key_list(Resource::Office);
        assert_eq!(
            spell(&service(""), &query),
            "accounts?_limit=1000&_skiptoken=&_select=Id&_filter=UserType Eq 'Office'"
        );
    }

    #[test]
    fn a_window_is_whole_seconds_with_a_zone_behind_the_feeds_own_filter() {
        let at = |seconds, nanos| DateTime::from_timestamp(seconds, nanos).unwrap();
        let query = Query::modified(
            Resource::Property,
            at(1_772_366_400, 500),
            Some(at(1_772_366_460, 500)),
            vec![Relation::Room, Relation::CustomFields],
        );
        assert_eq!(
            spell(&service("MlsStatus Eq 'Active' Or MlsStatus Eq 'Pending'"), &query),
            "listings?_limit=1000&_skiptoken=&_expand=Rooms,CustomFields&_filter=(MlsStatus Eq 'Active' Or \
             MlsStatus Eq 'Pending') And ModificationTimestamp Gt 2026-03-01T12:00:00Z \
             And ModificationTimestamp Le 2026-03-01T12:01:01Z"
        );
    }

    #[test]
    fn behind_a_record_that_no_token_leads_past_the_list_goes_on_by_its_key() {
        let behind = Position::After(RecordKey::new("2024").unwrap());
        let url =
            service("").page(&Query::key_list(Resource::Member), &behind, Paging::NextLink, 25).unwrap();
        let text = percent_decode_str(url.as_str()).decode_utf8_lossy().into_owned();
        assert!(
            text.ends_with("_skiptoken=&_select=Id&_filter=UserType Eq 'Member' And Id Gt '2024'"),
            "{text}"
        );
    }

    #[test]
    fn keys_are_quoted_as_sparkql_wants_it() {
        let with =
            |form| Query { filter: keys(&["a'b", r"c\d"], form), ..Query::collection(Resource::Property) };
        assert_eq!(
            spell(&service(""), &with(KeyListForm::In)),
            r"listings?_limit=1000&_filter=ListingKey Eq 'a\'b','c\\d'"
        );
        assert_eq!(
            spell(&service("X Eq 1"), &with(KeyListForm::EqOr)),
            r"listings?_limit=1000&_filter=(X Eq 1) And (ListingKey Eq 'a\'b' Or ListingKey Eq 'c\\d')"
        );
    }

    #[test]
    fn one_record_has_an_address_unless_the_feed_has_a_filter() {
        let query = Query {
            filter: keys(&["2/ü"], KeyListForm::Single),
            expand: vec![Relation::Media],
            select: vec!["ListingKey"],
            ..Query::collection(Resource::Property)
        };
        assert_eq!(
            spell(&service(""), &query),
            "listings/2/ü?_expand=Photos,Videos,VirtualTours,Documents,FloPlans"
        );
        let address = service("").page(&query, &Position::Start, Paging::NextLink, 1).unwrap();
        assert!(address.as_str().contains("listings/2%2F%C3%BC?"), "{address}");
        assert!(spell(&service("X Eq 1"), &query).contains("(X Eq 1) And ListingKey Eq '2/ü'"));
    }

    #[test]
    fn a_token_becomes_a_link_and_the_end_none() {
        let service = service("");
        let start = service
            .page(&Query::collection(Resource::Property), &Position::Start, Paging::NextLink, 500)
            .unwrap();
        let next = Service::next(&start, Some("a&b=c"), false).unwrap();
        assert_eq!(token_of(&next).as_deref(), Some("a&b=c"));
        let second = service.link(Resource::Property, &next, Some(25)).unwrap();
        assert!(second.as_str().contains("_limit=25&"), "{second}");
        assert_eq!(Service::next(&second, Some("a&b=c"), false), None, "the token did not change");
        assert_eq!(Service::next(&second, Some("z"), true), None, "the page is empty");
        assert_eq!(Service::next(&second, Some(""), false), None);
        assert_eq!(Service::next(&second, None, false), None);
    }

    #[test]
    fn what_the_native_api_has_not_is_not_asked() {
        let refused =
            |query: &Query| service("").page(query, &Position::Start, Paging::NextLink, 1).unwrap_err();
        assert!(refused(&Query::collection(Resource::Lookup)).contains("does not list"));
        let query = Query { expand: vec![Relation::TeamMembers], ..Query::collection(Resource::Member) };
        assert!(refused(&query).contains("no such expansion"));
    }

    #[test]
    fn a_list_of_keys_keeps_within_the_address_and_sparkqls_limits() {
        let many: Vec<RecordKey> =
            (0..400).map(|n| RecordKey::new(&format!("2024010511445691{n:010}")).unwrap()).collect();
        for form in [KeyListForm::In, KeyListForm::EqOr, KeyListForm::Single] {
            let query =
                Query { filter: Filter::Keys(Vec::new(), form), ..Query::collection(Resource::Property) };
            let fitting = service("").keys_that_fit(&query, &many);
            let full = Query { filter: Filter::Keys(many[..fitting].to_vec(), form), ..query };
            let url = service("").page(&full, &Position::Start, Paging::NextLink, 1000).unwrap();
            assert!(url.as_str().len() <= question::LONGEST_URL && fitting >= 1, "{form:?}: {fitting}");
            assert!(form == KeyListForm::Single || fitting > 50, "{form:?}: {fitting}");
        }
    }
}
