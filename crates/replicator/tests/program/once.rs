//! `once` without a daemon: what it does, how it ends, and where it goes on after `kill -9`.

use std::time::Duration;

use spark_simulator::{Fault, Trouble};

use super::process::{PATIENCE, Running};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn once_downloads_a_feed_into_an_empty_database() {
    let stage = Stage::new("once_downloads", 250).await;
    let first = stage.run(&["once", "initial_download"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first.out.contains("beaches Property initial_download: done; 3 pages, 250 inserted"),
        "{first:?}"
    );
    assert_eq!(stage.ask::<i64>("select count(*) from mls.property").await, 250);
    let again = stage.run(&["once", "update", "--feed", "beaches", "--resource", "Property"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    let status = stage.run(&["status"]);
    assert!(status.out.contains("beaches") && status.out.contains("250 rows"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_says_what_it_cannot_do_and_how_badly() {
    let stage = Stage::new("once_refuses", 20).await;
    let unknown = stage.run(&["once", "update", "--feed", "nobody"]);
    assert_eq!(unknown.code, Some(78), "{unknown:?}");
    assert_eq!(stage.run(&["once", "everything"]).code, Some(2));
    let unfit = stage.run(&["once", "lookups", "--resource", "Property"]);
    assert_eq!(unfit.code, Some(2), "{unfit:?}");

    stage.write_token("a-wrong-token");
    let refused = stage.run(&["once", "initial_download"]);
    assert_eq!(refused.code, Some(77), "{refused:?}");
    let seen = format!("{}{}", refused.out, refused.err);
    assert!(seen.contains("401") && !seen.contains("a-wrong-token"), "{seen}");

    stage.write_token("simulator-token");
    let denied = Fault::new(Trouble::error(500, 0)).on("Office").forever();
    stage.simulator.faults().push(denied);
    let partly = stage.run(&["once", "initial_download"]);
    assert_eq!(partly.code, Some(3), "{partly:?}");
    let gone = stage.run(&["once", "initial_download", "--resource", "Office"]);
    assert_eq!(gone.code, Some(69), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_was_killed_goes_on_with_the_page_it_was_at() {
    let stage = Stage::new("once_killed", 450).await;
    let stall = Fault::new(Trouble::Stall(PATIENCE)).on("Property").nth(4);
    stage.simulator.faults().push(stall);
    let arguments = ["once", "initial_download", "--resource", "Property"];
    let mut killed = Running::start(stage.program(&arguments));
    let committed =
        "select coalesce(sum(pages), 0) = 3 from replicator.job_run where job = 'initial_download'";
    stage.until("three pages are committed", committed).await;
    let journal = stage.simulator.journal();
    let stalled =
        journal.wait_for(|entry| entry.number >= 3 && is_page(entry), Duration::from_secs(10)).await;
    killed.signal("KILL");
    killed.wait();
    let rows: i64 = stage.ask("select count(*) from mls.property").await;
    stage.simulator.faults().clear();
    journal.clear();

    let resumed = stage.run(&arguments);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let asked = journal.of("Property");
    let token = |entry: &spark_simulator::Entry| entry.param("$skiptoken").map(str::to_owned);
    assert_eq!(token(&asked[0]), token(&stalled.unwrap()), "it does not go on where it was");
    let inserted: i64 = stage.ask("select sum(inserted)::bigint from replicator.job_run").await;
    assert_eq!((inserted, stage.ask::<i64>("select count(*) from mls.property").await), (450, 450));
    assert!(rows < 450 && asked.len() < 4, "{rows} rows were here, and {} pages were asked for", asked.len());
}

fn is_page(entry: &spark_simulator::Entry) -> bool {
    entry.resource.as_deref() == Some("Property") && entry.status.is_none()
}
