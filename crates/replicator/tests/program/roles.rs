//! `deploy/roles.sql`: the daemon works with the lesser role, and no role can do more than it must.

use std::borrow::Cow;
use std::path::Path;

use spark_simulator::Resource;
use spark_simulator::postgres::ThrowAwayPostgres;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, raw_sql};

use super::process::{Ended, program};
use super::stage::Stage;

const OWNER: &str = "spark_replicator_owner";
const DAEMON: &str = "spark_replicator";
const READER: &str = "spark_replicator_reader";

/// What Postgres answers to whoever lacks a right.
const DENIED: &str = "42501";

/// A server with the roles, and the addresses at which they sign in.
struct Estate {
    server: ThrowAwayPostgres,
}

impl Estate {
    /// A new database: the script, then the migration.
    async fn settled() -> Self {
        let estate = Self { server: ThrowAwayPostgres::start().unwrap() };
        estate.apply_the_script().await;
        let migrated = estate.command(OWNER, &["migrate"]);
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        estate
    }

    /// A database in which one role owned everything until now.
    async fn moved() -> Self {
        let estate = Self { server: ThrowAwayPostgres::start().unwrap() };
        let one = "create role replicator login; alter database postgres owner to replicator";
        estate.as_root(one).await;
        let migrated = estate.command("replicator", &["migrate"]);
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        estate.apply_the_script().await;
        estate.as_root("reassign owned by replicator to spark_replicator_owner").await;
        estate.apply_the_script().await;
        estate
    }

    async fn as_root(&self, sql: &str) {
        self.session("postgres").await.execute(raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    async fn apply_the_script(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/roles.sql");
        let script = std::fs::read_to_string(script).unwrap();
        self.as_root(&script).await;
    }

    fn url(&self, role: &str) -> String {
        self.server.url("postgres").replacen("postgres@", &format!("{role}@"), 1)
    }

    async fn session(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url(role)).await.unwrap()
    }

    fn command(&self, role: &str, arguments: &[&str]) -> Ended {
        let mut command = program(arguments);
        Ended::of(&command.env("SPARK_REPLICATOR__DATABASE__URL", self.url(role)).output().unwrap())
    }

    async fn assert_denied(&self, role: &str, statement: &str) {
        let mut session = self.session(role).await;
        let refused = session.execute(raw_sql(AssertSqlSafe(statement.to_owned()))).await.err();
        let code = refused.as_ref().and_then(|error| error.as_database_error()?.code());
        assert_eq!(code.as_deref(), Some(DENIED), "{role}: {statement}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lesser_role_replicates_updates_purges_and_refreshes_media() {
    let estate = Estate::settled().await;
    let stage = Stage::at(estate.url(DAEMON), 60).await;
    let mut daemon = stage.daemon();
    stage.until_complete().await;
    stage.change_arrives("Written by the lesser role").await;
    daemon.until("media is fetched", |status| status["feeds"][0]["relations_due"] == 0);
    stage.until("media is there", "select count(*) > 0 from mls.media").await;
    for command in
        [&["pause", "beaches"][..], &["resume", "beaches"], &["resync", "beaches"], &["once", "lookups"]]
    {
        let done = stage.run(command);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let gone = stage.simulator.world().keys(Resource::Property)[0].clone();
    assert!(stage.simulator.world().remove(Resource::Property, &gone));
    let old = "select max(written_at) < clock_timestamp() - interval '1.5 s' from mls.property";
    stage.until("the rows are older than the cache window", old).await;
    let swept = stage.run(&["once", "purge", "--resource", "Property"]);
    assert_eq!(swept.code, Some(0), "{swept:?}");
    let purged = format!("select not exists (select from mls.property where key = '{gone}')");
    stage.until("what left the feed is purged", &purged).await;
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.wait(), Some(0));
    let said = daemon.process.said();
    assert!(!said.contains(DENIED) && !said.contains("permission denied"), "{said}");
    // Nothing to migrate, so nothing that takes the owner's rights.
    let current = estate.command(DAEMON, &["migrate"]);
    assert_eq!((current.code, &*current.out), (Some(0), "the schema is up to date\n"), "{current:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_migrate_says_who_may_and_goes_on_when_it_was_done() {
    let estate = Estate { server: ThrowAwayPostgres::start().unwrap() };
    estate.apply_the_script().await;
    let stage = Stage::at(estate.url(DAEMON), 10).await;
    let mut daemon = stage.daemon();
    let line = daemon.process.wait_for("may not migrate");
    assert!(line.contains("`spark-replicator migrate`") && line.contains(OWNER), "{line}");
    let ready = daemon.get("/readyz");
    assert!(ready.status == 503 && ready.body.contains("0001_engine"), "{ready:?}");
    let once = stage.run(&["once", "update"]);
    assert_eq!(once.code, Some(77), "{once:?}");
    assert!(once.err.contains(OWNER), "{once:?}");
    let migrated = estate.command(OWNER, &["migrate"]);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    stage.until_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_can_do_more_than_it_must() {
    let estate = Estate::settled().await;
    let everything = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('mls', 'replicator')";
    let tables: Vec<String> =
        sqlx::query_scalar(everything).fetch_all(&mut estate.session("postgres").await).await.unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    for table in &tables {
        for role in [DAEMON, READER] {
            for statement in [
                format!("drop table {table}"),
                format!("truncate {table}"),
                format!("alter table {table} add column more text"),
                format!("create index on {table} (feed)"),
                format!("comment on table {table} is 'mine'"),
            ] {
                estate.assert_denied(role, &statement).await;
            }
        }
        for statement in [
            format!("delete from {table}"),
            format!("insert into {table} default values"),
            format!("copy {table} from stdin"),
            format!("select from {table} for key share"),
        ] {
            estate.assert_denied(READER, &statement).await;
        }
    }
    for role in [DAEMON, READER] {
        for statement in [
            "create table mls.more (a int)",
            "create table replicator.more (a int)",
            "create table public.more (a int)",
            "create temporary table more (a int)",
            "create schema more",
            "create role more",
            "create database more",
            "alter role spark_replicator superuser",
            "set role spark_replicator_owner",
            "copy (select 1) to program 'true'",
            "select pg_read_file('PG_VERSION')",
            "select * from pg_authid",
        ] {
            estate.assert_denied(role, statement).await;
        }
    }
    for statement in ["create role more", "alter role spark_replicator superuser", "select * from pg_authid"]
    {
        estate.assert_denied(OWNER, statement).await;
    }
}

/// One statement of the program, as a role that lacks a right would meet it: prepared, and planned up to the
/// point at which Postgres looks at the rights.
async fn is_allowed(session: &mut PgConnection, text: &str) -> bool {
    let prepared = format!("prepare s as {text}");
    session.execute(raw_sql(AssertSqlSafe(prepared))).await.unwrap();
    let count: i32 = sqlx::query_scalar(
        "select cardinality(parameter_types) from pg_prepared_statements where name = 's'",
    )
    .fetch_one(&mut *session)
    .await
    .unwrap();
    let nulls = vec!["null"; usize::try_from(count).unwrap()].join(", ");
    let explained =
        if count == 0 { "explain execute s".to_owned() } else { format!("explain execute s({nulls})") };
    let outcome = session.execute(raw_sql(AssertSqlSafe(explained))).await;
    session.execute(raw_sql("deallocate s")).await.unwrap();
    match outcome {
        Ok(_) => true,
        Err(error) => {
            let code = error.as_database_error().and_then(|error| error.code().map(Cow::into_owned));
            assert_eq!(code.as_deref(), Some(DENIED), "{text}: {error}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_of_the_program_is_allowed_and_every_right_is_used() {
    let statements = spark_store::statements();
    assert!(statements.len() > 100);
    let (estate, moved) = (Estate::settled().await, Estate::moved().await);
    for estate in [&estate, &moved] {
        let mut daemon = estate.session(DAEMON).await;
        for (file, name, text) in &statements {
            assert!(is_allowed(&mut daemon, text).await, "{file} {name} is denied to {DAEMON}");
        }
    }
    let mut daemon = estate.session(DAEMON).await;
    for schema in ["mls", "replicator"] {
        for right in ["select", "insert", "update", "delete"] {
            let change =
                |verb, word| format!("{verb} {right} on all tables in schema {schema} {word} {DAEMON}");
            estate.as_root(&change("revoke", "from")).await;
            let mut denied = false;
            for (_, _, text) in &statements {
                denied = denied || !is_allowed(&mut daemon, text).await;
            }
            assert!(denied, "no statement needs the right to {right} in schema {schema}");
            estate.as_root(&change("grant", "to")).await;
        }
    }
}
