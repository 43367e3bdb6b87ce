//! A fresh, migrated database for each test: one throw-away Postgres per process, one migrated template in it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use spark_domain::{FeedName, Resource};
use spark_simulator::postgres::{self, ThrowAwayPostgres};
use spark_store::{FeedRegistration, Lease, Settings, Store};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

/// Longer than any test; a lease that must run out says so itself.
pub(crate) const LONG: Duration = Duration::from_mins(10);

const TEMPLATE: &str = "migrated";

/// A database of its own, gone with the process.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) url: String,
}

impl Database {
    /// A database as `migrate` leaves it.
    pub(crate) async fn migrated() -> Self {
        static READY: OnceCell<()> = OnceCell::const_new();
        READY
            .get_or_init(|| async {
                let template = Self::of(TEMPLATE, None);
                template.store.migrate().await.unwrap();
                template.store.close().await;
            })
            .await;
        Self::of(&next_name(), Some(TEMPLATE))
    }

    /// A database in which nothing is.
    pub(crate) fn empty() -> Self {
        Self::of(&next_name(), None)
    }

    fn of(name: &str, template: Option<&str>) -> Self {
        server().create_database(name, template).unwrap();
        let url = server().url(name);
        Self { store: connect(&url), url }
    }

    /// The lease of a feed that is registered with all resources.
    pub(crate) async fn feed(&self, name: &str) -> Lease {
        let lease = self.store.acquire_lease(&feed(name), "test", LONG).await.unwrap().unwrap();
        let registration = FeedRegistration {
            api: "reso",
            base_url: "https://feed.example/Reso/OData",
            configuration: "filter=",
            resources: &Resource::ALL,
        };
        self.store.register_feed(&lease, &registration).await.unwrap();
        lease
    }

    /// A connection beside the store's.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements, beside the store.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Asks for one value, beside the store.
    pub(crate) async fn ask<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut connection = self.connection().await;
        let value =
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        value
    }
}

/// A store at a URL, with a pool that a test can exhaust.
pub(crate) fn connect(url: &str) -> Store {
    Store::connect(&Settings { url: url.to_owned(), max_connections: 4 }).unwrap()
}

pub(crate) fn feed(name: &str) -> FeedName {
    name.parse().unwrap()
}

/// Asks again and again until the answer is yes; a test that would wait for longer than 20 s has failed.
pub(crate) async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "still not so after 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn server() -> &'static ThrowAwayPostgres {
    postgres::shared().unwrap_or_else(|error| panic!("{error}"))
}

fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
