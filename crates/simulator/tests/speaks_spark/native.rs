//! What a well-behaved client sees of the native surface.

use serde_json::{Value, json};
use spark_simulator::{Fault, ListEnd, Resource, Settings, Trouble};

use crate::Feed;

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["Id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn following_the_tokens_visits_every_key_once_and_in_order_however_the_list_ends() {
    for (list_end, requests) in
        [(ListEnd::Empty, 6), (ListEnd::Missing, 5), (ListEnd::Unchanged, 5), (ListEnd::Any, 0)]
    {
        let feed = Feed::with(Settings { listings: 230, list_end, ..Settings::default() }).await;
        let records = feed.follow("listings?_limit=50&_select=Id").await;
        assert_eq!(ids(&records), feed.simulator.world().keys(Resource::Property), "{list_end:?}");
        let asked = feed.simulator.journal().of("Property");
        assert!(requests == 0 || asked.len() == requests, "{list_end:?}: {} requests", asked.len());
        assert_eq!(asked[1].raw_query, format!("_limit=50&_select=Id&_skiptoken={}", ids(&records)[49]));
        assert_eq!(records[7]["StandardFields"], json!({}));
    }
}

#[tokio::test]
async fn a_short_page_ends_nothing_on_either_surface() {
    let settings = Settings { listings: 60, list_end: ListEnd::Missing, ..Settings::default() };
    let feed = Feed::with(settings).await;
    let keys = feed.simulator.world().keys(Resource::Property);
    // One in the middle, and what would have been the last one.
    for nth in [2, 3] {
        let short = Fault::new(Trouble::ShortPage(13)).nth(nth);
        feed.simulator.faults().push(short.clone());
        feed.simulator.journal().clear();
        assert_eq!(ids(&feed.follow("listings?_limit=20").await), keys);
        assert_eq!(feed.simulator.journal().of("Property")[usize::try_from(nth).unwrap() - 1].records, 7);
        feed.simulator.faults().push(short);
        assert_eq!(feed.keys("Property?$top=20", "ListingKey").await, keys);
        assert_eq!(feed.simulator.faults().pending(), 0);
    }
}

#[tokio::test]
async fn a_count_comes_with_a_page_or_alone_and_a_token_only_to_who_asks_for_one() {
    let feed = Feed::of(30).await;
    let (_, page) = feed.ask("listings?_pagination=1&_page=3").await;
    assert_eq!(
        page["Pagination"],
        json!({ "TotalRows": 30, "PageSize": 10, "CurrentPage": 3, "TotalPages": 3 })
    );
    assert_eq!(
        ids(page["Results"].as_array().unwrap()),
        feed.simulator.world().keys(Resource::Property)[20..]
    );
    assert!(page.get("SkipToken").is_none());
    let (_, counted) = feed.ask("listings?_pagination=count&_filter=City Eq 'Nowhere'").await;
    assert_eq!((counted["Pagination"]["TotalRows"].as_i64(), counted.get("Results")), (Some(0), None));
}

#[tokio::test]
async fn what_the_documents_forbid_is_refused_with_its_code_and_its_reason() {
    let feed = Feed::of(5).await;
    let many = |many: usize| vec!["City Eq 'x'"; many].join(" Or ");
    let values = |many: usize| vec!["'x'"; many].join(",");
    for (path, code) in [
        ("listings?_limit=1001".to_owned(), 1053),
        ("accounts?_limit=1001".to_owned(), 1053),
        ("openhouses?_limit=201".to_owned(), 1053),
        ("listings?_limit=ten".to_owned(), 1053),
        ("listings?_limit=5&_limit=5".to_owned(), 1053),
        ("listings?$top=5".to_owned(), 1053),
        ("listings?_skiptoken=&_orderby=%2BListingKey".to_owned(), 1050),
        ("listings?_select=BedroomsTotal".to_owned(), 1040),
        ("listings?_expand=Media".to_owned(), 1040),
        ("openhouses?_expand=Photos".to_owned(), 1040),
        ("listings?_filter=ListPrise Eq 1".to_owned(), 1040),
        ("listings?_filter=City eq 'O''Fallon'".to_owned(), 1040),
        ("listings?_filter=City+Eq+'x'".to_owned(), 1040),
        ("listings?_filter=ListPrice Gt 1,2".to_owned(), 1040),
        (
            "listings?_filter=ModificationTimestamp Eq 2026-01-01T00:00:00Z,2026-01-02T00:00:00Z".to_owned(),
            1040,
        ),
        ("listings?_filter=ModificationTimestamp Gt '2026-01-01T00:00:00Z'".to_owned(), 1040),
        (format!("listings?_filter={}", many(76)), 1041),
        (format!("listings?_filter=Id Eq {}", values(201)), 1041),
        ("listings?_filter=(((City Eq 'x')))".to_owned(), 1041),
        ("listings/nobody".to_owned(), 404),
        ("contacts".to_owned(), 404),
    ] {
        let (status, envelope) = feed.ask(&path).await;
        let expected = if code == 404 { 404 } else { 400 };
        assert_eq!((status, envelope["Code"].as_i64()), (expected, Some(code)), "{path}: {envelope}");
        assert_eq!(envelope["Success"], false);
        assert_eq!(envelope["SparkQLErrors"].is_array(), code == 1040, "{path}: {envelope}");
        assert_eq!(envelope["Details"].is_array(), code == 1053, "{path}: {envelope}");
    }
    for allowed in [
        "listings?_limit=1000".to_owned(),
        "openhouses?_limit=200".to_owned(),
        format!("listings?_filter={}", many(75)),
        format!("listings?_filter=Id Eq {}", values(200)),
        "listings?_filter=((City Eq 'x'))".to_owned(),
    ] {
        assert_eq!(feed.ask(&allowed).await.0, 200, "{allowed}");
    }
    let (_, broken) = feed.ask("listings?_limit=1001").await;
    let rule = &broken["Details"][0]["_limit"][0];
    assert_eq!(
        (&rule["RuleName"], &rule["RuleValue"], &rule["Value"]),
        (&"Maximum".into(), &1000.0.into(), &1001.0.into())
    );
    let (_, unknown) = feed.ask("listings?_filter=ListPrise Eq 1").await;
    assert_eq!(unknown["SparkQLErrors"][0]["Token"], "ListPrise");

    feed.simulator.set_token("another");
    let url = format!("{}/listings", feed.simulator.spark_base_url());
    let answer = feed.client.get(url).header("Authorization", "Bearer old").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["D"]["Code"], 1000);
}

#[tokio::test]
async fn sparkql_means_what_it_says() {
    let feed = Feed::of(120).await;
    let world = feed.simulator.world();
    let keys = world.keys(Resource::Property);
    let all = world.truth(Resource::Property);
    let count = |wanted: &dyn Fn(&Value) -> bool| all.iter().filter(|(_, body)| wanted(body)).count();
    let price = |body: &Value| body["ListPrice"].as_f64();
    for (filter, expected) in [
        ("City Eq 'O\\'Fallon'", count(&|body| body["City"] == "O'Fallon")),
        ("CITY eq 'x' Or StandardStatus ne 'Active'", 0),
        ("City eq 'x' oR StandardStatus NE 'Active'", count(&|body| body["StandardStatus"] != "Active")),
        (
            "City Ne 'Coteau','Northbank'",
            count(&|body| body["City"] != "Coteau" && body["City"] != "Northbank"),
        ),
        ("ListPrice Bt 300000,500000", count(&|body| price(body) >= Some(3e5) && price(body) <= Some(5e5))),
        (
            "Not (BedsTotal Lt 3) And BathsTotal Ge 2",
            count(&|body| {
                body["BedroomsTotal"].as_i64() >= Some(3) && body["BathroomsTotalInteger"].as_i64() >= Some(2)
            }),
        ),
        ("PropertyType Eq 'C'", count(&|body| body["PropertyType"] == "Land")),
        ("PermitInternetYN Eq false", count(&|body| body["InternetEntireListingDisplayYN"] == false)),
        ("CloseDate Eq NULL", count(&|body| body["CloseDate"].is_null())),
        ("Id Eq 'gone' Or ListingKey Eq 'gone'", 0),
        (&format!("Id Eq '{}','{}','gone'", keys[3], keys[5]), 2),
    ] {
        if filter.starts_with("CITY") {
            assert_eq!(feed.ask(&format!("listings?_filter={filter}")).await.0, 400, "names have their case");
            continue;
        }
        let found = feed.follow(&format!("listings?_limit=100&_filter={filter}")).await.len();
        assert_eq!(found, expected, "{filter}");
        assert!(expected > 0 || filter.contains("gone"), "{filter} proves nothing");
    }
}

#[tokio::test]
async fn a_time_without_a_zone_is_not_utc() {
    let feed = Feed::of(20).await;
    let world = feed.simulator.world();
    let key = world.keys(Resource::Property).remove(7);
    world.set_price(&key, 123_000.0);
    let since =
        (world.clock().now() - chrono::TimeDelta::minutes(20)).format("%Y-%m-%dT%H:%M:%S").to_string();
    let found = async |literal: &str| {
        let path = format!("listings?_filter=ModificationTimestamp Gt {literal}");
        feed.results(&path).await.len()
    };
    assert_eq!(found(&format!("{since}Z")).await, 1);
    assert_eq!(found(&since).await, 0, "a client that forgets the Z is found out");
}

#[tokio::test]
async fn a_listing_has_the_names_and_the_shapes_of_the_native_surface() {
    let feed = Feed::of(60).await;
    let world = feed.simulator.world();
    let keys = world.keys(Resource::Property);
    for field in
        ["ListPrice", "CloseDate", "PhotosChangeTimestamp", "InteriorFeatures", "BathroomsTotalInteger"]
    {
        world.hide_field(Resource::Property, &keys[0], field);
    }
    world.edit(Resource::Property, &keys[1], "BedroomsTotal", 4);
    world.edit(Resource::Property, &keys[1], "PropertyType", "Land");
    world.edit(Resource::Property, &keys[1], "NewField", "new");
    let records = feed.results("listings?_limit=60").await;
    let fields = &records[0]["StandardFields"];
    for hidden in ["ListPrice", "CloseDate", "PhotosChangeTimestamp", "InteriorFeatures", "BathsTotal"] {
        assert_eq!(fields[hidden], "********", "{hidden}");
    }
    let fields = &records[1]["StandardFields"];
    assert_eq!(records[1]["ResourceUri"], format!("/v1/listings/{}", keys[1]));
    assert_eq!((&fields["BedsTotal"], &fields["PropertyType"]), (&json!(4), &json!("C")));
    assert_eq!((&fields["PropertyTypeLabel"], &fields["NewField"]), (&json!("Land"), &json!("new")));
    let truth = world.listing(&keys[1]).unwrap();
    assert_eq!(fields["ListAgentId"], truth["ListAgentKey"]);
    assert_eq!(fields["BathsTotal"], format!("{}.0", truth["BathroomsTotalInteger"]));
    assert_eq!(fields["LivingArea"], format!("{:.2}", truth["LivingArea"].as_f64().unwrap()));
    assert!(records.iter().any(|record| {
        let features = record["StandardFields"]["InteriorFeatures"].as_object();
        features
            .is_some_and(|features| !features.is_empty() && features.values().all(|chosen| *chosen == true))
    }));
    assert!(records.iter().all(|record| record["DisplayCompliance"]["View"].is_string()));
    for absent in ["BedroomsTotal", "Photos", "Rooms"] {
        assert!(records.iter().all(|record| record["StandardFields"].get(absent).is_none()), "{absent}");
    }
    let names = records.iter().flat_map(|record| record["StandardFields"].as_object().unwrap().keys());
    assert!(!names.into_iter().any(|name| name.contains("_co_") || name.contains('@')));
    let chosen = feed.results("listings?_limit=1&_select=ListPrice,BedsTotal").await.remove(0);
    let names: Vec<&String> = chosen.as_object().unwrap().keys().collect();
    assert_eq!(names, ["Id", "ResourceUri", "StandardFields"]);
    assert_eq!(chosen["StandardFields"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn accounts_are_members_and_offices_and_open_houses_tell_both_times() {
    let feed = Feed::of(60).await;
    let world = feed.simulator.world();
    let member = world.keys(Resource::Member).remove(0);
    world.edit(Resource::Member, &member, "MemberDirectPhone", "701-555-0000");
    world.hide_field(Resource::Member, &member, "MemberMobilePhone");
    let members = feed.follow("accounts?_filter=UserType Eq 'Member'").await;
    let offices = feed
        .follow("accounts?_filter=UserType Eq 'Office' And ModificationTimestamp Gt 2001-01-01T00:00:00Z")
        .await;
    assert_eq!(ids(&members), world.keys(Resource::Member));
    assert_eq!(ids(&offices), world.keys(Resource::Office));
    assert_eq!(feed.follow("accounts").await.len(), members.len() + offices.len());
    let phones = &members[0]["Phones"];
    assert_eq!((&phones[0]["Number"], &phones[1]["Number"]), (&"701-555-0000".into(), &"********".into()));
    assert_eq!((&offices[0]["OfficeId"], &offices[0]["UserType"]), (&offices[0]["Id"], &"Office".into()));
    assert_eq!(feed.results(&format!("accounts/{member}")).await[0], members[0]);
    let journal = feed.simulator.journal();
    assert_eq!(journal.of("Member").last().unwrap().key.as_deref(), Some(&*member));
    assert!(journal.of("Office").iter().all(|entry| entry.raw_query.contains("Office")));

    let listing = world.keys(Resource::Property).remove(0);
    let start = "2030-07-08T15:30:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp();
    let key = world.open_house_add(&listing, start, start + 7_200);
    let open_house = feed.results(&format!("openhouses/{key}")).await.remove(0);
    assert_eq!(
        (&open_house["ListingKey"], &open_house["Date"]),
        (&listing.clone().into(), &"07/08/2030".into())
    );
    assert_eq!((&open_house["StartTime"], &open_house["EndTime"]), (&"10:30 am".into(), &"12:30 pm".into()));
    assert_eq!(open_house["OpenHouseStartTimestamp"], "2030-07-08T15:30:00Z");
    let expanded = feed.results(&format!("listings/{listing}?_expand=OpenHouses")).await.remove(0);
    assert_eq!(expanded["StandardFields"]["OpenHouses"][0]["Id"], key);
}

#[tokio::test]
async fn the_surface_tells_of_itself() {
    let feed = Feed::of(5).await;
    assert_eq!(feed.results("system").await[0]["Mls"], "Example MLS");
    let fields = feed.results("standardfields").await.remove(0);
    let listing = feed.results("listings?_limit=1").await.remove(0);
    for name in listing["StandardFields"].as_object().unwrap().keys() {
        assert!(fields[name]["Type"].is_string(), "{name} is not told");
    }
}
