//! `demo`: it shows a replication, and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use super::process::{Ended, PATIENCE, Running, program};

#[test]
fn a_demo_replicates_a_market_ends_by_itself_and_leaves_nothing_behind() {
    let ended =
        Ended::of(&program(["demo", "--listings", "300", "--for", "15s", "--port", "0"]).output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["http://127.0.0.1:", "the first download is complete", "update: ", "Gone: no process"] {
        assert!(ended.out.contains(part), "{part:?} is not in {ended:?}");
    }
    assert_eq!(ended.err, "", "a demo has nothing to complain of");
    assert_nothing_is_left(&folder(&ended.out));
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind_either() {
    let mut demo = Running::listening_to_stdout(program(["demo", "--listings", "50", "--port", "0"]));
    let folder = folder(&demo.wait_for("psql "));
    demo.wait_for("changes a minute");
    demo.signal("INT");
    assert_eq!(demo.wait(), Some(0));
    assert_nothing_is_left(&folder);

    // While Postgres is being made there is only a folder to leave behind, one that nobody has named yet.
    let mut demo = Running::listening_to_stdout(program(["demo", "--listings", "50", "--port", "0"]));
    demo.wait_for("in a moment");
    demo.signal("TERM");
    assert_eq!(demo.wait(), Some(0));
    assert!(
        demo.said().is_empty() || !demo.said().contains("psql "),
        "it went on after its end was asked for"
    );

    let mut demo = Running::listening_to_stdout(program(["demo", "--listings", "50", "--port", "0"]));
    let folder = self::folder(&demo.wait_for("psql "));
    demo.signal("KILL");
    demo.wait();
    assert_nothing_is_left(&folder);
}

/// The folder of the demo's Postgres, out of the line that tells how to look into it.
fn folder(text: &str) -> String {
    let (_, rest) = text.split_once("host=").unwrap();
    rest.split('&').next().unwrap().replace("%2F", "/")
}

/// After `kill -9` the server needs a moment to notice.
fn assert_nothing_is_left(folder: &str) {
    let end = Instant::now() + PATIENCE;
    while Path::new(folder).exists() || has_process(folder) {
        assert!(Instant::now() < end, "{folder} or its server is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn has_process(folder: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(folder))
}
