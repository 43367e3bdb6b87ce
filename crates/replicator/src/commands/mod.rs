//! The commands, a file each. All end with an [`Exit`] or with an error that knows one.

mod run;
mod search;
mod demo;
mod once;
mod purge;
mod pause;
mod operator;
mod status;
mod get;
mod auth;
mod migrate;
mod config;
mod healthcheck;
mod simulate;
mod prove;

use std::future::Future;

use anyhow::Context;
use spark_store::Store;

use crate::cli::{Auth, Cli, Command, Global};
use crate::config::{self as configuration, Loaded};
use crate::exit::Exit;
use crate::{assembly, telemetry};

/// Most threads that work at a time; more would only cost memory.
const MOST_THREADS: usize = 4;

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    #[cfg(any(feature = "failpoints", feature = "breakages"))]
    crate::sabotage::prepare()?;
    let Cli { global, command } = cli;
    match command {
        Command::Run(arguments) => block_on(run::run(&global, &arguments)),
        Command::Demo(arguments) => block_on(demo::run(&global, &arguments)),
        Command::Once(arguments) => {
            with_store(&global, async |store, loaded| once::run(&store, &loaded, &arguments).await)
        }
        Command::Resync(arguments) => {
            with_store(&global, async |store, loaded| once::resync(&store, &loaded, &arguments).await)
        }
        Command::Purge(arguments) => {
            with_store(&global, async |store, loaded| purge::run(&store, &loaded, &arguments).await)
        }
        Command::Pause(target) => with_store(&global, async |store, loaded| {
            pause::pause(&store, &loaded.config, &target.feed).await
        }),
        Command::Resume(target) => with_store(&global, async |store, loaded| {
            pause::resume(&store, &loaded.config, &target.feed).await
        }),
        Command::Status(arguments) => {
            with_store(&global, async |store, loaded| status::run(store, &loaded, &arguments).await)
        }
        Command::Search(arguments) => {
            with_store(&global, async |store, loaded| search::run(&store, &loaded, &arguments).await)
        }
        Command::Get(arguments) => with_store(&global, async |store, _| get::run(&store, &arguments).await),
        Command::Auth(Auth::Login(arguments)) => {
            with_store(&global, async |store, loaded| auth::login(&store, &loaded, &arguments).await)
        }
        Command::Migrate(arguments) => {
            with_store(&global, async |store, _| migrate::run(&store, &arguments).await)
        }
        Command::Config(command) => config::run(&global, &command),
        Command::Healthcheck(arguments) => healthcheck::run(&global, &arguments),
        Command::Simulate(arguments) => block_on(simulate::run(&global, &arguments)),
        Command::Prove(arguments) => block_on(prove::run(&arguments)),
        #[cfg(feature = "failpoints")]
        Command::Failpoints => {
            print(&spark_store::failpoint::BOUNDARIES.join("\n"));
            Ok(Exit::Done)
        }
    }
}

/// The configuration from the file, the environment and the flags.
fn load(global: &Global) -> Result<Loaded, configuration::Error> {
    configuration::load(global.config.as_deref(), std::env::vars_os(), &global.settings())
}

/// For commands that only need the database: a feed that is badly configured does not stop them.
fn with_store<F>(global: &Global, work: impl FnOnce(Store, Loaded) -> F) -> anyhow::Result<Exit>
where
    F: Future<Output = anyhow::Result<Exit>>,
{
    let loaded = load(global)?;
    telemetry::start(&loaded.config.log, |_| {}).context("cannot start the log")?;
    block_on(async {
        let store = Store::connect(&assembly::store(&loaded.config.database)?)?;
        let worked = work(store.clone(), loaded).await;
        store.close().await;
        worked
    })
}

fn block_on(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let ended = runtime.block_on(work);
    // A task that hangs in the system must not keep the process from ending.
    runtime.shutdown_background();
    ended
}

/// Prints for people or scripts. A reader that went away is no error of ours.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    if write!(out, "{text}{end}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody reads the output");
    }
}

/// Prints JSON, indented.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value).context("cannot write JSON")?);
    Ok(())
}
