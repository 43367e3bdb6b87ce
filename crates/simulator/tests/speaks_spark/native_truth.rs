//! What a copy of the native surface must hold, against what the surface serves.

use serde_json::{Map, Value, json};
use spark_simulator::{Dialect, Fault, Resource, Settings, Trouble};

use crate::Feed;

const MEDIA: [&str; 5] = ["Photos", "Videos", "VirtualTours", "Documents", "FloPlans"];
const CUSTOM: [&str; 3] = ["CustomFields", "CustomFieldsRaw", "CustomFieldsExpandedRaw"];

/// A served object without what says nothing, and with every mask as an annotation.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut out = Map::new();
            for (name, value) in members {
                if *value == "********" {
                    out.insert(format!("{name}@Core.Permissions"), "None".into());
                } else if !["Id", "ResourceUri", "LastCachedTimestamp"].contains(&&**name) {
                    out.insert(name.clone(), plain(value));
                }
            }
            out.into()
        }
        Value::Array(elements) => elements.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn with(value: &Value, members: &[(&str, Value)]) -> Value {
    let mut object = plain(value).as_object().unwrap().clone();
    object.extend(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    object.into()
}

#[tokio::test]
async fn every_listing_equals_the_truth_with_its_expansions() {
    let feed = Feed::with(Settings { listings: 60, seed: 4, ..Settings::default() }).await;
    let world = feed.simulator.world();
    let first = world.keys(Resource::Property).remove(0);
    let body = world.listing(&first).unwrap();
    let custom = body.as_object().unwrap().keys().find(|name| name.contains("_co_")).unwrap();
    world.hide_field(Resource::Property, &first, custom);
    let everything = [&MEDIA[..], &["OpenHouses", "Rooms", "Units"], &CUSTOM].concat().join(",");
    let served = feed.follow(&format!("listings?_limit=60&_expand={everything}")).await;
    let truth = world.truth_with(Resource::Property, &CUSTOM);
    let mut seen = [0; 8];
    assert_eq!(served.len(), truth.len());
    for (record, (key, body)) in served.iter().zip(&truth) {
        let mut flat = record["StandardFields"].as_object().unwrap().clone();
        let relations: Vec<Value> = [&MEDIA[..], &["OpenHouses", "Rooms", "Units"]]
            .concat()
            .iter()
            .map(|name| flat.remove(*name).unwrap())
            .collect();
        for name in [&CUSTOM[..], &["DisplayCompliance"]].concat() {
            flat.insert(name.to_owned(), record[name].clone());
        }
        assert_eq!(plain(&flat.into()), *body);
        for name in CUSTOM {
            assert_eq!(
                world.relation_in(Dialect::Spark, Resource::Property, key, name),
                plain(&record[name]).as_array().unwrap()[..]
            );
        }
        let held =
            |relation| Value::from(world.relation_in(Dialect::Spark, Resource::Property, key, relation));
        let mut media = Vec::new();
        for (category, members) in
            ["Photo", "Video", "Unbranded Virtual Tour", "Document", "Floor Plan"].iter().zip(&relations)
        {
            for (n, member) in members.as_array().unwrap().iter().enumerate() {
                let key = ("MediaKey", member["Id"].clone());
                media.push(with(
                    member,
                    &[key, ("MediaCategory", (*category).into()), ("Order", json!(n + 1))],
                ));
            }
        }
        assert_eq!(held("Media"), Value::from(media));
        for (members, (relation, key)) in relations[5..].iter().zip([
            ("OpenHouse", "OpenHouseKey"),
            ("Room", "RoomKey"),
            ("Unit", "UnitTypeKey"),
        ]) {
            let members =
                members.as_array().unwrap().iter().map(|member| with(member, &[(key, member["Id"].clone())]));
            assert_eq!(held(relation), members.collect::<Value>());
        }
        for (seen, members) in seen.iter_mut().zip(&relations) {
            *seen += members.as_array().unwrap().len();
        }
        assert_eq!(relations[0].as_array().unwrap().len(), world.photo_count(key).unwrap());
    }
    assert!(seen.iter().enumerate().all(|(n, seen)| *seen > 0 || n == 4), "nothing to compare: {seen:?}");
    let hidden = |body: &Value| body["CustomFields"].to_string().contains("@Core.Permissions");
    assert!(truth.iter().any(|(_, body)| hidden(body)), "no custom field is hidden");
    assert!(truth.iter().all(|(_, body)| !body.to_string().contains("********")));
}

#[tokio::test]
async fn accounts_and_open_houses_equal_the_truth_and_other_resources_have_none() {
    let feed = Feed::of(120).await;
    let world = feed.simulator.world();
    for (path, resource) in [
        ("accounts?_filter=UserType Eq 'Member'", Resource::Member),
        ("accounts?_filter=UserType Eq 'Office'", Resource::Office),
        ("openhouses", Resource::OpenHouse),
    ] {
        let served = feed.follow(path).await;
        let truth = world.truth_in(Dialect::Spark, resource);
        assert!(!served.is_empty() && served.len() == truth.len(), "{path}");
        for (record, (key, body)) in served.iter().zip(&truth) {
            assert_eq!(with(record, &[(resource.key_field(), record["Id"].clone())]), *body);
            assert_eq!(world.record_in(Dialect::Spark, resource, key).as_ref(), Some(body));
        }
    }
    for resource in [Resource::Teams, Resource::Lookup] {
        assert!(!Dialect::Spark.offers(resource) && world.truth_in(Dialect::Spark, resource).is_empty());
        assert_eq!(world.truth_in(Dialect::Reso, resource), world.truth(resource));
    }
}

#[tokio::test]
async fn one_edit_shows_on_both_surfaces_and_a_stale_cache_on_both() {
    let feed = Feed::of(5).await;
    let world = feed.simulator.world();
    let key = world.keys(Resource::Property).remove(2);
    let both = async || {
        let reso = feed.get(&format!("Property('{key}')")).await.1["ListPrice"].clone();
        let native = feed.results(&format!("listings/{key}")).await.remove(0);
        assert_eq!(native["StandardFields"]["ListPrice"], reso);
        reso
    };
    let before = both().await;
    world.set_price(&key, 77_000.0);
    assert_eq!(both().await, 77_000.0);
    world.serve_stale(Resource::Property, &key, world.clock().now() + chrono::TimeDelta::minutes(10));
    assert_eq!(both().await, before);
}

#[tokio::test]
async fn planted_media_are_split_by_category_and_strange_values_arrive_as_planted() {
    let feed = Feed::of(3).await;
    let world = feed.simulator.world();
    let keys = world.keys(Resource::Property);
    let members = [
        json!({ "MediaKey": "1", "MediaCategory": "Floor Plan", "MediaURL": "https://x.test/plan.pdf" }),
        json!({ "MediaKey": "2", "MediaCategory": "Branded Virtual Tour", "MediaURL": "https://x.test/tour" }),
        json!({ "MediaKey": "3", "MediaCategory": "Photo", "MediaURL": "https://x.test/3-o.jpg",
                "LongDescription@Core.Permissions": "None" }),
    ];
    world.set_relation(Resource::Property, &keys[0], "Media", &members);
    let listing = feed.results(&format!("listings/{}?_expand={}", keys[0], MEDIA.join(","))).await.remove(0);
    let fields = &listing["StandardFields"];
    assert_eq!(fields["FloPlans"][0]["Id"], "1");
    assert_eq!(fields["VirtualTours"][0]["Type"], "branded");
    assert_eq!(fields["Photos"][0]["Uri640"], "https://x.test/3-640.jpg");
    assert_eq!(fields["Photos"][0]["Caption"], "********");
    let held = world.relation_in(Dialect::Spark, Resource::Property, &keys[0], "Media");
    let kinds: Vec<&Value> = held.iter().map(|member| &member["MediaCategory"]).collect();
    assert_eq!(kinds, ["Photo", "Branded Virtual Tour", "Floor Plan"]);
    assert_eq!((&held[0]["Caption@Core.Permissions"], &held[0]["Order"]), (&"None".into(), &1.into()));

    world.set_raw_field(Resource::Property, &keys[1], "ListPrice", "1e200000");
    world.set_raw_field(Resource::Property, &keys[1], "PublicRemarks", r#""a\u0000b""#);
    world.leave_out_field(Resource::Property, &keys[1], "ListingKey");
    let url = format!("{}/listings/{}", feed.simulator.spark_base_url(), keys[1]);
    let text = feed.request(url).send().await.unwrap().text().await.unwrap();
    assert!(
        text.contains("\"ListPrice\":1e200000") && text.contains(r#""PublicRemarks":"a\u0000b""#),
        "{text}"
    );
    let body = world.record_in(Dialect::Spark, Resource::Property, &keys[1]).unwrap();
    assert_eq!((&body["ListPrice"], &body["PublicRemarks"]), (&"1e200000".into(), &"a\u{FFFD}b".into()));
    assert_eq!(
        (&body["ListingKey"], &body["MlsId"]),
        (&keys[1].clone().into(), &"20000426143505724628000000".into())
    );
}

#[tokio::test]
async fn what_means_the_same_natively_may_look_different() {
    let feed = Feed::of(3).await;
    let world = feed.simulator.world();
    let text = async || {
        let url = format!("{}/listings?_expand=Photos", feed.simulator.spark_base_url());
        feed.request(url).send().await.unwrap().text().await.unwrap()
    };
    let usual = text().await;
    for trouble in
        [Trouble::ShuffledMembers, Trouble::IntegersAsFloats, Trouble::OtherHost("https://x.test".into())]
    {
        feed.simulator.faults().push(Fault::new(trouble.clone()));
        let other = text().await;
        assert_ne!(other, usual, "{trouble:?}");
        if trouble == Trouble::ShuffledMembers {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(value(&other), value(&usual));
        }
        assert_eq!(other.contains("LastCachedTimestamp"), matches!(trouble, Trouble::OtherHost(_)));
    }
    assert_eq!(world.truth_in(Dialect::Spark, Resource::Property).len(), 3);
}
