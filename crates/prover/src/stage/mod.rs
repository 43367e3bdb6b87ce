//! Where a trial takes place: a simulated feed and a Postgres, relays before both, and the instances between.

mod lane;
mod instance;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use chrono::TimeDelta;
use spark_simulator::{Proxy, Settings as SimulatorSettings, Shape, Simulator, Trap};
use sqlx::{Connection, PgConnection, raw_sql};

pub(crate) use self::{
    instance::{End, Instance},
    lane::Lane,
};
use crate::{
    Error,
    history::History,
    settings::{self, Climate, Settings, TOKEN},
    sql, system,
};

/// How long the relays and the machine may take for what takes no time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One trial's world.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) lane: Arc<Lane>,
    pub(crate) simulator: Simulator,
    pub(crate) feed: Proxy,
    pub(crate) trap: Trap,
    /// One a instance, between it and Postgres.
    pub(crate) postgres: Vec<Proxy>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) database: String,
    pub(crate) climate: Climate,
    /// Whether the feed's clock is stepped meanwhile.
    pub(crate) clock_is_stepped: bool,
    folder: PathBuf,
}

impl Stage {
    /// Sets the stage for a history; nothing is started yet.
    pub(crate) async fn set(
        settings: &Settings,
        history: &History,
        lane: Arc<Lane>,
        folder: &Path,
    ) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(system("make the trial's folder"))?;
        let climate = &history.climate;
        let database = lane.database(climate).await?;
        let simulator = simulate(history).await.map_err(system("start the simulator"))?;
        let relay = |to: SocketAddr| async move { Proxy::start(to).await.map_err(system("start a relay")) };
        let feed = relay(simulator.address()).await?;
        simulator.set_origin(&format!("http://{}", feed.address()));
        let base_url = simulator.base_url_of(climate.dialect);
        let trap = Trap::start().await.map_err(system("start the trap"))?;
        let token_file = folder.join("token");
        fs::write(&token_file, TOKEN).map_err(system("write the token"))?;
        let mut postgres = Vec::new();
        let mut instances = Vec::new();
        for number in 0..climate.instances {
            let proxy = relay(lane.entrance()).await?;
            let url =
                format!("postgres://{}@{}/{database}?sslmode=disable", Lane::role(number), proxy.address());
            let config = folder.join(format!("instance-{number}.toml"));
            let token_file = token_file.display().to_string();
            let text = settings::configuration(&url, &base_url, &token_file, climate);
            fs::write(&config, text).map_err(system("write a configuration"))?;
            let other = settings.other_program.as_ref().filter(|_| number % 2 == 1);
            let program = other.unwrap_or(&settings.program).clone();
            let log = folder.join(format!("instance-{number}.log"));
            instances.push(Instance::new(program, config, log, settings.environment.clone()));
            postgres.push(proxy);
        }
        let folder = folder.to_path_buf();
        let clock_is_stepped = history.steps_clock();
        let climate = climate.clone();
        Ok(Self {
            lane,
            simulator,
            feed,
            trap,
            postgres,
            instances,
            database,
            climate,
            clock_is_stepped,
            folder,
        })
    }

    /// Keeps what was asked, for whoever looks into a failure.
    pub(crate) fn keep_requests(&self) -> Result<(), Error> {
        let here = std::time::Instant::now();
        let mut text = String::new();
        for entry in self.simulator.journal().requests() {
            let ago = here.duration_since(entry.instant).as_secs_f64();
            let line = format!(
                "{ago:8.3} s before the end, {} by the feed: {} -> {:?}, {} records, faults {:?}\n",
                entry.at,
                entry.url(),
                entry.status,
                entry.records,
                entry.faults
            );
            text.push_str(&line);
        }
        fs::write(self.folder.join("requests.txt"), text).map_err(system("keep the requests"))
    }

    /// A connection of our own, past all relays.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Error> {
        let url = self.lane.server().url(&self.database);
        let mut connection = PgConnection::connect(&url).await.map_err(sql("connect to Postgres"))?;
        let calm = "set default_transaction_isolation = 'read committed'";
        raw_sql(calm).execute(&mut connection).await.map_err(sql("set the isolation"))?;
        Ok(connection)
    }

    /// The instance that took the lease last, and its epoch; the first instance as long as none did.
    pub(crate) async fn leader(&self) -> Result<(usize, i64), Error> {
        let mut connection = self.connect().await?;
        let last = "select writer::text, epoch from prover.lease_taken order by epoch desc limit 1";
        let taken: Option<(String, i64)> =
            sqlx::query_as(last).fetch_optional(&mut connection).await.map_err(sql("ask who leads"))?;
        let _ = connection.close().await;
        let (writer, epoch) = taken.unwrap_or_default();
        let leader = (0..self.instances.len()).find(|number| Lane::role(*number) == writer);
        Ok((leader.unwrap_or(0), epoch))
    }

    /// Makes another token the right one, and writes it to the instances' file.
    pub(crate) fn issue_token(&self, token: &str) -> Result<(), Error> {
        self.simulator.set_token(token);
        fs::write(self.folder.join("token"), token).map_err(system("write the token"))
    }

    /// Changes the first instance's configuration in a way that orders a download of everything; the next call
    /// takes it back.
    pub(crate) fn reconfigure(&self) -> Result<(), Error> {
        const MORE: &str = "Teams = ['Media']\n";
        let path = self.folder.join("instance-0.toml");
        let text = fs::read_to_string(&path).map_err(system("read a configuration"))?;
        let changed = match text.split_once(MORE) {
            Some((before, after)) => format!("{before}{after}"),
            None => text.replacen("Member = ['Media']\n", &format!("Member = ['Media']\n{MORE}"), 1),
        };
        fs::write(path, changed).map_err(system("write a configuration"))
    }

    /// A command beside the daemons, of the first instance's program; its output goes to a file of the trial.
    pub(crate) fn command(&self, arguments: &[&str]) -> io::Result<Command> {
        let said = fs::File::options().create(true).append(true).open(self.folder.join("commands.log"))?;
        let instance = &self.instances[0];
        let mut command = instance.program(arguments);
        command.stdout(Stdio::from(said.try_clone()?)).stderr(Stdio::from(said));
        Ok(command)
    }

    /// What everybody on the stage has said so far, with the name of each file.
    pub(crate) fn said(&self) -> Vec<(String, String)> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        logs.map(|file| {
            let text = fs::read(file.path()).unwrap_or_default();
            (file.file_name().to_string_lossy().into_owned(), String::from_utf8_lossy(&text).into_owned())
        })
        .collect()
    }
}

async fn simulate(history: &History) -> io::Result<Simulator> {
    let climate = &history.climate;
    let clock = spark_simulator::Clock::default();
    clock.set(clock.now() + TimeDelta::seconds(climate.clock_skew_seconds));
    Simulator::start(SimulatorSettings {
        token: TOKEN.to_owned(),
        seed: history.seed,
        listings: climate.listings,
        open_houses: Some(climate.listings / 5),
        shape: Shape { listing_bytes: 1_500, media_per_listing: 2, media_most: 4, ..Shape::small() },
        cache_window: Duration::from_secs(u64::from(climate.stale_caches)),
        clock,
        ..SimulatorSettings::default()
    })
    .await
}
