//! A Postgres server of one lane: seeds that are tried at the same time must not break each other's.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use spark_simulator::postgres::{PgBouncer, Settings as ServerSettings, ThrowAwayPostgres};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use crate::{
    Error,
    settings::{Climate, Settings},
    sql, system,
};

/// The triggers that note what happens.
const WITNESS: &str = include_str!("witness.sql");
/// The database that every trial's is copied from.
const TEMPLATE: &str = "migrated";
/// Few, so that they can all be taken.
const MAX_CONNECTIONS: u16 = 60;
/// More instances than anybody asks for.
const MOST_INSTANCES: usize = 8;

/// A server, and the migrated database that all of its others are copied from.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Before the server in more than one sense: it goes first.
    bouncer: Option<PgBouncer>,
    server: ThrowAwayPostgres,
    address: SocketAddr,
    databases: AtomicU64,
}

impl Lane {
    /// Starts a server, lets the program migrate a database of it, and places the witness.
    pub(crate) async fn open(settings: &Settings) -> Result<Arc<Self>, Error> {
        let options =
            ServerSettings { tcp: true, max_connections: MAX_CONNECTIONS, ..ServerSettings::default() };
        let server = tokio::task::spawn_blocking(move || ThrowAwayPostgres::start_with(options)).await??;
        server.create_database(TEMPLATE, None)?;
        let url = server.url(TEMPLATE);
        let folder = tempfile::tempdir().map_err(system("make a folder"))?;
        let config = folder.path().join("migrate.toml");
        let text = format!("[database]\nurl = '{url}'\n");
        std::fs::write(&config, text).map_err(system("write a configuration"))?;
        let mut migrate = Command::new(&settings.program);
        migrate.arg("migrate").arg("--config").arg(&config);
        let output = migrate.output().map_err(system("start the program"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Program { command: "migrate".to_owned(), said });
        }
        let mut connection = PgConnection::connect(&url).await.map_err(sql("connect to Postgres"))?;
        raw_sql(WITNESS).execute(&mut connection).await.map_err(sql("place the witness"))?;
        for number in 0..MOST_INSTANCES {
            let role = format!("create role {} login in role postgres", Self::role(number));
            raw_sql(AssertSqlSafe(role)).execute(&mut connection).await.map_err(sql("create a role"))?;
        }
        connection.close().await.map_err(sql("close a connection"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
        let roles: Vec<String> = (0..MOST_INSTANCES).map(Self::role).collect();
        let program = settings.pgbouncer.as_ref();
        let bouncer = program.map(|program| PgBouncer::start(program, &server, &roles)).transpose()?;
        Ok(Arc::new(Self { bouncer, server, address, databases: AtomicU64::new(0) }))
    }

    /// The server.
    pub(crate) fn server(&self) -> &ThrowAwayPostgres {
        &self.server
    }

    /// Where the instances find it: a PgBouncer, if there is one.
    pub(crate) fn entrance(&self) -> SocketAddr {
        self.bouncer.as_ref().map_or(self.address, PgBouncer::address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An instance's own role: by it the witness knows who wrote.
    pub(crate) fn role(instance: usize) -> String {
        format!("instance_{instance}")
    }

    /// A role that no instance has.
    pub(crate) fn idle_role() -> String {
        Self::role(MOST_INSTANCES - 1)
    }

    /// A fresh migrated database in which the seed's isolation level is the default.
    pub(crate) async fn database(&self, climate: &Climate) -> Result<String, Error> {
        let name = format!("trial_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.server.create_database(&name, Some(TEMPLATE))?;
        let level = climate.isolation;
        let sentence = format!("alter database {name} set default_transaction_isolation = '{level}'");
        let mut connection =
            PgConnection::connect(&self.server.url("postgres")).await.map_err(sql("connect to Postgres"))?;
        raw_sql(AssertSqlSafe(sentence)).execute(&mut connection).await.map_err(sql("set the isolation"))?;
        connection.close().await.map_err(sql("close a connection"))?;
        Ok(name)
    }

    /// Removes a trial's database.
    pub(crate) fn drop_database(&self, name: &str) -> Result<(), Error> {
        Ok(self.server.drop_database(name)?)
    }
}
