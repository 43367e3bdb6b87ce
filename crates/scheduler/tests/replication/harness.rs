//! A simulated feed, a database of its own, and the scheduler between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use spark_domain::plan::purge::Guard;
use spark_domain::walk::Paging;
use spark_domain::{FeedName, Job, Relation, Resource};
use spark_fetcher::{Api, TokenSource};
use spark_scheduler::metrics::{Build, Metrics};
use spark_scheduler::{FeedSettings, OnceReport, PAGE_ALLOWANCE, Pace, Replicator, run_once};
use spark_simulator::{Dialect, Settings as SimulatorSettings, Simulator, postgres};
use spark_store::{Settings as StoreSettings, Store};
use sqlx::{Connection, PgConnection, Row};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::DIALECT;

/// How long a test waits for a state before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static TEMPLATE: OnceCell<&'static str> = OnceCell::const_new();
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A feed, a database and what stands between them.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) settings: FeedSettings,
    pub(crate) store: Store,
    pub(crate) url: String,
    pub(crate) metrics: Arc<Metrics>,
}

/// The simulator's word for a resource.
pub(crate) fn sim(resource: Resource) -> spark_simulator::Resource {
    use spark_simulator::Resource as Theirs;
    match resource {
        Resource::Property => Theirs::Property,
        Resource::Member => Theirs::Member,
        Resource::Office => Theirs::Office,
        Resource::Teams => Theirs::Teams,
        Resource::OpenHouse => Theirs::OpenHouse,
        Resource::Lookup => Theirs::Lookup,
    }
}

pub(crate) fn small(listings: usize) -> SimulatorSettings {
    SimulatorSettings { listings, shape: spark_simulator::Shape::small(), ..SimulatorSettings::default() }
}

/// A fresh database on the process' throw-away Postgres, already migrated.
pub(crate) async fn database() -> String {
    let server = postgres::shared().unwrap_or_else(|error| panic!("{error}"));
    let template = TEMPLATE
        .get_or_init(|| async {
            server.create_database("migrated", None).unwrap();
            let store =
                Store::connect(&StoreSettings { url: server.url("migrated"), max_connections: 2 }).unwrap();
            store.migrate().await.unwrap();
            store.close().await;
            "migrated"
        })
        .await;
    let name = format!("world_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server.create_database(&name, Some(template)).unwrap();
    server.url(&name)
}

impl World {
    pub(crate) async fn of(listings: usize) -> Self {
        Self::start(small(listings)).await
    }

    pub(crate) async fn start(simulator: SimulatorSettings) -> Self {
        Self::at(simulator, database().await).await
    }

    pub(crate) async fn at(simulator: SimulatorSettings, url: String) -> Self {
        #[cfg(feature = "breakages")]
        crate::breakages::break_what_is_asked();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(simulator).await.unwrap();
        let metrics = Metrics::new(Build { version: "test", revision: "test" }).unwrap();
        let store = Store::connect(&StoreSettings { url: url.clone(), max_connections: 8 }).unwrap();
        let settings = settings(&simulator, "beaches");
        Self { simulator, settings, store, url, metrics }
    }

    /// Runs one job of one resource to its end.
    pub(crate) async fn once(&self, job: Job, resource: Resource) -> OnceReport {
        self.once_with(&self.settings, job, resource, false).await
    }

    pub(crate) async fn once_with(
        &self,
        settings: &FeedSettings,
        job: Job,
        resource: Resource,
        plan_only: bool,
    ) -> OnceReport {
        let stop = CancellationToken::new();
        let run =
            run_once(settings.clone(), &self.store, &self.metrics, job, Some(resource), plan_only, &stop);
        let reports = tokio::time::timeout(PATIENCE * 2, run).await.expect("the run takes too long").unwrap();
        reports.into_iter().next().expect("the job applies to the resource")
    }

    /// Runs a job that is expected to succeed.
    pub(crate) async fn succeed(&self, job: Job, resource: Resource) -> OnceReport {
        let report = self.once(job, resource).await;
        if let Some(problem) = &report.problem {
            panic!("{job} of {resource}: {problem}");
        }
        report
    }

    /// Runs a job that is expected to fail, and returns what it says.
    pub(crate) async fn fail(&self, job: Job, resource: Resource) -> String {
        let report = self.once(job, resource).await;
        report.problem.unwrap_or_else(|| panic!("{job} of {resource} succeeded")).to_string()
    }

    /// Starts the daemon on this feed.
    pub(crate) fn daemon(&self) -> Replicator {
        Replicator::start(vec![self.settings.clone()], &self.store, &self.metrics, PAGE_ALLOWANCE).unwrap()
    }

    pub(crate) fn feed(&self) -> &FeedName {
        self.settings.feed()
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// One value out of one row.
    pub(crate) async fn ask<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let row = sqlx::query(sql).fetch_one(&mut self.connection().await).await.unwrap();
        row.try_get(0).unwrap()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&mut self.connection().await).await.unwrap();
    }

    /// Waits until a query that answers with a boolean answers with true.
    pub(crate) async fn until(&self, what: &str, sql: &'static str) {
        let mut connection = self.connection().await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !sqlx::query_scalar::<_, Option<bool>>(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
            .unwrap_or(false)
        {
            assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this many resources of the feed are downloaded.
    pub(crate) async fn until_downloaded(&self, resources: usize) {
        let complete = "select count(*) from replicator.resource \
                        where feed = $1 and initial_download_completed_at is not null";
        let mut connection = self.connection().await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let count = sqlx::query_scalar::<_, i64>(complete).bind(self.feed().as_str());
            let count = count.fetch_one(&mut connection).await.unwrap();
            if usize::try_from(count).is_ok_and(|count| count == resources) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{count} resources are downloaded, not {resources}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Keys and bodies of a table of schema `mls`.
    pub(crate) async fn rows(&self, resource: Resource) -> BTreeMap<String, Value> {
        let sql = format!("select key, body::text from mls.{} where feed = $1", resource.table());
        let rows = sqlx::query_as::<_, (String, String)>(sqlx::AssertSqlSafe(sql))
            .bind(self.feed().as_str())
            .fetch_all(&mut self.connection().await)
            .await
            .unwrap();
        rows.into_iter().map(|(key, body)| (key, serde_json::from_str(&body).unwrap())).collect()
    }

    pub(crate) async fn keys(&self, resource: Resource) -> BTreeSet<String> {
        self.rows(resource).await.into_keys().collect()
    }

    /// Asserts that what we hold of a resource is what the simulator shows, row for row.
    pub(crate) async fn assert_equal(&self, resource: Resource) {
        let ours = self.rows(resource).await;
        let theirs: BTreeMap<String, Value> =
            self.simulator.world().truth_in(DIALECT, sim(resource)).into_iter().collect();
        let (mine, real): (BTreeSet<_>, BTreeSet<_>) = (ours.keys().collect(), theirs.keys().collect());
        assert_eq!(mine, real, "{resource}: keys differ");
        for (key, body) in &ours {
            assert_eq!(plain(body), plain(&theirs[key]), "{resource} {key} differs");
        }
    }

    /// Asserts that the media of every listing is what the simulator shows.
    pub(crate) async fn assert_media_equal(&self) {
        for key in self.simulator.world().keys(sim(Resource::Property)) {
            self.assert_relation_equal(Resource::Property, &key, Relation::Media).await;
        }
    }

    pub(crate) async fn assert_relation_equal(&self, resource: Resource, key: &str, relation: Relation) {
        let ours = self.relation(resource, key, relation).await;
        let theirs = self.simulator.world().relation_in(DIALECT, sim(resource), key, relation.as_str());
        let mut theirs: Vec<Value> = theirs.iter().map(plain).collect();
        theirs.sort_by_key(Value::to_string);
        assert_eq!(ours, theirs, "{relation} of {resource} {key} differs");
    }

    pub(crate) async fn relation(&self, resource: Resource, key: &str, relation: Relation) -> Vec<Value> {
        let key = spark_domain::RecordKey::new(key).unwrap();
        let members = self.store.relation_members(self.feed(), resource, &key, relation).await.unwrap();
        let mut bodies: Vec<Value> =
            members.iter().map(|(_, body)| plain(&serde_json::from_str(body).unwrap())).collect();
        bodies.sort_by_key(Value::to_string);
        bodies
    }

    /// The last request for a resource whose URL contains a part, decoded.
    pub(crate) fn last_request(&self, resource: &str, part: &str) -> spark_simulator::Entry {
        let requests = self.simulator.journal().of(resource);
        requests.into_iter().rev().find(|entry| entry.url().contains(part)).expect("no such request was made")
    }
}

/// A body without `@odata.*` noise and nulls, with whole floats as integers: as the comparison sees it.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, value)| !name.contains("@odata.") && !value.is_null())
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(elements) => elements.iter().map(plain).collect::<Vec<_>>().into(),
        Value::Number(number) => Value::String(
            spark_domain::record::normalise_number(&number.to_string())
                .map_or(number.to_string(), |n| n.to_string()),
        ),
        other => other.clone(),
    }
}

/// Settings for a simulated feed: patient towards nobody, so that tests are quick.
pub(crate) fn settings(simulator: &Simulator, feed: &str) -> FeedSettings {
    let feed: FeedName = feed.parse().unwrap();
    let token = TokenSource::Text(simulator.token().into());
    let mut fetcher =
        spark_fetcher::Settings::new(feed, simulator.base_url_of(DIALECT).parse().unwrap(), token);
    fetcher.api = match DIALECT {
        Dialect::Reso => Api::Reso,
        Dialect::Spark => Api::Spark,
    };
    fetcher.retry.base = Duration::from_millis(5);
    fetcher.retry.cap = Duration::from_millis(20);
    fetcher.retry.sync_wait = Duration::from_millis(10);
    fetcher.retry.sync_patience = Duration::from_millis(100);
    fetcher.retry.throttled_silence = Duration::from_millis(50);
    fetcher.timeouts.read = Duration::from_secs(2);
    FeedSettings {
        fetcher,
        oauth: None,
        resources: Resource::ALL.into_iter().filter(|resource| DIALECT.offers(sim(*resource))).collect(),
        relations: [
            (Resource::Property, vec![Relation::Media, Relation::Room, Relation::Unit]),
            (Resource::Member, vec![Relation::Media]),
            (Resource::Office, vec![Relation::Media]),
        ]
        .into_iter()
        .filter(|(resource, _)| !DIALECT.relations(sim(*resource)).is_empty())
        .collect(),
        exclude: BTreeSet::new(),
        paging: Paging::NextLink,
        update_every: Duration::from_millis(300),
        cache_window: Duration::from_mins(20),
        purge_at: "0 0 2 * * *".to_owned(),
        lookback_at: "0 0 1 * * *".to_owned(),
        time_zone: chrono_tz::UTC,
        lookback_span: Duration::from_hours(48),
        daily_every: Duration::from_hours(24),
        lag_objective: Duration::from_mins(30),
        removal_deadline: None,
        requests_per_5_minutes: 300_000,
        purge_guard: Guard::default(),
        expand_on_initial_download: false,
        sweep_timestamps: false,
        pace: Pace {
            lease_life: Duration::from_secs(3),
            lease_beat: Duration::from_millis(300),
            lease_poll: Duration::from_millis(100),
            retry_unit: Duration::from_millis(200),
            refusal_patience: Duration::from_millis(300),
            probe_every: Duration::from_millis(300),
            ..Pace::default()
        },
    }
}
