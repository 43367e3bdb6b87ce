//! The command line.
//!
//! Commands that change something beside a running daemon leave a request in the database, and the daemon that
//! holds the feed's lease carries it out; see `commands`.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use spark_domain::{FeedName, Job, Relation, Resource};

use crate::config::log::Format;
use crate::config::{Log, units};

/// Keeps a Postgres database equal to MLS feeds on FBS's Spark platform.
#[derive(Debug, Parser)]
#[command(name = "spark-replicator", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 4 stale (status), \
    69 feed or database unavailable, 75 try again later, 77 access refused, 78 wrong configuration, \
    130 and 143 ended by a signal.";

#[cfg(test)]
impl Cli {
    /// The text of `--help`.
    pub(crate) fn command_help() -> String {
        <Self as clap::CommandFactory>::command().render_help().to_string()
    }
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file [default: ./replicator.toml, then /etc/spark-replicator/replicator.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How log lines look: auto, text or json
    #[arg(long, global = true, value_name = "FORMAT", value_parser = units::word(Log::FORMATS))]
    pub(crate) log_format: Option<Format>,
    /// Which log lines are written, like "info,spark_fetcher=debug"
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

impl Global {
    /// The flags that go before the configuration.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let format = self.log_format.and_then(|format| Log::FORMATS.iter().find(|(_, f)| *f == format));
        let format = format.map(|(word, _)| ("log.format", (*word).to_owned()));
        let filter = self.log.clone().map(|filter| ("log.filter", filter));
        format.into_iter().chain(filter).collect()
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replicate all configured feeds until stopped
    Run(Run),
    /// Show it all in one process: a simulated feed, a throw-away Postgres and the daemon
    Demo(Demo),
    /// Run one job now, once
    Once(Once),
    /// Tell how fresh each feed and resource is
    Status(Status),
    /// Look at purges that wait for approval, or approve one
    #[command(subcommand)]
    Purge(Purge),
    /// Download everything again, deleting nothing
    Resync(Resync),
    /// Stop working on a feed until it is resumed
    Pause(Target),
    /// Go on with a paused feed
    Resume(Target),
    /// Show one record as it is stored
    Get(Get),
    /// Ask a feed for records as it shows them now, and store nothing
    Search(Search),
    /// Sign in to feeds whose tokens expire (OAuth2)
    #[command(subcommand)]
    Auth(Auth),
    /// Bring the database's schema up to date
    Migrate(Migrate),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running daemon whether it is alive
    Healthcheck(Healthcheck),
    /// Serve a simulated feed to any client of either API, or a recorded one
    Simulate(Simulate),
    /// Prove that nothing is lost and nothing wrongly purged: random histories, random faults, row-for-row equality
    #[command(after_help = prove_clocks())]
    Prove(Prove),
    /// List the places at which a failpoint may kill the program
    #[cfg(feature = "failpoints")]
    #[command(hide = true)]
    Failpoints,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Keep the feeds' answers in this folder, a file of JSON lines for each feed; secrets are taken out
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Record what people wrote too, and not only its shape: the files are then licensed data of the MLS
    #[arg(long, requires = "record")]
    pub(crate) record_values: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many listings the simulated market has
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub(crate) listings: u32,
    /// End by itself after this long, like 30s
    #[arg(long = "for", value_name = "DURATION", value_parser = units::positive_duration)]
    pub(crate) duration: Option<Duration>,
    /// The port of the status page on this machine [default: 9464 if it is free]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Once {
    /// initial_download, update, lookback, media_refresh, purge, lookups, metadata or resync
    pub(crate) job: Job,
    /// Only this feed
    #[arg(long)]
    pub(crate) feed: Option<FeedName>,
    /// Only this resource
    #[arg(long)]
    pub(crate) resource: Option<Resource>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 4 if any resource is further behind than this [default: each feed's lag_objective]
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration)]
    pub(crate) max_lag: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Purge {
    /// Show the plans that wait: why, how many records, and which
    Plan(PurgePlan),
    /// Allow a plan: at most those of its records that the next complete sweep also lacks are deleted
    Approve {
        /// The plan's number, as `purge plan` shows it
        plan: i64,
        /// The plan's feed
        #[arg(long)]
        feed: Option<FeedName>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PurgePlan {
    /// Only this feed
    #[arg(long)]
    pub(crate) feed: Option<FeedName>,
    /// Only this resource
    #[arg(long)]
    pub(crate) resource: Option<Resource>,
    /// Make new plans first: list all keys, confirm what is missing, and delete nothing
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Show every key and not only the first 20
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Resync {
    /// The feed
    pub(crate) feed: FeedName,
    /// Only this resource
    #[arg(long)]
    pub(crate) resource: Option<Resource>,
}

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The feed
    pub(crate) feed: FeedName,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The feed
    pub(crate) feed: FeedName,
    /// The resource, like Property
    pub(crate) resource: Resource,
    /// The record's key
    pub(crate) key: String,
    /// With these relations, like Media,Room
    #[arg(long, value_delimiter = ',', value_name = "RELATION")]
    pub(crate) expand: Vec<Relation>,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// The feed
    pub(crate) feed: FeedName,
    /// The resource, like Property
    pub(crate) resource: Resource,
    /// A condition in the feed's dialect (OData, SparkQL), beside the feed's own filter
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<String>,
    /// The most records shown, over as many pages as they take
    #[arg(long, default_value_t = 10, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Say how many there are
    #[arg(long)]
    pub(crate) count: bool,
    /// With these relations, like Media,Room
    #[arg(long, value_delimiter = ',', value_name = "RELATION")]
    pub(crate) expand: Vec<Relation>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Auth {
    /// Sign in: show the address where a person agrees, and take the code that comes back
    Login(Login),
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The feed
    pub(crate) feed: FeedName,
    /// The code, or the whole address that the browser was sent back to [default: it is asked for]
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Wait for the browser at redirect_uri, which must be on this machine, like http://127.0.0.1:8910/back
    #[arg(long, conflicts_with = "code")]
    pub(crate) listen: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only tell what is to be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration, all of it at once, and meet the feeds
    Check {
        /// Ask no feed
        #[arg(long)]
        offline: bool,
    },
    /// Print every value and where it is from, without secrets
    Print {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a file with every setting, its default and its meaning
    Example,
}

#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// The daemon's address [default: the configured one]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<std::net::SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Where to serve; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:8585", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
    /// How many listings the market has
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub(crate) listings: u32,
    /// The seed from which the market grows
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The token that it accepts
    #[arg(long, default_value = "simulator-token")]
    pub(crate) token: String,
    /// How often something happens in the market
    #[arg(long, default_value_t = 60.0, value_name = "N")]
    pub(crate) moves_per_minute: f64,
    /// How many bytes of JSON a listing has, on average and without its media
    #[arg(long, default_value_t = 8_000, value_name = "BYTES")]
    pub(crate) listing_bytes: usize,
    /// Serve what `run --record` kept instead: a folder with one recording, or the file
    #[arg(long, value_name = "DIR", conflicts_with_all = ["listings", "seed", "token", "moves_per_minute", "listing_bytes"])]
    pub(crate) replay: Option<PathBuf>,
}

/// The dialect that a proof is held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ProvedApi {
    Reso,
    Spark,
}

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The seeds to try, the last one not included; a number alone is one seed
    #[arg(long, default_value = "0..20", value_name = "A..B", value_parser = seeds)]
    pub(crate) seeds: Range<u64>,
    /// Steps of each random history
    #[arg(long, default_value_t = 40, value_name = "N")]
    pub(crate) steps: u16,
    /// The most instances of the program on one feed; each seed draws how many
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) instances: u8,
    /// How many seeds are tried at a time, each with a Postgres of its own [default: two for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) lanes: Option<u8>,
    /// Write a JSON report to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Keep the logs and configurations of failed seeds in this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) keep: Option<PathBuf>,
    /// What the simulated feed speaks: "reso" or "spark", the native API
    #[arg(long, value_enum, default_value_t = ProvedApi::Reso)]
    pub(crate) api: ProvedApi,
    /// Another version of this program, as a file: every second instance runs it, as during an upgrade
    #[arg(long, value_name = "FILE")]
    pub(crate) beside: Option<PathBuf>,
    /// A PgBouncer (1.21 or newer), as a file: the program meets Postgres through it, in transaction mode
    #[arg(long, value_name = "FILE")]
    pub(crate) pgbouncer: Option<PathBuf>,
    /// Do not look for the shortest beginning of a history that still fails
    #[arg(long)]
    pub(crate) no_shrink: bool,
    /// End at the first failure
    #[arg(long)]
    pub(crate) first: bool,
    /// Instead of random histories: kill the program on either side of every commit
    #[cfg(feature = "failpoints")]
    #[arg(long)]
    pub(crate) points: bool,
    /// Instead of proving the program: break these of its promises in turn, or all, and see that the seeds find it out
    #[cfg(feature = "breakages")]
    #[arg(long, value_name = "WORD", num_args = 0.., conflicts_with = "breakage", value_parser = str::parse::<spark_domain::Breakage>)]
    pub(crate) breakages: Option<Vec<spark_domain::Breakage>>,
    /// Break this one promise
    #[cfg(feature = "breakages")]
    #[arg(long, value_name = "WORD", value_parser = str::parse::<spark_domain::Breakage>)]
    pub(crate) breakage: Option<spark_domain::Breakage>,
}

/// `0..100`, or `17` for `17..18`.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match text.split_once("..") {
        Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| from..to),
        None => number(text).map(|seed| seed..seed.saturating_add(1)),
    };
    range.filter(|range| !range.is_empty()).ok_or_else(|| "write a range like 0..100, or one seed".to_owned())
}

fn prove_clocks() -> String {
    format!("Clocks (and how the program is told):\n  {}", spark_prover::CLOCKS.join("\n  "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_behind_the_command_and_become_settings() {
        let cli = Cli::try_parse_from(["x", "run", "--log-format", "json", "--log", "debug"]);
        let settings = cli.map(|cli| cli.global.settings()).unwrap_or_default();
        assert_eq!(settings, [("log.format", "json".to_owned()), ("log.filter", "debug".to_owned())]);
    }
}
