//! What a well-behaved client sees.

use serde_json::Value;
use spark_simulator::{Resource, Settings, Shape};

use crate::Feed;

#[tokio::test]
async fn following_the_links_visits_every_key_once_and_in_order() {
    let feed = Feed::of(230).await;
    let keys = feed.keys("Property?$top=50&$select=ListingKey", "ListingKey").await;
    assert_eq!(keys, feed.simulator.world().keys(Resource::Property));
    assert!(keys.is_sorted() && keys.len() == 230);
    assert!(keys.iter().any(|key| key.starts_with("3yd-ABC-")));
    assert_eq!(feed.simulator.journal().requests().len(), 5);

    let last = feed.simulator.journal().requests().pop().unwrap();
    assert_eq!(last.raw_query, format!("%24select=ListingKey&%24skiptoken={}&%24top=50", keys[199]));
    let lookups = feed.keys("Lookup?$top=100", "LookupKey").await;
    assert_eq!(lookups, feed.simulator.world().keys(Resource::Lookup));
    assert!(feed.simulator.journal().of("Lookup")[1].param("$skip").is_some());
}

#[tokio::test]
async fn a_page_has_ten_records_unless_asked_for_up_to_a_thousand() {
    let feed = Feed::of(30).await;
    let (_, page) = feed.get("Property?$count=true").await;
    assert_eq!(page["value"].as_array().unwrap().len(), 10);
    assert_eq!(page["@odata.count"], 30);
    assert_eq!(feed.get("Property?$top=1000").await.1["value"].as_array().unwrap().len(), 30);
    for refused in ["$top=1001", "$top=0", "$select=Nope", "$expand=Nope", "$skip=x", "$orderby=City"] {
        let (status, body) = feed.get(&format!("Property?{refused}")).await;
        assert_eq!((status, body["error"]["code"].as_str()), (400, Some("400")), "{refused}");
    }
}

#[tokio::test]
async fn filters_mean_what_they_say_and_refuse_what_is_encoded_wrongly() {
    let feed = Feed::of(120).await;
    let world = feed.simulator.world();
    let keys = world.keys(Resource::Property);
    let all = world.truth(Resource::Property);
    let count = |wanted: &dyn Fn(&Value) -> bool| all.iter().filter(|(_, body)| wanted(body)).count();
    for (filter, expected) in [
        ("StandardStatus eq 'Active'", count(&|body| body["StandardStatus"] == "Active")),
        ("StandardStatus ne 'Active'", count(&|body| body["StandardStatus"] != "Active")),
        ("City eq 'O''Fallon'", count(&|body| body["City"] == "O'Fallon")),
        (
            "BedroomsTotal ge 3 and (ListPrice lt 500000 or City in ('Coteau', 'Northbank'))",
            count(&|body| {
                let place = body["City"] == "Coteau" || body["City"] == "Northbank";
                body["BedroomsTotal"].as_i64() >= Some(3) && (body["ListPrice"].as_f64() < Some(5e5) || place)
            }),
        ),
        ("CloseDate eq null", count(&|body| body["CloseDate"].is_null())),
        (&format!("ListingKey in ('{}','{}','gone')", keys[3], keys[5]), 2),
    ] {
        let found = feed.walk(&format!("Property?$top=1000&$filter={filter}")).await.len();
        assert_eq!(found, expected, "{filter}");
        assert!(expected > 0, "{filter} proves nothing");
    }

    world.set_price(&keys[7], 123_000.0);
    let since = (world.clock().now() - chrono::TimeDelta::minutes(20)).format("%Y-%m-%dT%H:%M:%SZ");
    let filter = format!("ModificationTimestamp gt {since}");
    assert_eq!(feed.keys(&format!("Property?$filter={filter}"), "ListingKey").await, [keys[7].clone()]);
    for wrong in [
        format!("{filter} and ModificationTimestamp gt {since}"),
        filter.replace(' ', "+"),
        format!("ModificationTimestamp gt '{since}'"),
        "ListingKey eq 5".to_owned(),
    ] {
        assert_eq!(feed.get(&format!("Property?$filter={wrong}")).await.0, 400, "{wrong}");
    }
    let long = "x".repeat(9_000);
    assert_eq!(feed.get(&format!("Property?$filter=ListingKey eq '{long}'")).await.0, 414);
}

#[tokio::test]
async fn one_record_comes_bare_and_a_missing_one_is_not_found() {
    let feed = Feed::of(5).await;
    let key = feed.simulator.world().keys(Resource::Property).remove(0);
    let (status, body) = feed.get(&format!("Property('{key}')?$expand=Media,Room,Unit,OpenHouse")).await;
    assert_eq!((status, body["ListingKey"].as_str()), (200, Some(&*key)));
    assert!(body["@odata.context"].as_str().unwrap().ends_with("#Property/$entity"));
    assert_eq!(
        body["PhotosCount"],
        body["Media"].as_array().unwrap().iter().filter(|medium| medium["MediaCategory"] == "Photo").count()
    );
    let (status, body) = feed.get("Property('nobody')").await;
    assert_eq!((status, body["error"]["code"].as_i64()), (404, Some(404)));
}

#[tokio::test]
async fn every_resource_equals_the_truth_with_its_expansions() {
    let feed = Feed::of(40).await;
    let world = feed.simulator.world();
    for resource in Resource::ALL {
        let expand = resource.relations().join(",");
        let expand = if expand.is_empty() { expand } else { format!("&$expand={expand}") };
        let served = feed.walk(&format!("{}?$top=100{expand}", resource.as_str())).await;
        let truth = world.truth(resource);
        assert_eq!(served.len(), truth.len(), "{resource:?}");
        for (mut record, (key, body)) in served.into_iter().zip(truth) {
            let members = record.as_object_mut().unwrap();
            for relation in resource.relations() {
                let mut expanded = members.remove(*relation).unwrap();
                for member in expanded.as_array_mut().unwrap() {
                    member.as_object_mut().unwrap().retain(|name, _| !name.starts_with("@odata."));
                }
                assert_eq!(expanded, Value::from(world.truth_relation(resource, &key, relation)));
            }
            members.retain(|name, _| !name.starts_with("@odata."));
            assert_eq!(record, body);
        }
    }
}

#[tokio::test]
async fn the_metadata_names_every_field_that_is_served() {
    let feed = Feed::of(20).await;
    let edmx = feed.request(feed.url("$metadata")).send().await.unwrap().text().await.unwrap();
    for resource in Resource::ALL {
        let from = edmx.find(&format!("<EntityType Name=\"{}\">", resource.as_str())).unwrap();
        let declared = &edmx[from..from + edmx[from..].find("</EntityType>").unwrap()];
        for (_, body) in feed.simulator.world().truth(resource) {
            for name in body.as_object().unwrap().keys() {
                let name = name.trim_end_matches("@Core.Permissions");
                assert!(declared.contains(&format!("<Property Name=\"{name}\"")), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn both_schemes_carry_the_token_and_nothing_else_does() {
    let feed = Feed::of(3).await;
    let url = feed.url("Property");
    let token = feed.simulator.token();
    for (header, status) in [
        (Some(format!("Bearer {token}")), 200),
        (Some(format!("OAuth {token}")), 200),
        (Some(format!("Basic {token}")), 401),
        (Some("Bearer other".to_owned()), 401),
        (None, 401),
    ] {
        let mut request = feed.client.get(&url);
        if let Some(header) = &header {
            request = request.header("Authorization", header);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{header:?}");
    }
    let anonymous = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = anonymous.get(&url).header("Authorization", format!("Bearer {token}")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400, "no User-Agent");
    feed.simulator.set_token("another");
    assert_eq!(feed.get("Property").await.0, 200);
    let old = feed.client.get(&url).header("Authorization", format!("Bearer {token}")).send().await.unwrap();
    assert_eq!(old.status().as_u16(), 401);
    let right: Vec<bool> =
        feed.simulator.journal().requests().iter().map(|entry| entry.token_right).collect();
    assert_eq!(right, [true, true, false, false, false, true, true, false]);
}

#[tokio::test]
async fn a_listing_has_the_size_and_the_traits_that_were_asked_for() {
    for (shape, expected) in [(Shape::default(), 8_000), (Shape::measured(), 51_000)] {
        let feed = Feed::with(Settings { listings: 60, shape, ..Settings::default() }).await;
        let expand = if shape == Shape::measured() { "&$expand=Media,Room,Unit,OpenHouse" } else { "" };
        let url = feed.url(&format!("Property?$top=60{expand}"));
        let text = feed.request(url).send().await.unwrap().text().await.unwrap();
        let average = text.len() / 60;
        assert!(average.abs_diff(expected) < expected / 7, "{average} bytes a listing instead of {expected}");
        if shape == Shape::measured() {
            let hidden = text.matches("@Core.Permissions\":\"None\"").count() / 60;
            assert!(hidden.abs_diff(172) < 12, "{hidden} hidden fields");
            let page: Value = serde_json::from_str(&text).unwrap();
            let listings = page["value"].as_array().unwrap();
            let longest = listings.iter().flat_map(|listing| listing.as_object().unwrap().keys());
            assert!(longest.map(String::len).max() >= Some(88), "names are too short");
            assert!(listings.iter().any(|listing| listing["PhotosCount"] == 88.0));
            assert!(text.contains("\"BedroomsTotal\":") && !text.contains("\"BedroomsTotal\":3,"));
        }
    }
}
