//! A simulated feed, a database of its own, and a configuration that makes the program quick.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use spark_simulator::{Manners, Settings, Shape, Simulator, postgres};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::process::{Ended, PATIENCE, Running, program};

/// Everything that a daemon needs.
pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) url: String,
    folder: tempfile::TempDir,
}

/// A running daemon and its address.
pub(crate) struct Daemon {
    pub(crate) process: Running,
    pub(crate) address: String,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Stage {
    /// A market of so many listings, and an empty database of this name.
    pub(crate) async fn new(name: &str, listings: usize) -> Self {
        Self::with(name, listings, Manners::default()).await
    }

    /// The same of a server that has habits of its own.
    pub(crate) async fn with(name: &str, listings: usize, manners: Manners) -> Self {
        let server = postgres::shared().unwrap_or_else(|error| panic!("{error}"));
        server.create_database(name, None).unwrap();
        Self::opened(server.url(name), listings, manners).await
    }

    /// The same with any database.
    pub(crate) async fn at(url: String, listings: usize) -> Self {
        Self::opened(url, listings, Manners::default()).await
    }

    async fn opened(url: String, listings: usize, manners: Manners) -> Self {
        let settings = Settings { listings, manners, shape: Shape::small(), ..Settings::default() };
        let simulator = Simulator::start(settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let stage = Self { simulator, url, folder };
        stage.write_token("simulator-token");
        std::fs::write(stage.config(), stage.text()).unwrap();
        stage
    }

    fn text(&self) -> String {
        format!(
            "[database]\nurl = '{}'\n[server]\nlisten = '127.0.0.1:0'\n[log]\nformat = 'json'\n\
             [engine]\nlease_beat = '100ms'\nlease_life = '1s'\nlease_poll = '100ms'\n\
             [feeds.beaches]\nbase_url = '{}'\ntoken_file = '{}'\nrequests_per_5_minutes = 100000\n\
             update_every = '300ms'\ncache_window = '1s'\npage_size = 100\n\
             [feeds.beaches.requests]\nbackoff_base = '5ms'\nbackoff_cap = '20ms'\n\
             [feeds.beaches.timing]\nretry_unit = '200ms'\nrefusal_gap = '300ms'\n",
            self.url,
            self.simulator.base_url(),
            self.token_file().display()
        )
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("replicator.toml")
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), token).unwrap();
    }

    /// The program with these arguments and our configuration.
    pub(crate) fn program(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = program(arguments);
        command.arg("--config").arg(self.config());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.program(arguments).output().unwrap())
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn daemon(&self) -> Daemon {
        Daemon::start(self.program(&["run"]))
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// One value out of one row.
    pub(crate) async fn ask<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        query.fetch_one(&mut self.connection().await).await.unwrap()
    }

    /// All rows of all tables and views of a schema.
    pub(crate) async fn rows_as_text(&self, schema: &str) -> String {
        let mut connection = self.connection().await;
        let tables = "select quote_ident(table_name) from information_schema.tables where table_schema = $1";
        let tables: Vec<String> =
            sqlx::query_scalar(tables).bind(schema).fetch_all(&mut connection).await.unwrap();
        assert!(!tables.is_empty(), "schema {schema} has no tables");
        let mut text = String::new();
        for table in tables {
            let rows = format!("select coalesce(string_agg(r::text, E'\n'), '') from {schema}.{table} r");
            let rows: String =
                sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut connection).await.unwrap();
            text.extend([table.as_str(), ":\n", &rows, "\n"]);
        }
        text
    }

    /// Waits until a question is answered with true; tables that are not there yet are no answer.
    pub(crate) async fn until(&self, what: &str, sql: &str) {
        let end = Instant::now() + PATIENCE;
        let mut connection = None;
        loop {
            let answer = self.answer(&mut connection, sql).await;
            if matches!(answer, Ok(Some(true))) {
                return;
            }
            if matches!(answer, Err(sqlx::Error::Io(_))) {
                connection = None;
            }
            assert!(Instant::now() < end, "waited in vain until {what}; last answer {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One answer, over a connection that is opened if it is not there.
    async fn answer(
        &self,
        connection: &mut Option<PgConnection>,
        sql: &str,
    ) -> Result<Option<bool>, sqlx::Error> {
        let open = match connection.take() {
            Some(open) => open,
            None => PgConnection::connect(&self.url).await?,
        };
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        query.fetch_one(connection.insert(open)).await
    }

    /// Waits until every resource was downloaded.
    pub(crate) async fn until_complete(&self) {
        let complete = "select count(*) = 6 and bool_and(complete_through_at is not null) \
                        from replicator.freshness";
        self.until("all is downloaded", complete).await;
    }

    /// Changes a listing and waits until its row has it too.
    pub(crate) async fn change_arrives(&self, remarks: &str) {
        let listings = spark_simulator::Resource::Property;
        let key = self.simulator.world().keys(listings)[0].clone();
        assert!(self.simulator.world().edit(listings, &key, "PublicRemarks", remarks));
        let sql = format!(
            "select exists (select from mls.property where key = '{key}' and body->>'PublicRemarks' = '{remarks}')"
        );
        self.until("a change arrives", &sql).await;
    }
}

impl Daemon {
    /// Starts it and waits until it listens.
    pub(crate) fn start(command: std::process::Command) -> Self {
        Self::of(Running::start(command))
    }

    /// Waits until a started one listens.
    pub(crate) fn of(mut process: Running) -> Self {
        let line: Value = serde_json::from_str(&process.wait_for("\"started\"")).unwrap();
        Self { address: line["address"].as_str().unwrap().to_owned(), process }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(&self.address, path)
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").body).unwrap()
    }

    /// Waits for metrics with this in them: what stands in the database is read every few seconds.
    pub(crate) fn metrics_with(&self, part: &str) -> Answer {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.get("/metrics");
            if answer.body.contains(part) {
                return answer;
            }
            assert!(Instant::now() < end, "{part} never came: {}", answer.body);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for a status that answers the description.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "waited in vain until {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Asks with nothing but a socket.
pub(crate) fn get(address: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}
