//! A feed of the native Spark API, as people meet it; and questions to a feed of either dialect.

use serde_json::Value;
use spark_simulator::{Dialect, Fault, Resource, Trouble};

use super::stage::Stage;

/// The stage's feed speaks the native API from now on.
pub(crate) fn speak_spark(stage: &Stage) {
    let text = std::fs::read_to_string(stage.config()).unwrap();
    let (reso, spark) = (stage.simulator.base_url(), stage.simulator.base_url_of(Dialect::Spark));
    let text = text.replace(&format!("base_url = '{reso}'"), &format!("api = 'spark'\nbase_url = '{spark}'"));
    std::fs::write(stage.config(), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_feed_is_checked_and_replicated_like_any_other() {
    let stage = Stage::new("native_feed", 60).await;
    speak_spark(&stage);
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.out.contains("60 records; one in ") && check.out.contains("of relations"), "{}", check.out);
    let offered = |out: &str| {
        let line = out.lines().find(|line| line.contains("relations that it offers: "));
        line.unwrap_or_else(|| panic!("{out}")).to_owned()
    };
    let all = offered(&check.out);
    assert!(["Photos", "FloPlans", "Room", "CustomFieldsRaw"].iter().all(|part| all.contains(part)), "{all}");
    let off = Fault::new(Trouble::d(403, 1505)).when(|entry| entry.expands("FloPlans"));
    stage.simulator.faults().push(off.forever());
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    let warned = check.out.lines().find(|line| line.starts_with("  Property   warning")).unwrap_or_default();
    assert!(warned.contains("FloPlans is not to be had") && warned.contains("1505"), "{}", check.out);
    assert!(check.out.contains("of relations"), "the rest is weighed: {}", check.out);
    let most = offered(&check.out);
    assert!(most.contains("Photos") && most.contains("Room") && !most.contains("FloPlans"), "{most}");
    stage.simulator.faults().clear();

    let daemon = stage.daemon();
    let complete = "select count(*) = 4 and bool_and(initial_download_completed_at is not null) from replicator.resource";
    stage.until("its four resources are downloaded", complete).await;
    let typed = "select count(*) = 60 and bool_and(list_price is not null or body ? 'ListPrice@Core.Permissions') \
                 and not bool_or(body::text like '%********%') and bool_and(internet_entire_listing_display_yn is not null) \
                 and bool_and(internet_address_display_yn is not null) from mls.property";
    let people = "select (select bool_and(member_mls_id is not null) from mls.member) \
                  and (select bool_and(office_mls_id is not null) from mls.office)";
    stage.until("the listings are there, and no asterisk", typed).await;
    stage.until("people have their numbers", people).await;
    stage.until("their media as well", "select count(*) > 60 from mls.media").await;
    let key = stage.simulator.world().insert_listing();
    stage
        .until("a new one arrives", &format!("select count(*) = 1 from mls.property where key = '{key}'"))
        .await;
    drop(daemon);
    let get = stage.run(&["get", "beaches", "Property", &key]);
    assert_eq!(get.code, Some(0), "{get:?}");
    let shown: Value = serde_json::from_str(&get.out).unwrap();
    assert_eq!(shown["body"]["ListingKey"], key.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_searched_in_its_own_dialect_and_nothing_is_stored() {
    let stage = Stage::new("searched", 60).await;
    let keys = stage.simulator.world().keys(Resource::Property);
    for key in &keys[..2] {
        stage.simulator.world().set_price(key, 1_234.0);
    }
    let found = |words: &[&str]| -> (Vec<String>, Value) {
        let ended = stage.run(words);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let shown: Value = serde_json::from_str(&ended.out).unwrap();
        let records = shown["records"].as_array().unwrap().iter();
        (records.map(|record| record["ListingKey"].as_str().unwrap().to_owned()).collect(), shown)
    };
    let (reso, _) = found(&["search", "beaches", "Property", "--filter", "ListPrice eq 1234"]);
    assert_eq!(reso, keys[..2]);
    let (some, shown) =
        found(&["search", "beaches", "Property", "--limit", "3", "--count", "--expand", "Media"]);
    assert_eq!((some.as_slice(), &shown["count"]), (&keys[..3], &Value::from(60)));
    assert!(shown["records"][0]["Media"].is_array(), "{shown}");

    stage.simulator.faults().push(Fault::new(Trouble::ShortPage(25)).on("Property").forever());
    let (many, _) = found(&["search", "beaches", "Property", "--limit", "57"]);
    assert_eq!(many, keys[..57], "a server's largest page is no end");
    let by_link = std::fs::read_to_string(stage.config()).unwrap();
    std::fs::write(stage.config(), by_link.replace("page_size = 100", "page_size = 20\npaging = 'key'"))
        .unwrap();
    let (many, _) = found(&["search", "beaches", "Property", "--limit", "57"]);
    assert_eq!(many, keys[..57]);
    std::fs::write(stage.config(), by_link).unwrap();

    speak_spark(&stage);
    let (many, _) = found(&["search", "beaches", "Property", "--limit", "57"]);
    assert_eq!(many, keys[..57]);
    stage.simulator.faults().clear();
    let words = ["search", "beaches", "Property", "--filter", "ListPrice Eq 1234", "--count"];
    let (native, shown) = found(&words);
    assert_eq!((native.as_slice(), &shown["count"]), (&keys[..2], &Value::from(2)));
    let wrong = stage.run(&["search", "beaches", "Property", "--filter", "ListPrise Eq 1"]);
    assert!(wrong.code != Some(0) && wrong.err.contains("ListPrise"), "{wrong:?}");
    assert!(wrong.err.contains("look at its filter") && !wrong.err.contains("the key"), "{wrong:?}");
    let absent = stage.run(&["search", "beaches", "Teams"]);
    assert_eq!(absent.code, Some(2), "{absent:?}");

    let stored: i64 = stage.ask("select count(*) from mls.property").await;
    let counted: i64 = stage.ask("select count(*) from replicator.request_budget").await;
    assert_eq!((stored, counted), (0, 1), "stored nothing, and counted its requests");
}
