//! Faults on the native surface, and the journal that reads both surfaces alike.

use serde_json::{Value, json};
use spark_simulator::{Dialect, Entry, Fault, InTrouble, Resource, Trouble};

use crate::Feed;

fn keys(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["Id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_native_question_reads_in_the_journal_as_its_reso_twin() {
    let feed = Feed::of(5).await;
    let stamp = "2026-03-01T12:00:00Z";
    for (native, reso) in [
        ("listings?_limit=7&_skiptoken=", "?$top=7"),
        ("listings?_limit=7&_skiptoken=K", "?$top=7&$skiptoken=K"),
        ("listings?_select=Id", "?$select=ListingKey"),
        ("listings?_select=Id,ListingKey,BedsTotal", "?$select=ListingKey,BedroomsTotal"),
        ("listings?_expand=Photos,Videos,Rooms,CustomFields", "?$expand=Media,Room,CustomFields"),
        ("listings?_expand=FloPlans", "?$expand=Media"),
        ("listings?_pagination=1", "?$count=true"),
        ("listings?_pagination=count", "?$count=true"),
        ("listings?_orderby=%2BId", "?$orderby=ListingKey"),
        (
            &format!("listings?_filter=ModificationTimestamp Gt {stamp}"),
            &format!("?$filter=ModificationTimestamp gt {stamp}"),
        ),
        (
            &format!("listings?_filter=ModificationTimestamp Bt {stamp},{stamp}"),
            &format!("?$filter=ModificationTimestamp ge {stamp} and ModificationTimestamp le {stamp}"),
        ),
        ("listings?_filter=Id Eq 'a','b'", "?$filter=ListingKey in ('a','b')"),
        ("listings?_filter=ListingKey Eq 'a'", "?$filter=ListingKey in ('a')"),
        ("listings?_filter=Id Eq 'a' Or Id Eq 'b'", "?$filter=ListingKey eq 'a' or ListingKey eq 'b'"),
        (
            "accounts?_filter=(Name Ne 'x' Or ShortId Eq 'y') And UserType Eq 'Office' And (Id Eq 'a' Or Id Eq 'b')",
            "?$filter=(OfficeName ne 'x' or OfficeMlsId eq 'y') and (OfficeKey eq 'a' or OfficeKey eq 'b')",
        ),
        ("listings?_filter=ListingKey Gt 'a'", "?$filter=ListingKey gt 'a'"),
        (
            "listings?_filter=City Eq 'O\\'Fallon' And (BedsTotal Ge 2 Or Not CloseDate Eq NULL)",
            "?$filter=City eq 'O''Fallon' and (BedroomsTotal ge 2 or not CloseDate eq null)",
        ),
        ("accounts?_filter=UserType Eq 'Member'", "?"),
        ("accounts?_filter=UserType Eq 'Office' And Id Eq 'a','b'", "?$filter=OfficeKey in ('a','b')"),
        ("accounts?_filter=Id Eq 'a','b' And UserType Eq 'Member'", "?$filter=MemberKey in ('a','b')"),
        (
            "openhouses?_filter=OpenHouseStartTimestamp Lt 2026-03-01T12:00:00Z",
            "?$filter=OpenHouseStartTime lt 2026-03-01T12:00:00Z",
        ),
    ] {
        assert_eq!(feed.ask(native).await.0, 200, "{native}");
        let entry = feed.simulator.journal().requests().pop().unwrap();
        let url = entry.url();
        assert_eq!(&url[url.find('?').unwrap()..], reso, "{native}");
        assert_eq!(entry.dialect, Dialect::Spark);
    }
}

#[tokio::test]
async fn what_a_request_wants_is_told_alike_on_both_surfaces() {
    let feed = Feed::of(30).await;
    let said = async |reso: &str, native: &str, of: &dyn Fn(&Entry) -> Value| {
        feed.get(reso).await;
        feed.ask(native).await;
        let [.., one, two] = &feed.simulator.journal().requests()[..] else { unreachable!() };
        assert_eq!(of(one), of(two), "{reso} and {native}");
        of(one)
    };
    let sweep = (
        "Property?$select=ListingKey&$top=5&$count=true",
        "listings?_select=Id&_limit=5&_pagination=1&_skiptoken=",
    );
    assert_eq!(said(sweep.0, sweep.1, &|entry| entry.is_key_list().into()).await, true);
    assert_eq!(said(sweep.0, sweep.1, &|entry| entry.top().into()).await, 5);
    assert_eq!(said(sweep.0, sweep.1, &|entry| entry.counts().into()).await, true);
    assert_eq!(said(sweep.0, sweep.1, &|entry| entry.after().into()).await, Value::Null);
    assert_eq!(said(sweep.0, sweep.1, &|entry| entry.resource.clone().into()).await, "Property");
    let next = ("Property?$skiptoken=5&$expand=Media,Unit", "listings?_skiptoken=5&_expand=Photos,Units");
    assert_eq!(said(next.0, next.1, &|entry| entry.after().into()).await, "5");
    assert_eq!(said(next.0, next.1, &|entry| entry.expands("Unit").into()).await, true);
    assert_eq!(said(next.0, next.1, &|entry| entry.expands("Room").into()).await, false);
    assert_eq!(said(next.0, next.1, &|entry| entry.is_key_list().into()).await, false);
    let some =
        ("Member?$filter=MemberKey in ('a','b')", "accounts?_filter=UserType Eq 'Member' And Id Eq 'a','b'");
    assert_eq!(said(some.0, some.1, &|entry| entry.keys().into()).await, json!(["a", "b"]));
    assert_eq!(said(some.0, some.1, &|entry| entry.has_filter().into()).await, true);
    let either = (
        "Office?$filter=OfficeKey eq 'a''b' or OfficeKey eq 'c'",
        "accounts?_filter=UserType Eq 'Office' And (Id Eq 'a\\'b' Or Id Eq 'c')",
    );
    assert_eq!(said(either.0, either.1, &|entry| entry.keys().into()).await, json!(["a'b", "c"]));
    assert_eq!(said(either.0, either.1, &|entry| entry.resource.clone().into()).await, "Office");
    let all = ("Member?$top=3", "accounts?_limit=3&_filter=UserType Eq 'Member'");
    assert_eq!(said(all.0, all.1, &|entry| entry.has_filter().into()).await, false);
    let one = ("Property('7')", "listings/7");
    assert_eq!(said(one.0, one.1, &|entry| entry.keys().into()).await, json!(["7"]));
}

#[tokio::test]
async fn a_fault_finds_the_same_requests_on_both_surfaces() {
    let feed = Feed::of(30).await;
    let faults = feed.simulator.faults();
    let fault = || Fault::new(Trouble::d(503, 1510)).on("Property");
    for (fault, hit, missed) in [
        (fault().matching("skiptoken"), "listings?_skiptoken=5", "listings?_skiptoken="),
        (fault().matching("$select=ListingKey"), "listings?_select=Id", "listings?_limit=5"),
        (fault().unless("$filter"), "listings", "listings?_filter=City Eq 'x'"),
        (fault().matching("$expand"), "listings?_expand=Photos", "listings?_limit=5"),
        (fault().matching("ListingKey in"), "listings?_filter=Id Eq 'a'", "listings?_filter=City Eq 'a'"),
        (
            fault().when(Entry::is_key_list),
            "listings?_select=ListingKey",
            "listings?_select=Id&_filter=Id Eq 'a'",
        ),
        (fault(), "listings", "accounts?_filter=UserType Eq 'Member'"),
    ] {
        faults.push(fault);
        assert_eq!(feed.ask(missed).await.0, 200, "{missed}");
        let (status, envelope) = feed.ask(hit).await;
        assert_eq!((status, envelope["Code"].as_i64()), (503, Some(1510)), "{hit}");
        assert_eq!(faults.pending(), 0);
    }
    // Whatever shape a test asks for, the native surface knows one.
    faults.push(Fault::new(Trouble::error(401, 401)));
    assert_eq!(feed.ask("listings").await.1["Code"], 1000);
    faults.push(Fault::new(Trouble::error(403, 1500)).on("Member"));
    assert_eq!(feed.ask("accounts?_filter=UserType Eq 'Member'").await.1["Code"], 1500);
}

#[tokio::test]
async fn a_native_list_lies_about_its_end_its_count_and_its_records() {
    let feed = Feed::of(60).await;
    let world = feed.simulator.world();
    let all = world.keys(Resource::Property);
    let walk = async |trouble: Trouble| {
        feed.simulator.faults().push(Fault::new(trouble).on("Property").nth(2));
        let found = keys(&feed.follow("listings?_limit=20").await);
        assert_eq!(feed.simulator.faults().pending(), 0);
        found
    };
    assert_eq!(walk(Trouble::NoLink).await, all[..40]);
    assert_eq!(walk(Trouble::EmptyPage).await, all[..20], "who stops at an empty page loses the rest");
    assert_eq!(walk(Trouble::LeavesOut(4)).await.len(), 56);
    assert_eq!(walk(Trouble::Doubled).await.len(), 61);
    let reversed = walk(Trouble::Reversed).await;
    assert!(!reversed.is_sorted() && reversed[20] == all[39] && reversed[40..] == all[40..]);
    let repeated = walk(Trouble::RepeatedLink).await;
    assert_eq!(repeated, [&all[..40], &all[..]].concat());

    feed.simulator.faults().push(Fault::new(Trouble::EmptyPage));
    assert_eq!(feed.results("listings").await.len(), 10, "no walk, nothing to go on from");
    let (_, empty) = feed.ask(&format!("listings?_limit=20&_skiptoken={}", all[19])).await;
    assert!(empty["Results"] == json!([]) && empty["SkipToken"] == format!("{}!", all[19]));
    let behind = feed.results(&format!("listings?_skiptoken={}!", all[19])).await;
    assert_eq!(keys(&behind)[0], all[20], "who goes on loses nothing");

    for (trouble, expected) in
        [(Trouble::CountOff(-2), json!(58)), (Trouble::NoCount, Value::Null), (Trouble::NoRecords, json!(0))]
    {
        feed.simulator.faults().push(Fault::new(trouble));
        assert_eq!(feed.ask("listings?_pagination=1").await.1["Pagination"]["TotalRows"], expected);
    }
    feed.simulator.faults().push(Fault::new(Trouble::NoRecords));
    let (_, body) = feed.get("Property").await;
    assert_eq!(body, json!({ "@odata.count": 0, "value": [] }));
    feed.simulator.faults().push(Fault::new(Trouble::ExpiredToken).times(2));
    assert_eq!(feed.ask("listings?_skiptoken=").await.0, 200);
    assert_eq!(feed.ask("listings?_skiptoken=5").await.0, 400);
    assert_eq!(feed.get("Property?$skiptoken=5").await.0, 400);
    feed.simulator.faults().push(Fault::new(Trouble::TooSlowAbove(100)));
    assert_eq!(feed.ask("listings?_limit=101").await.1["Code"], 1515);
    for trouble in [Trouble::ForeignLink("http://127.0.0.1:1".into()), Trouble::RelativeLink] {
        feed.simulator.faults().push(Fault::new(trouble));
    }
    assert_eq!(keys(&feed.follow("listings").await), all);
    assert_eq!(feed.simulator.faults().pending(), 2, "a list without links has none to spoil");
}

#[tokio::test]
async fn an_unsorted_native_list_is_whole_and_its_tokens_are_no_keys() {
    let feed = Feed::of(60).await;
    feed.simulator.faults().push(Fault::new(Trouble::Unsorted).on("Property").forever());
    let mut found = keys(&feed.follow("listings?_limit=25").await);
    assert!(!found.is_sorted());
    found.sort_unstable();
    let all = feed.simulator.world().keys(Resource::Property);
    assert_eq!(found, all);
    let path = format!("listings?_orderby=%2BListingKey&_filter=ListingKey Gt '{}'", all[49]);
    assert_eq!(keys(&feed.results(&path).await), all[50..]);
}

#[tokio::test]
async fn native_expansions_and_lists_of_keys_go_wrong_as_reso_ones_do() {
    let feed = Feed::of(30).await;
    let faults = feed.simulator.faults();
    let path = "listings?_limit=1&_expand=Photos,Documents,Rooms";
    let fields = async |trouble| {
        faults.push(Fault::new(trouble));
        assert_eq!(feed.ask("listings?_expand=Units").await.0, 200);
        assert_eq!(faults.pending(), 1);
        feed.results(path).await.remove(0)["StandardFields"].take()
    };
    let gone = fields(Trouble::NoExpansion("Media")).await;
    assert!(gone.get("Photos").is_none() && gone.get("Documents").is_none() && gone["Rooms"].is_array());
    let empty = fields(Trouble::EmptyExpansion("Media")).await;
    assert!(empty["Photos"] == json!([]) && empty["Documents"] == json!([]));
    let partial = fields(Trouble::PartialExpansion("Media")).await;
    assert!(partial.get("Photos").is_none() && partial["Documents"].is_array());

    faults.push(Fault::new(Trouble::NoExpansion("CustomFields")));
    let record = feed.results("listings?_limit=1&_expand=CustomFields,CustomFieldsRaw").await.remove(0);
    assert!(record.get("CustomFields").is_none() && record["CustomFieldsRaw"].is_array());

    let all = feed.simulator.world().keys(Resource::Property);
    let path = format!("listings?_limit=20&_filter=ListingKey Eq '{}','{}'", all[20], all[21]);
    for (trouble, expected) in [(InTrouble::Ignored, 20), (InTrouble::PageOfTen, 10), (InTrouble::Nothing, 0)]
    {
        faults.push(Fault::new(Trouble::In(trouble)));
        assert_eq!(feed.results("listings?_limit=20").await.len(), 20);
        assert_eq!(feed.results(&path).await.len(), expected, "{trouble:?}");
    }
    faults.push(Fault::new(Trouble::In(InTrouble::Refused)));
    assert_eq!(feed.ask(&path).await.1["Code"], 1040);
    assert_eq!(feed.results(&path).await.len(), 2);
    let offices = "accounts?_filter=UserType Eq 'Office' And Id Eq 'a'";
    faults.push(Fault::new(Trouble::In(InTrouble::Ignored)));
    assert!(feed.results(offices).await.iter().all(|account| account["UserType"] == "Office"));
}

#[tokio::test]
async fn one_token_and_one_budget_serve_both_surfaces() {
    let rate_limit = Some((3, std::time::Duration::from_mins(1)));
    let feed = Feed::with(spark_simulator::Settings { rate_limit, ..Default::default() }).await;
    assert_eq!(
        (feed.get("Office").await.0, feed.ask("listings").await.0, feed.get("Office").await.0),
        (200, 200, 200)
    );
    let (status, envelope) = feed.ask("openhouses").await;
    assert_eq!((status, envelope["Code"].as_i64()), (429, Some(1550)));
    assert_eq!(feed.simulator.base_url_of(Dialect::Spark), feed.simulator.spark_base_url());
    assert_eq!(feed.simulator.base_url_of(Dialect::Reso), feed.simulator.base_url());
}
