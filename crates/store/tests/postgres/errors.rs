//! What the store says when Postgres is away or refuses, and what it never says.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spark_domain::{Job, Recovery, Resource};
use spark_simulator::postgres::ThrowAwayPostgres;
use spark_store::{Error, Settings, Store};

use crate::harness::{Database, connect, feed, server};

#[tokio::test]
async fn an_absent_postgres_is_unreachable_and_says_so_soon_with_its_address() {
    let begun = Instant::now();
    let error = connect("postgres://replicator:hunter2@127.0.0.1:1/mls").now().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
    let text = chain(&error);
    assert!(text.contains("127.0.0.1:1/mls as replicator"), "{text}");
    assert!(text.contains("refused"), "{text}");
}

#[tokio::test]
async fn no_error_contains_the_password() {
    let socket = server().folder().display().to_string().replace('/', "%2F");
    let urls = [
        "postgres://replicator:hunter2@127.0.0.1:1/mls".to_owned(),
        "postgres://replicator:hunter2@127.0.0.1:99999/mls".to_owned(),
        "postgres://replicator:hunter2@127.0.0.1/mls?sslmode=hunter".to_owned(),
        "mysql:hunter2".to_owned(),
        "hunter2".to_owned(),
        format!("postgres://nobody_knows:hunter2@localhost/postgres?host={socket}"),
        format!("postgres://postgres:hunter2@localhost/no_such_database?host={socket}"),
    ];
    for url in urls {
        let settings = Settings { url: url.clone(), max_connections: 1 };
        assert!(!format!("{settings:?}").contains("hunter2"));
        let error = match Store::connect(&settings) {
            Ok(store) => {
                assert!(!format!("{store:?}").contains("hunter2"));
                store.now().await.unwrap_err()
            }
            Err(error) => error,
        };
        assert!(!chain(&error).contains("hunter2"), "{url}: {}", chain(&error));
        assert!(!format!("{error:?}").contains("hunter2"), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn a_store_outlives_the_death_of_its_postgres() {
    let server = ThrowAwayPostgres::start().unwrap_or_else(|error| panic!("{error}"));
    let store = connect(&server.url("postgres"));
    store.now().await.unwrap();
    server.kill();
    let error = store.now().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    server.start_again().unwrap();
    store.now().await.unwrap();
}

#[tokio::test]
async fn an_ear_hears_every_unit_of_work_and_what_postgres_said_to_it() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let database = Database::empty();
    let store = database.store.clone().observe(Arc::new(move |operation| {
        let class = operation.sqlstate_class.map(str::to_owned);
        ear.lock().unwrap().push((operation.name, class, operation.took > Duration::ZERO));
    }));
    store.now().await.unwrap();
    store.checkpoint(&feed("beaches"), Resource::Office, Job::Update).await.unwrap_err();
    let acquired = ("acquire", None, true);
    let expected =
        [acquired.clone(), ("state", None, true), acquired, ("checkpoint", Some("42".to_owned()), true)];
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_denied_and_named() {
    let error = connect(&server().url("no_such_database")).now().await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(chain(&error).contains("no_such_database"), "{}", chain(&error));
}

#[tokio::test]
async fn a_refusal_names_the_constraint_and_not_a_line_of_postgres_own_source() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    database.run("alter table replicator.resource add check (off_reason <> 'nonsense')").await;
    let error = database.store.turn_off_resource(&lease, Resource::Office, "nonsense").await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert_eq!(error.sqlstate_class(), Some("23"));
    let text = chain(&error);
    assert!(text.contains("constraint: resource_off_reason_check"), "{text}");
    assert!(!text.contains("at line"), "{text}");
}

#[tokio::test]
async fn a_word_of_a_newer_version_is_shown_and_not_guessed_around() {
    let database = Database::migrated().await;
    database.feed("beaches").await;
    database.run("insert into replicator.resource (feed, resource) values ('beaches', 'Starship')").await;
    let error = database.store.resources(&feed("beaches")).await.unwrap_err();
    assert!(matches!(error, Error::Inconsistent { .. }), "{error:?}");
    assert!(error.to_string().contains("Starship"), "{error}");
}

/// The text of an error and of all that lies beneath.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text = format!("{text}: {error}");
        below = error.source();
    }
    text
}
