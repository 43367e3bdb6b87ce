//! A feed that does its worst: the process lives, takes no more memory than it may, and loses nothing.

use spark_simulator::{Fault, Trouble};

use super::stage::Stage;

/// Pages that no feed should send. Each says a count, so that a list that ends with it is known to be short.
fn pages() -> Vec<(&'static str, String)> {
    let page = |records: &str| format!(r#"{{"@odata.count":60,"value":[{records}]}}"#);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let members = (0..100_000).map(|at| format!("\"M{at}\":{at}")).collect::<Vec<_>>().join(",");
    let photos = (0..100_000).map(|at| format!(r#"{{"MediaKey":"{at}"}}"#)).collect::<Vec<_>>().join(",");
    vec![
        ("a record of 60 MB", page(&format!(r#"{{"ListingKey":"big","A":"{}"}}"#, "x".repeat(60_000_000)))),
        (
            "a page beyond all limits",
            page(&format!(r#"{{"ListingKey":"1","A":"{}"}}"#, "x".repeat(70_000_000))),
        ),
        ("a record of 100,000 members", page(&format!(r#"{{"ListingKey":"members",{members}}}"#))),
        ("a set of 100,000 photos", page(&format!(r#"{{"ListingKey":"photos","Media":[{photos}]}}"#))),
        ("a record without a floor", page(&format!(r#"{{"ListingKey":"deep","A":{deep}}}"#))),
        ("a page without a floor", page(&deep)),
        (
            "a list of 20 million numbers",
            page(&format!(r#"{{"ListingKey":"list","A":[1{}]}}"#, ",1".repeat(7_000_000))),
        ),
        ("20 million records", page(&format!("1{}", ",1".repeat(20_000_000)))),
        ("a count of all atoms", r#"{"@odata.count":18446744073709551615,"value":[]}"#.to_owned()),
        (
            "a link of 1 MB",
            format!(
                r#"{{"@odata.count":60,"value":[],"@odata.nextLink":"Property?$skiptoken={}"}}"#,
                "x".repeat(1_000_000)
            ),
        ),
    ]
}

/// The most memory that the process ever had, in megabytes.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_does_its_worst_is_survived_and_loses_nothing() {
    let stage = Stage::new("hostile", 60).await;
    let faults = stage.simulator.faults();
    let pages = pages();
    for (turn, (_, body)) in (1..).zip(&pages) {
        let answer = Trouble::Answer { status: 200, content_type: "application/json", body: body.clone() };
        // What asks whether a list goes on is no page of it.
        faults.push(Fault::new(answer).on("Property").unless("ListingKey gt").nth(turn));
    }
    let daemon = stage.daemon();
    stage.until_complete().await;
    assert_eq!(faults.pending(), 0, "some of it was never met");
    stage.change_arrives("Seen after the worst").await;
    let world = stage.simulator.world().keys(spark_simulator::Resource::Property);
    let held: i64 = stage
        .ask(&format!("select count(*) from mls.property where key in ('{}')", world.join("', '")))
        .await;
    assert_eq!(held, 60, "something was lost");
    let told = "select string_agg(key || ' ' || reason, ', ' order by key) from replicator.quarantine where key is not null";
    assert_eq!(stage.ask::<String>(told).await, "big too_big, deep too_deep, list unreadable");
    assert_eq!(daemon.get("/healthz").status, 200);
    let peak = peak(daemon.process.id());
    // The promise of 128 MiB is for feeds that mean well; a page is cut at 64 MB, and one is in the making.
    assert!(peak < 200, "it took {peak} MB");
}
