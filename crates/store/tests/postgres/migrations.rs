//! The tables come about, once, whoever asks.

use spark_store::Error;

use crate::harness::{Database, connect};

#[tokio::test]
async fn migrations_run_twice_and_the_second_time_do_nothing() {
    let database = Database::empty();
    let all = database.store.pending_migrations().await.unwrap();
    let first = ["0001_engine", "0002_data", "0003_freshness", "0004_reread_held"];
    assert_eq!(all[..4], first);
    assert_eq!(all[4..], ["0005_oauth_token", "0006_event", "0007_answers"]);
    assert_eq!(database.store.migrate().await.unwrap(), all);
    assert!(database.store.pending_migrations().await.unwrap().is_empty());
    assert!(database.store.migrate().await.unwrap().is_empty());
}

#[tokio::test]
async fn instances_that_migrate_at_once_do_not_disturb_each_other() {
    let database = Database::empty();
    let stores: Vec<_> = (0..4).map(|_| connect(&database.url)).collect();
    let tasks: Vec<_> =
        stores.into_iter().map(|store| tokio::spawn(async move { store.migrate().await })).collect();
    let mut applied = Vec::new();
    for task in tasks {
        applied.push(task.await.unwrap().unwrap().len());
    }
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, 7]);
}

#[tokio::test]
async fn an_older_program_works_on_a_newer_database() {
    let database = Database::migrated().await;
    database
        .run(
            "insert into replicator.migration (version, description, success, checksum, execution_time) \
              values (9999, 'of the future', true, '\\x00', 1)",
        )
        .await;
    assert!(database.store.pending_migrations().await.unwrap().is_empty());
    assert!(database.store.migrate().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_database_without_tables_says_that_migrate_helps() {
    let database = Database::empty();
    let error = database.store.job_states(&crate::harness::feed("beaches")).await.unwrap_err();
    assert!(matches!(error, Error::Schema(_)), "{error:?}");
    assert!(error.to_string().contains("spark-replicator migrate"), "{error}");
    assert_eq!(error.sqlstate(), Some("42P01"));
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let database = Database::empty();
    let all = database.store.pending_migrations().await.unwrap();
    database.run("create schema replicator; create table replicator.tombstone (x int)").await;
    let error = database.store.migrate().await.unwrap_err();
    assert!(matches!(error, Error::Schema(_)), "{error:?}");
    let tables: i64 = database
        .ask("select count(*) from information_schema.tables where table_schema = 'replicator'")
        .await;
    assert_eq!(tables, 1, "only the table that was in the way");
    assert_eq!(database.store.pending_migrations().await.unwrap(), all);
}

#[tokio::test]
async fn every_table_of_the_engine_says_what_it_is() {
    let database = Database::migrated().await;
    let silent: Vec<String> = database
        .ask("select coalesce(array_agg(c.relname::text), '{}') from pg_class c \
              where c.relnamespace in ('replicator'::regnamespace, 'mls'::regnamespace) and c.relkind in ('r', 'v') \
              and c.relname <> 'migration' and obj_description(c.oid, 'pg_class') is null")
        .await;
    assert!(silent.is_empty(), "without a comment: {silent:?}");
    let crossing: Vec<String> = database
        .ask(
            "select coalesce(array_agg(c.conrelid::regclass::text), '{}') from pg_constraint c \
              join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1] \
              where c.contype = 'p' and c.connamespace in ('replicator'::regnamespace, 'mls'::regnamespace) \
              and a.attname <> 'feed' and c.conrelid::regclass::text not like '%request_budget' \
              and c.conrelid::regclass::text not like '%migration'",
        )
        .await;
    assert!(crossing.is_empty(), "primary keys that do not begin with feed: {crossing:?}");
}
