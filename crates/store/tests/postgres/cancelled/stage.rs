//! A feed in the middle of everything, its rows as they were, and what must hold after a call was dropped.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use spark_domain::plan::reread::RereadReason;
use spark_domain::{Checkpoint, Expansion, FeedName, Hash, Job, Relation, Resource, Timestamp};
use spark_store::{
    Candidate, DueEvent, Lease, NewPurgePlan, PlanId, RequestId, RequestKind, RunId, Settings, Store, SweepId,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::sync::Mutex;

use crate::fixtures::{Bench, event, key, listing_with};

/// A copy of all tables, and what puts it back.
const REMEMBER: &str = r"
    create schema remembered;
    create view remembered.tables as
        select n.nspname as schema, c.relname as name, format('%I.%I', n.nspname, c.relname) as place,
            array(select attname::text from pg_attribute where attrelid = c.oid and attidentity <> '') as numbered
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname in ('mls', 'replicator');
    do $$ declare t record; begin
        for t in select * from remembered.tables loop
            execute format('create table remembered.%I as table %s', t.schema || '_' || t.name, t.place);
        end loop;
    end $$;
    create function remembered.put_back() returns void language plpgsql as $$ declare t record; begin
        for t in select * from remembered.tables loop
            execute format('delete from %s', t.place);
            execute format('insert into %s overriding system value table remembered.%I', t.place,
                t.schema || '_' || t.name);
        end loop;
    end $$;
    create function remembered.rows() returns setof text language plpgsql as $$ declare t record; begin
        for t in select * from remembered.tables loop
            return query execute format('select (to_jsonb(r) - $1 || jsonb_build_object(''of'', $2))::text from %s r',
                t.place) using t.numbered, t.place;
        end loop;
    end $$;
";

/// Rows on which every method of the store has something to do.
pub(super) struct Stage {
    pub(super) lease: Lease,
    pub(super) run: RunId,
    pub(super) sweep: SweepId,
    pub(super) began_at: Timestamp,
    pub(super) doomed: Vec<Candidate>,
    pub(super) plan: PlanId,
    pub(super) request: RequestId,
    pub(super) events: Vec<DueEvent>,
    url: String,
    /// A session beside the store's.
    beside: Mutex<PgConnection>,
    /// The times in the rows as they were: any other is "later".
    times: BTreeSet<String>,
}

/// All rows of all tables, in order, without what two equal runs would not agree on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rows(Vec<String>);

/// The holder of locks on tables.
pub(super) struct Blocker(PgConnection);

impl Blocker {
    pub(super) async fn let_go(mut self) {
        raw_sql("rollback").execute(&mut self.0).await.unwrap();
    }
}

impl Stage {
    pub(super) async fn set() -> Self {
        let bench = Bench::new().await;
        let (store, lease, feed) = (bench.store(), &bench.lease, bench.lease.feed());
        let r = Resource::Property;
        let texts: Vec<String> = ["a", "b", "c", "d", "e"]
            .iter()
            .map(|key| {
                let more =
                    r#""City":"Old Town","Media":[{"MediaKey":"m1","Order":1}],"Room":[{"RoomKey":"r"}]"#;
                listing_with(key, 1, more)
            })
            .chain([listing_with("f", 1, r#""Odd":1e200000"#)])
            .collect();
        bench.expanded(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let began_at = store.now().await.unwrap();
        let sweep = store.begin_sweep(lease, r, Job::Purge, began_at).await.unwrap();
        let listed = ["a", "b", "x"].map(key);
        let nowhere = Checkpoint::default();
        store.stage_keys(lease, bench.run, r, Job::Purge, sweep, 1, &listed, &nowhere).await.unwrap();
        let doomed = store.purge_candidates(feed, r, sweep, began_at, None, 9).await.unwrap();
        assert_eq!(doomed.len(), 3);
        let plan = NewPurgePlan {
            resource: r,
            sweep,
            began_at,
            rows_held: 5,
            listed: 3,
            keys: &doomed,
            refusal: None,
            explanation: "",
        };
        let plan = store.save_plan(lease, &plan).await.unwrap().unwrap();
        let doubtful = ["c", "d"].map(key);
        store.add_rereads(lease, r, RereadReason::Rewind, &doubtful, began_at).await.unwrap();
        let named = ["a", "b"].map(|name| event(r, name, 7));
        store.receive_events(feed, &named, 9).await.unwrap();
        let events = store.due_events(feed, 9).await.unwrap();
        store.save_metadata(lease, Hash([1; 16]), "<edmx old=''/>").await.unwrap();
        let request = store.submit_request(feed, &RequestKind::Pause, "bob").await.unwrap();
        store.block_feed(lease, "1000").await.unwrap();
        store.pause_feed(lease, "bob").await.unwrap();
        store.turn_off_resource(lease, Resource::Office, "1500").await.unwrap();
        store.turn_off_expansion(lease, r, Expansion::Whole(Relation::Room), "1505").await.unwrap();
        bench
            .database
            .run(
                "insert into replicator.lease values ('hills', 'other', 4, now() - interval '1 hour'); \
                 insert into replicator.oauth_token (feed, generation, sealed, obtained_at, expires_at, claimed_by, sent) \
                     select feed, 1, '\\x00', now(), now() - interval '2 days', 'bob', 1 from replicator.feed; \
                 update replicator.relation_set set after_sweep = true, due_at = null where key = 'b'; \
                 update replicator.resource set columns_version = 0, hash_recipe = 1 where resource = 'Property'; \
                 update replicator.relation_set set fetched = wanted, due_at = null where key = 'a'; \
                 update mls.property set modified_at = null where key = 'a'; \
                 update mls.property set city = null",
            )
            .await;
        store.close().await;
        let mut beside = bench.database.connection().await;
        raw_sql(REMEMBER).execute(&mut beside).await.unwrap();
        let mut stage = Self {
            lease: lease.clone(),
            run: bench.run,
            sweep,
            began_at,
            doomed,
            plan,
            request,
            events,
            url: bench.database.url.clone(),
            beside: Mutex::new(beside),
            times: BTreeSet::new(),
        };
        for row in stage.raw_rows().await {
            each_text(&row, &mut |text| {
                if is_time(text) {
                    stage.times.insert(text.to_owned());
                }
            });
        }
        stage
    }

    pub(super) fn feed(&self) -> &FeedName {
        self.lease.feed()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A store that has not connected yet, with one connection for work and one for heartbeats: a slot that
    /// is lost is the last.
    pub(super) fn store(&self) -> Store {
        Store::connect(&Settings { url: self.url.clone(), max_connections: 1 }).unwrap()
    }

    pub(super) async fn put_back(&self) {
        self.run("select remembered.put_back()").await;
    }

    pub(super) async fn rows(&self) -> Rows {
        let mut rows: Vec<String> = self
            .raw_rows()
            .await
            .into_iter()
            .map(|mut row| {
                rename_times(&mut row, &self.times);
                row.to_string()
            })
            .collect();
        rows.sort_unstable();
        Rows(rows)
    }

    /// What must hold after a call was dropped: its store serves on, both ways and for all to see, and once it
    /// is closed the server has nothing left of it.
    pub(super) async fn serves_on(&self, store: &Store, after: &str) {
        let spare = [255; 32];
        store
            .silence_requests(&spare, Duration::ZERO, Duration::from_mins(5))
            .await
            .unwrap_or_else(|e| panic!("{after}: {e:?}"));
        let seen: bool = self
            .ask(
                "with spare as (delete from replicator.request_budget \
                     where key = decode(repeat('ff', 32), 'hex') returning 1) \
                 select exists (select from spare)",
            )
            .await;
        assert!(seen, "{after}: the next write was not committed");
        store.lease_holder(self.feed()).await.unwrap_or_else(|e| panic!("{after}: {e:?}"));
        store.close().await;
        self.until_nothing_is_left(after).await;
    }

    /// Waits until no session of any store is left on the server, and so nothing more can happen.
    pub(super) async fn until_nothing_is_left(&self, after: &str) {
        let left = "select count(*) from pg_stat_activity \
                    where datname = current_database() and application_name = 'spark-replicator'";
        let begun = Instant::now();
        while self.ask::<i64>(left).await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "{after}: a session is left behind");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until so many sessions of the store wait for a lock.
    pub(super) async fn until_waiting(&self, sessions: i64) {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                       and application_name = 'spark-replicator' and wait_event_type = 'Lock'";
        let begun = Instant::now();
        while self.ask::<i64>(waiting).await < sessions {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for a lock");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Locks all tables but these. In a session of its own: one in a transaction sees the others' waits frozen.
    pub(super) async fn lock_all_but(&self, spared: &[&str]) -> Blocker {
        let spared = spared.join("', '");
        let tables: String = self
            .ask(&format!(
                "select string_agg(place, ', ') from remembered.tables where place not in ('{spared}')"
            ))
            .await;
        let mut session = PgConnection::connect(&self.url).await.unwrap();
        let lock = format!("begin; lock table {tables} in access exclusive mode");
        raw_sql(AssertSqlSafe(lock)).execute(&mut session).await.unwrap();
        Blocker(session)
    }

    pub(super) async fn run(&self, sql: &str) {
        let mut beside = self.beside.lock().await;
        raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *beside).await.unwrap();
    }

    pub(super) async fn ask<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut beside = self.beside.lock().await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut *beside).await.unwrap()
    }

    async fn raw_rows(&self) -> Vec<Value> {
        let mut beside = self.beside.lock().await;
        let rows: Vec<String> =
            sqlx::query_scalar("select remembered.rows()").fetch_all(&mut *beside).await.unwrap();
        rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
    }
}

fn is_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

fn each_text(value: &Value, hear: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => hear(text),
        Value::Array(values) => values.iter().for_each(|value| each_text(value, hear)),
        Value::Object(members) => members.values().for_each(|value| each_text(value, hear)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn rename_times(value: &mut Value, known: &BTreeSet<String>) {
    match value {
        Value::String(text) if is_time(text) && !known.contains(text) => "later".clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(|value| rename_times(value, known)),
        Value::Object(members) => members.values_mut().for_each(|value| rename_times(value, known)),
        _ => {}
    }
}
