//! `config check` with a feed to meet, and the configurations that are shipped.

use std::path::Path;

use spark_simulator::{Count, Dialect, Fault, Manners, Trouble};

use super::native::speak_spark;
use super::process::{Ended, program};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_check_meets_the_feed_and_tells_what_a_download_will_take() {
    let stage = Stage::at("postgres://nobody@127.0.0.1:1/never-asked".to_owned(), 120).await;
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    for part in [
        "the configuration is sound",
        "it offers Property, ",
        "120 records; one in ",
        "of relations",
        "a first download: about ",
        "it does not say which role the key has",
        "  Property   relations that it offers: ",
        "Media, ",
        "  Property   of 100: ",
        "Active ",
        "hidden from this key",
    ] {
        assert!(check.out.contains(part), "{part:?} is not in {}", check.out);
    }
    let asked = stage.simulator.journal().of("Property");
    assert_eq!((asked[0].param("$top"), asked[0].param("$count")), (Some("1"), Some("true")), "{asked:?}");

    stage.simulator.faults().push(Fault::new(Trouble::error(404, 1500)).on("Teams").forever());
    let lacking = stage.run(&["config", "check"]);
    assert_eq!(lacking.code, Some(0), "{lacking:?}");
    assert!(lacking.out.contains("Teams      warning: it would be turned off"), "{}", lacking.out);

    stage.write_token("a-wrong-token");
    let refused = stage.run(&["config", "check"]);
    assert_eq!(refused.code, Some(77), "{refused:?}");
    assert!(!format!("{refused:?}").contains("a-wrong-token"), "{refused:?}");
    assert_eq!(stage.run(&["config", "check", "--offline"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_count_or_describe_itself_is_met_all_the_same() {
    for (count, word) in [(Count::Ignored, "does not count"), (Count::Refused, "refuses to count")] {
        let manners = Manners { count, ..Manners::default() };
        let stage = Stage::with(&format!("uncounted_{count:?}").to_lowercase(), 70, manners).await;
        let check = stage.run(&["config", "check"]);
        assert_eq!(check.code, Some(0), "{check:?}");
        for part in
            ["Property   records, not counted; one in ", word, "waits for an approval", "cannot be told"]
        {
            assert!(check.out.contains(part), "{part:?} is not in {}", check.out);
        }
        for part in ["0 records", "about 0 requests", "turned off"] {
            assert!(!check.out.contains(part), "{part:?} is in {}", check.out);
        }
    }

    let stage = Stage::at("postgres://nobody@127.0.0.1:1/never-asked".to_owned(), 70).await;
    let refused = || Trouble::Answer {
        status: 400,
        content_type: "application/json",
        body: r#"{"error":{"code":"400","message":"$count is not supported"}}"#.to_owned(),
    };
    let counts = Fault::new(refused()).on("Property").when(|entry| entry.param("$count").is_some());
    stage.simulator.faults().push(counts.forever());
    stage.simulator.faults().push(Fault::new(Trouble::error(404, 404)).on("$metadata").forever());
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    for part in [
        "warning: it has no $metadata",
        "HTTP 404",
        "$count is not supported",
        "without Property, which the feed does not count",
    ] {
        assert!(check.out.contains(part), "{part:?} is not in {}", check.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reckons_as_many_requests_as_a_download_sends() {
    for dialect in [Dialect::Reso, Dialect::Spark] {
        let stage = Stage::new(&format!("reckoned_{}", dialect.as_str()), 1_200).await;
        let text = std::fs::read_to_string(stage.config()).unwrap();
        std::fs::write(stage.config(), text.replace("page_size = 100", "page_size = 1000")).unwrap();
        if dialect == Dialect::Spark {
            speak_spark(&stage);
        }
        let check = stage.run(&["config", "check"]);
        assert_eq!(check.code, Some(0), "{check:?}");
        let (_, told) = check.out.split_once("a first download: about ").unwrap();
        let reckoned: f64 = told.split(' ').next().unwrap().parse().unwrap();
        stage.simulator.journal().clear();
        for job in ["initial_download", "media_refresh"] {
            let done = stage.run(&["once", job]);
            assert_eq!(done.code, Some(0), "{done:?}");
        }
        let asked: Vec<String> = stage
            .simulator
            .journal()
            .requests()
            .iter()
            .map(|entry| format!("{}?{:.90}", entry.path, entry.raw_query))
            .collect();
        let sent = f64::from(u32::try_from(asked.len()).unwrap());
        assert!((0.8..=1.25).contains(&(reckoned / sent)), "{reckoned} and not {sent}: {asked:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_fails_where_no_listing_would_be_replicated_and_says_whose_fault_it_is() {
    let stage = Stage::at("postgres://nobody@127.0.0.1:1/never-asked".to_owned(), 70).await;
    let sound = std::fs::read_to_string(stage.config()).unwrap();
    let filter = "update_every = '300ms'\nfilter = 'ListPrise gt 100000'";
    std::fs::write(stage.config(), sound.replace("update_every = '300ms'", filter)).unwrap();
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(78), "{check:?}");
    for part in [
        "Property   warning: it would be turned off, for its filter is refused",
        "the feed refuses filter = \"ListPrise gt 100000\" of [feeds.beaches]",
    ] {
        assert!(check.out.contains(part), "{part:?} is not in {}", check.out);
    }
    for part in ["does not offer this to the key", "about 0 requests"] {
        assert!(!check.out.contains(part), "{part:?} is in {}", check.out);
    }

    std::fs::write(stage.config(), &sound).unwrap();
    stage.simulator.faults().push(Fault::new(Trouble::error(403, 1500)).on("Property").forever());
    let check = stage.run(&["config", "check"]);
    assert_eq!(check.code, Some(78), "{check:?}");
    assert!(
        check.out.contains("no Property of it would be replicated: correct [feeds.beaches]"),
        "{}",
        check.out
    );
    assert!(
        check.out.contains("does not offer this to the key") && !check.out.contains("filter"),
        "{}",
        check.out
    );
}

#[test]
fn the_configuration_of_the_compose_stack_is_sound() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/compose.toml");
    let mut check = program(["config", "check", "--offline", "--config"]);
    check.arg(file).env("SPARK_REPLICATOR__DATABASE__URL", "postgres://replicator@postgres/mls");
    let ended = Ended::of(&check.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
