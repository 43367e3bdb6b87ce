//! Commands that need the database, with one and without.

use spark_simulator::postgres;

use super::process::{Ended, program, run};

fn with(url: &str, arguments: &[&str]) -> Ended {
    Ended::of(&program(arguments).env("SPARK_REPLICATOR__DATABASE__URL", url).output().unwrap())
}

fn fresh(name: &str) -> String {
    let server = postgres::shared().unwrap_or_else(|error| panic!("{error}"));
    server.create_database(name, None).unwrap();
    server.url(name)
}

#[test]
fn without_a_database_it_is_69_and_without_its_url_78() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for arguments in [&["status"][..], &["migrate"], &["get", "a", "Property", "1"]] {
        let absent = with(&format!("postgres://r:hush@{free}/mls"), arguments);
        assert_eq!(absent.code, Some(69), "{absent:?}");
        assert!(!absent.err.contains("hush"), "{absent:?}");
        let unnamed = run(arguments);
        assert_eq!(unnamed.code, Some(78), "{unnamed:?}");
        assert!(unnamed.err.contains("SPARK_REPLICATOR__DATABASE__URL"), "{unnamed:?}");
    }
    let refused = run(["healthcheck", "--address", &free.to_string()]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
}

#[test]
fn a_database_that_does_not_let_us_in_is_77() {
    let server = postgres::shared().unwrap_or_else(|error| panic!("{error}"));
    let denied = with(&server.url("there_is_no_such_database"), &["migrate"]);
    assert_eq!(denied.code, Some(77), "{denied:?}");
}

#[test]
fn a_new_database_is_migrated_once_and_knows_of_no_feed() {
    let url = fresh("program_migrates");
    let pending = with(&url, &["migrate", "--dry-run"]);
    assert!(pending.out.contains("0001_engine is to be applied"), "{pending:?}");
    let first = with(&url, &["migrate"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.out.contains("0001_engine applied"), "{first:?}");
    assert_eq!(with(&url, &["migrate"]).out, "the schema is up to date\n");
    let status = with(&url, &["status"]);
    assert_eq!((status.code, status.out.as_str()), (Some(0), "no feed is known yet\n"), "{status:?}");
    let absent = with(&url, &["get", "beaches", "Property", "1"]);
    assert_eq!(absent.code, Some(1), "{absent:?}");
    assert!(absent.err.contains("beaches has no Property 1"), "{absent:?}");
}
