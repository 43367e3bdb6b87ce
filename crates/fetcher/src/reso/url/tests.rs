use proptest::prelude::*;
use spark_domain::{Relation, Resource};

use percent_encoding::percent_decode_str;
use spark_domain::Timestamp;

use super::*;
use crate::question::LONGEST_URL;

const ROOT: &str = "https://mls.example/Version/3/Reso/OData";

fn service(filter: &str) -> Service {
    Service::new(&ROOT.parse().unwrap(), filter)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spelled(filter: &str, query: &Query, position: &Position, paging: Paging) -> String {
    let url = service(filter).page(query, position, paging, 100).unwrap();
    url.as_str().strip_prefix(ROOT).unwrap().to_owned()
}

fn first(query: &Query) -> String {
    spelled("", query, &Position::Start, Paging::NextLink)
}

fn keys(list: &[&str], form: KeyListForm) -> Query {
    let keys = list.iter().map(|key| RecordKey::new(key).unwrap()).collect();
    Query { filter: Filter::Keys(keys, form), count: false, ..Query::collection(Resource::Property) }
}

#[test]
fn an_initial_download_carries_nothing_but_size_and_count() {
    assert_eq!(first(&Query::collection(Resource::Property)), "/Property?$top=100&$count=true");
    let sweep = first(&Query::key_list(Resource::Teams));
    assert_eq!(sweep, "/Teams?$top=100&$count=true&$select=TeamKey");
}

#[test]
fn a_slash_at_the_roots_end_changes_nothing() {
    let service = Service::new(&format!("{ROOT}/").parse().unwrap(), "");
    let url =
        service.page(&Query::collection(Resource::Office), &Position::Start, Paging::NextLink, 1).unwrap();
    assert_eq!(url.as_str(), format!("{ROOT}/Office?$top=1&$count=true"));
    assert_eq!(service.metadata().as_str(), format!("{ROOT}/$metadata"));
}

#[test]
fn a_space_is_percent_20_and_stamps_have_whole_seconds() {
    let query = Query::modified(
        Resource::Property,
        at("2026-03-01T12:00:00.9Z"),
        Some(at("2026-03-02T12:00:00.1Z")),
        vec![Relation::Room, Relation::Unit],
    );
    assert_eq!(
        first(&query),
        "/Property?$top=100&$expand=Room,Unit&$filter=ModificationTimestamp%20gt%202026-03-01T12:00:00Z%20and%20\
         ModificationTimestamp%20le%202026-03-02T12:00:01Z"
    );
}

#[test]
fn quotes_are_doubled_and_then_encoded() {
    assert_eq!(
        first(&keys(&["O'Hare & Co", "b+c"], KeyListForm::In)),
        "/Property?$top=100&$filter=ListingKey%20in%20(%27O%27%27Hare%20%26%20Co%27,%27b%2Bc%27)"
    );
    assert_eq!(
        first(&keys(&["a", "b"], KeyListForm::EqOr)),
        "/Property?$top=100&$filter=ListingKey%20eq%20%27a%27%20or%20ListingKey%20eq%20%27b%27"
    );
    assert_eq!(first(&keys(&["a/b'c"], KeyListForm::Single)), "/Property('a%2Fb%27%27c')");
}

#[test]
fn the_feeds_filter_is_part_of_every_question() {
    let filter = "MlsStatus eq 'Active' or City eq 'Bergen'";
    let told = |query: &Query, position: &Position| {
        let url = spelled(filter, query, position, Paging::NextLink);
        percent_decode_str(&url).decode_utf8().unwrap().split_once("$filter=").unwrap().1.to_owned()
    };
    let (start, after) = (Position::Start, Position::After(RecordKey::new("k").unwrap()));
    assert_eq!(told(&Query::collection(Resource::Property), &start), filter);
    assert_eq!(told(&keys(&["a"], KeyListForm::In), &start), format!("({filter}) and ListingKey in ('a')"));
    assert_eq!(told(&keys(&["a"], KeyListForm::Single), &start), format!("({filter}) and ListingKey eq 'a'"));
    assert_eq!(
        told(&keys(&["a", "b"], KeyListForm::EqOr), &start),
        format!("({filter}) and (ListingKey eq 'a' or ListingKey eq 'b')")
    );
    assert_eq!(
        told(&Query::collection(Resource::Property), &after),
        format!("({filter}) and ListingKey gt 'k'")
    );
}

#[test]
fn only_paging_by_key_orders_and_only_the_first_page_counts() {
    let all = Query::collection(Resource::Member);
    let next = Position::After(RecordKey::new("m1").unwrap());
    assert_eq!(
        spelled("", &all, &Position::Start, Paging::Key),
        "/Member?$top=100&$count=true&$orderby=MemberKey"
    );
    assert_eq!(
        spelled("", &all, &next, Paging::Key),
        "/Member?$top=100&$filter=MemberKey%20gt%20%27m1%27&$orderby=MemberKey"
    );
}

#[test]
fn a_question_without_a_spelling_is_not_asked() {
    let refused = |query: &Query, position| service("").page(query, &position, Paging::NextLink, 1).is_err();
    assert!(refused(&keys(&[], KeyListForm::In), Position::Start), "an empty list would mean everything");
    assert!(refused(&keys(&["a", "b"], KeyListForm::Single), Position::Start), "b would look missing");
    assert!(refused(&Query::collection(Resource::Property), Position::End));
}

#[test]
fn a_link_is_followed_verbatim() {
    let link = format!("{ROOT}/Property?%24expand=Media%2CRoom&%24skiptoken=2025%200301&%24top=1000&x=a+b");
    assert_eq!(service("").link(&link, None).unwrap().as_str(), link);
    assert_eq!(service("").link(&link, Some(1000)).unwrap().as_str(), link);
}

#[test]
fn only_the_value_of_top_is_changed_in_a_link() {
    for (given, wanted) in [
        ("?%24skiptoken=%24top%3D5&%24top=1000", "?%24skiptoken=%24top%3D5&%24top=7"),
        ("?$top=1000&$skip=2000", "?$top=7&$skip=2000"),
        ("?$skiptoken=abc", "?$skiptoken=abc"),
        ("?%24TOP=5&$topmost=5", "?%24TOP=5&$topmost=5"),
    ] {
        let url = service("").link(&format!("{ROOT}/Property{given}"), Some(7)).unwrap();
        assert_eq!(url.as_str(), format!("{ROOT}/Property{wanted}"));
    }
}

#[test]
fn a_relative_link_belongs_to_the_feed() {
    let wanted = format!("{ROOT}/Property?$skiptoken=1");
    for link in
        ["Property?$skiptoken=1", "/Version/3/Reso/OData/Property?$skiptoken=1", "./Property?$skiptoken=1"]
    {
        assert_eq!(service("").link(link, None).unwrap().as_str(), wanted);
    }
}

#[test]
fn a_link_on_a_page_is_kept_as_given_or_made_absolute() {
    let asked: Url = format!("{ROOT}/Property?$top=2").parse().unwrap();
    let given = format!("{ROOT}/Property?%24skiptoken='1'");
    assert_eq!(service("").next(&asked, &given), Ok(given));
    let wanted = format!("{ROOT}/Property?$skiptoken=1");
    for link in ["?$skiptoken=1", "Property?$skiptoken=1", "/Version/3/Reso/OData/Property?$skiptoken=1"] {
        assert_eq!(service("").next(&asked, link).as_ref(), Ok(&wanted));
    }
    assert!(service("").next(&asked, "//evil.example/").is_err());
}

#[test]
fn a_link_to_any_other_origin_is_foreign() {
    for link in [
        "https://evil.example/Property",
        "http://mls.example/Property",
        "https://mls.example:8443/Property",
        "//evil.example/Property",
        "https://mls.example@evil.example/Property",
        "https://user@mls.example/Property",
        "\\\\evil.example\\Property",
        "javascript:alert(1)",
    ] {
        assert!(service("").link(link, None).is_err(), "{link} would be followed");
    }
    assert_eq!(
        service("").link("https://evil.example/Property?t=1", None),
        Err("https://evil.example".to_owned())
    );
}

#[test]
fn a_list_of_keys_keeps_its_address_short() {
    let many: Vec<RecordKey> = (0..1000).map(|n| RecordKey::new(&format!("2025{n:022}")).unwrap()).collect();
    for (form, least, most) in
        [(KeyListForm::In, 150, 200), (KeyListForm::EqOr, 60, 60), (KeyListForm::Single, 1, 1)]
    {
        let fit = service("City eq 'x'").keys_that_fit(&keys(&["x"], form), &many);
        assert!((least..=most).contains(&fit), "{form:?} takes {fit}");
    }
    let long: Vec<RecordKey> = (0..50).map(|_| RecordKey::new(&"ü".repeat(256)).unwrap()).collect();
    assert!((1..5).contains(&service("").keys_that_fit(&keys(&["x"], KeyListForm::In), &long)));
    assert_eq!(service("").keys_that_fit(&keys(&["x"], KeyListForm::In), &[]), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What was asked for is what a server decodes.
    #[test]
    fn any_key_survives_its_spelling(text in "[ -~äß€😀]{1,60}") {
        let key = RecordKey::new(&text).unwrap();
        let query = keys(&[&text], KeyListForm::In);
        let url = service("").page(&query, &Position::Start, Paging::NextLink, 1).unwrap();
        let query = url.query().unwrap();
        prop_assert!(!query.contains(['+', ' ', '#']) && query.matches('&').count() == 1);
        let decoded = percent_decode_str(query).decode_utf8().unwrap().into_owned();
        let list = format!("in ({})", quoted(&key));
        prop_assert!(decoded.ends_with(&list), "{decoded}");
    }

    /// The estimate and the spelling agree: what fits stays short, and one more would not.
    #[test]
    fn as_many_keys_as_fit_and_no_more(list in proptest::collection::vec("[a-z'+ü]{1,250}", 1..120)) {
        let all: Vec<RecordKey> = list.iter().map(|text| RecordKey::new(text).unwrap()).collect();
        let length = |n: usize| {
            let query = Query { filter: Filter::Keys(all[..n].to_vec(), KeyListForm::In), ..keys(&["x"], KeyListForm::In) };
            service("").page(&query, &Position::Start, Paging::Key, 1000).unwrap().as_str().len()
        };
        let fit = service("").keys_that_fit(&keys(&["x"], KeyListForm::In), &all);
        prop_assert!(fit == 1 || length(fit) <= LONGEST_URL);
        prop_assert!(fit == all.len() || length(fit + 1) > LONGEST_URL);
    }
}
