//! The pool, and the guard around every unit of work.
//!
//! sqlx 0.9 is not cancel-safe: a future dropped inside `begin` makes the next borrower's insert part of a
//! transaction that nobody commits, and one dropped inside a COPY never gives its slot back. So a connection
//! returns to the pool only if its work said [`Unit::done`]; otherwise it is closed, the server rolls back,
//! and the pool opens another. `begin` of sqlx is used by the migrations alone.
//!
//! Heartbeats of leases have a connection of their own: they must not queue behind pages. Nor may deliveries of
//! webhooks, whose senders wait for two seconds; theirs are opened by the first of them.
#![expect(clippy::disallowed_types, reason = "here the pools are, with a unit around all that runs on them")]

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres, raw_sql};

use spark_domain::{Breakage, Timestamp};

use crate::boundary::{Boundary, durable};
use crate::error::{Cause, Error};
use crate::lease::Lease;

/// How long a unit of work waits for a connection, new or returned.
const ACQUIRE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a heartbeat waits for one; its lease lives for 8 seconds.
const BEAT_PATIENCE: Duration = Duration::from_secs(3);
/// A connection that does not answer a ping within this is dead, whatever TCP believes.
const PING_PATIENCE: Duration = Duration::from_secs(2);
/// The client's own limit for a unit of work. TCP alone notices a vanished peer after a quarter of an hour.
const DEADLINE: Duration = Duration::from_mins(1);
/// The same for a heartbeat: a second one still fits into the life of the lease.
const BEAT_DEADLINE: Duration = Duration::from_secs(4);

/// How long a delivery waits for a connection.
const INBOX_PATIENCE: Duration = Duration::from_secs(1);
/// The same for a delivery: its sender gives up after two seconds, and must hear from us before.
const INBOX_DEADLINE: Duration = Duration::from_millis(1_800);
/// Deliveries at a time. Each takes milliseconds.
const INBOX_CONNECTIONS: u32 = 2;

/// The opening of a writing transaction. The limits stand in it, and not in the connection's options, because
/// those may not pass PgBouncer. So does the isolation level: writers here take turns by row locks, and under an
/// administrator's `serializable` one of them could starve the others for hours.
const BEGIN: &str = "begin isolation level read committed; set local statement_timeout = '5s'; set local lock_timeout = '5s'; \
                     set local idle_in_transaction_session_timeout = '5s'";
const BEGIN_LONG: &str = "begin isolation level read committed; set local statement_timeout = '30s'; set local lock_timeout = '5s'; \
                          set local idle_in_transaction_session_timeout = '5s'";
const BEGIN_SHORT: &str = "begin isolation level read committed; set local statement_timeout = '1500ms'; \
                           set local lock_timeout = '1500ms'; set local idle_in_transaction_session_timeout = '5s'";
/// A bare `commit` of a transaction in which something failed rolls back and reports success; the `select`
/// before it reports the failure.
const COMMIT: &str = "select 1; commit";

sql! {
    CLOCK = "select clock_timestamp()";
    LEASE_CHECK = "select 1 from replicator.lease \
        where feed = $1 and epoch = $2 and holder = $3 and expires_at > clock_timestamp() for key share";
}

/// Where the database is, and how much of it we may use.
#[derive(Clone)]
pub struct Settings {
    /// `postgres://user:password@host:port/database?sslmode=verify-full`. A secret: never shown. A PgBouncer
    /// between us must be 1.21 or newer, with `max_prepared_statements` above 0.
    pub url: String,
    /// The most connections for work; one more serves the heartbeats, and two the deliveries of webhooks.
    pub max_connections: u32,
}

/// What a unit of work was and how it went, for metrics.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    /// One of `upsert`, `checkpoint`, `purge`, `state`, `relations`; `acquire` for the wait for a connection.
    pub name: &'static str,
    /// From asking for a connection to the end of the unit.
    pub took: Duration,
    /// The first two letters of the SQLSTATE if Postgres answered with an error.
    pub sqlstate_class: Option<&'a str>,
}

/// Hears about every unit of work.
pub type Observer = Arc<dyn Fn(Operation<'_>) + Send + Sync>;

/// How the pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Open and waiting for work.
    pub idle: u32,
    /// At work.
    pub in_use: u32,
    /// The limit of both together.
    pub max: u32,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    beats: PgPool,
    inbox: PgPool,
    options: Arc<PgConnectOptions>,
    max_connections: u32,
    observer: Option<Observer>,
}

impl Store {
    /// A store that connects when it is first used: the database may be away for hours. Must be called inside
    /// a tokio runtime.
    pub fn connect(settings: &Settings) -> Result<Self, Error> {
        // The driver takes any scheme, and then means the socket of this machine.
        if !["postgres://", "postgresql://"].iter().any(|scheme| settings.url.starts_with(scheme)) {
            return Err(Error::BadUrl(sqlx::Error::Configuration(
                "it does not begin with postgres://".into(),
            )));
        }
        let options = PgConnectOptions::from_str(&settings.url)
            .map_err(Error::BadUrl)?
            .application_name("spark-replicator")
            // A slow statement shows in the metrics; its text helps nobody.
            .disable_statement_logging();
        let work = pool_options(settings.max_connections.max(1), ACQUIRE_PATIENCE);
        Ok(Self {
            pool: work.connect_lazy_with(options.clone()),
            beats: pool_options(1, BEAT_PATIENCE).connect_lazy_with(options.clone()),
            inbox: pool_options(INBOX_CONNECTIONS, INBOX_PATIENCE).connect_lazy_with(options.clone()),
            options: Arc::new(options),
            max_connections: settings.max_connections.max(1),
            observer: None,
        })
    }

    /// The same store with an ear on it.
    pub fn observe(self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Postgres' clock, by which leases, margins and second reads are measured.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let now = sqlx::query_scalar(CLOCK).fetch_one(unit.conn()).await?;
            unit.done();
            Ok(now)
        })
        .await
    }

    /// Closes all connections, once those at work are done.
    pub async fn close(&self) {
        self.pool.close().await;
        self.beats.close().await;
        self.inbox.close().await;
    }

    /// How the pool is doing.
    pub fn pool_state(&self) -> PoolState {
        let size = self.pool.size();
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(size).min(size);
        PoolState { idle, in_use: size - idle, max: self.max_connections }
    }

    /// Where we connect to, without the password.
    pub(crate) fn address(&self) -> String {
        let database = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        let host = match self.options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => self.options.get_host().to_owned(),
        };
        format!("{host}:{}/{database} as {}", self.options.get_port(), self.options.get_username())
    }

    /// A connection outside both pools, for the migrations.
    pub(crate) async fn own_connection(&self) -> Result<PgConnection, Error> {
        match tokio::time::timeout(ACQUIRE_PATIENCE, PgConnection::connect_with(&self.options)).await {
            Ok(connected) => connected.map_err(|source| Error::connecting(self.address(), source)),
            Err(_) => Err(Error::connecting(self.address(), sqlx::Error::PoolTimedOut)),
        }
    }

    /// A connection for one unit of work.
    pub(crate) async fn unit(&self) -> Result<Unit, Error> {
        self.unit_of(&self.pool).await
    }

    /// The connection of the heartbeats.
    pub(crate) async fn beat(&self) -> Result<Unit, Error> {
        self.unit_of(&self.beats).await
    }

    #[expect(clippy::disallowed_methods, reason = "the unit is made of it")]
    async fn unit_of(&self, pool: &PgPool) -> Result<Unit, Error> {
        let asked = Instant::now();
        let acquired = Box::pin(pool.acquire()).await;
        if let Some(observer) = &self.observer {
            observer(Operation { name: "acquire", took: asked.elapsed(), sqlstate_class: None });
        }
        match acquired {
            Ok(connection) => Ok(Unit { connection, clean: false }),
            // The pool tries again until its patience ends and then forgets why; one attempt of our own tells.
            Err(sqlx::Error::PoolTimedOut) if pool.size() < pool.options().get_max_connections() => {
                let connection = Box::pin(self.own_connection()).await?;
                connection.close().await?;
                Err(Error::connecting(self.address(), sqlx::Error::PoolTimedOut))
            }
            Err(source) => Err(Error::connecting(self.address(), source)),
        }
    }

    /// Opens a transaction that writes for the lease's feed, in which a statement may take 5 s.
    ///
    /// The row lock of the check makes a taker wait until this transaction is over. Savepoints are plain SQL:
    /// sqlx does not know of the transaction.
    pub(crate) async fn begin_write(&self, lease: &Lease) -> Result<Writing, Error> {
        self.begin(lease, BEGIN).await
    }

    /// The same where a statement may take 30 s: purges, refills.
    pub(crate) async fn begin_long_write(&self, lease: &Lease) -> Result<Writing, Error> {
        self.begin(lease, BEGIN_LONG).await
    }

    /// A transaction without a lease: take-overs, requests of people.
    pub(crate) async fn begin_unleased(&self) -> Result<Writing, Error> {
        let mut unit = self.unit().await?;
        raw_sql(BEGIN).execute(unit.conn()).await?;
        Ok(Writing { unit })
    }

    /// The same for a delivery, on a connection that no job can take away.
    pub(crate) async fn begin_delivery(&self) -> Result<Writing, Error> {
        let mut unit = self.unit_of(&self.inbox).await?;
        raw_sql(BEGIN_SHORT).execute(unit.conn()).await?;
        Ok(Writing { unit })
    }

    async fn begin(&self, lease: &Lease, opening: &'static str) -> Result<Writing, Error> {
        let mut unit = self.unit().await?;
        raw_sql(opening).execute(unit.conn()).await?;
        let held: Option<i32> = sqlx::query_scalar(LEASE_CHECK)
            .bind(lease.feed().as_str())
            .bind(lease.epoch())
            .bind(lease.holder())
            .fetch_optional(unit.conn())
            .await?;
        match held {
            None if Breakage::NoFence.is_on() => Ok(Writing { unit }),
            Some(_) => Ok(Writing { unit }),
            None => Err(Error::LeaseLost { feed: lease.feed().clone() }),
        }
    }

    /// Runs a unit of work under the client's deadline and tells the observer. Every public method is wrapped
    /// in it; dropping the work at the deadline is safe because of [`Unit`].
    pub(crate) async fn observed<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.observed_within(DEADLINE, name, work).await
    }

    /// The same for what must not hang while a lease runs out.
    pub(crate) async fn observed_beat<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.observed_within(BEAT_DEADLINE, "state", work).await
    }

    /// The same for what somebody outside waits for.
    pub(crate) async fn observed_delivery<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.observed_within(INBOX_DEADLINE, "state", work).await
    }

    /// The same with a deadline of the caller's.
    pub(crate) async fn observed_within<T>(
        &self,
        deadline: Duration,
        name: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let result = match tokio::time::timeout(deadline, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unreachable(Cause::Silent { seconds: deadline.as_secs() })),
        };
        if let Some(observer) = &self.observer {
            let sqlstate_class = result.as_ref().err().and_then(Error::sqlstate_class);
            observer(Operation { name, took: began.elapsed(), sqlstate_class });
        }
        result
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("at", &self.address()).field("pool", &self.pool_state()).finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = &self.max_connections;
        f.debug_struct("Settings").field("url", &"[secret]").field("max_connections", max).finish()
    }
}

/// A borrowed connection that goes back to the pool only if its work came to its end.
pub(crate) struct Unit {
    connection: PoolConnection<Postgres>,
    clean: bool,
}

impl Unit {
    /// The connection.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// The work is over and no transaction is open: the connection may serve others.
    pub(crate) fn done(mut self) {
        self.clean = true;
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if !self.clean {
            self.connection.close_on_drop();
        }
    }
}

/// A transaction that has passed the check of its lease. Dropped without [`Writing::commit`], it is rolled
/// back by the end of its connection.
pub(crate) struct Writing {
    unit: Unit,
}

impl Writing {
    /// The connection, inside the transaction.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.unit.conn()
    }

    /// Commits. After an error it is unknown whether the transaction took place; every caller may repeat it.
    pub(crate) async fn commit(mut self, boundary: Boundary) -> Result<(), Error> {
        durable(boundary, raw_sql(COMMIT).execute(self.unit.conn())).await?;
        self.unit.done();
        Ok(())
    }
}

fn pool_options(max: u32, patience: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(patience)
        .idle_timeout(Duration::from_mins(5))
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(async move {
                // A connection that failed its ping is replaced; the error itself says nothing more.
                Ok(matches!(tokio::time::timeout(PING_PATIENCE, connection.ping()).await, Ok(Ok(()))))
            })
        })
}
