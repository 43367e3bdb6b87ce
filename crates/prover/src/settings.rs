//! What is proved, how long, and which clocks run fast for it.

use std::{ops::Range, path::PathBuf, time::Duration};

use spark_simulator::{Dialect, Resource};

/// The feed's name in every configuration.
pub(crate) const FEED: &str = "proved";
/// The one token that is right at first.
pub(crate) const TOKEN: &str = "prover-token-4f1d";

/// The cache window that the program is told; the guide's is 20 minutes.
pub(crate) const CACHE_WINDOW: Duration = Duration::from_secs(4);
/// How long the simulator's caches are stale at most. Its stamps are whole seconds, hence the rest.
pub(crate) const STALE_FOR: Duration = Duration::from_secs(3);
/// How far the feed's clock is stepped; the guide's window is to this as the program's is to 10 minutes.
pub(crate) const CLOCK_STEP: Duration = Duration::from_secs(1);
/// How far a feed's clock may be off all the time. Not scaled.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_mins(10);

/// How long a lease lives, unless a fourth of it is drawn.
pub(crate) const LEASE_LIFE: Duration = Duration::from_secs(8);

/// Which clocks are scaled, and how the program is told: a line each, for the report and `--help`.
pub const CLOCKS: &[&str] = &[
    "cache window, overlap, margins and second reads: 4 s instead of 20 min (cache_window)",
    "updates: every second, or every three, instead of every 5 min (update_every)",
    "sweeps: every 3 s instead of nightly (purge_at)",
    "lookups and metadata: every 5 s instead of daily (timing.daily_every)",
    "waits after failures: 0.2 s instead of 1 min (timing.retry_unit); blocked feeds are probed every 0.5 s instead of 15 min",
    "one request: 1 s to connect, 2 s to read, retries from 5 ms on (requests.*); silence after 429: 0.5 s instead of 5 min",
    "the feed's caches are stale for up to 3 s, its clock steps by 1 s (simulator)",
    "the lease: as it is (8 s, a beat of 2 s, polled every 0.5 s), or a fourth of it all (engine.lease_*)",
    "not scaled: the budget's window, TCP, Postgres' limits (5 s a statement), the skew of the feed's clock",
];

/// What to prove and with what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program, as a file.
    pub program: PathBuf,
    /// What the feed speaks.
    pub dialect: Dialect,
    /// Another version of it: every second instance runs this one.
    pub other_program: Option<PathBuf>,
    /// Variables that every instance is started with: a breakage, for one.
    pub environment: Vec<(String, String)>,
    /// Points at which an instance may be told to kill itself, if the program has them.
    pub failpoints: Option<Failpoints>,
    /// A PgBouncer, 1.21 or newer: the instances meet Postgres through it, in transaction mode.
    pub pgbouncer: Option<PathBuf>,
    /// The seeds.
    pub seeds: Range<u64>,
    /// Steps of each history.
    pub steps: usize,
    /// The most instances of the program on one feed; each seed draws how many.
    pub instances: usize,
    /// How many seeds are tried at a time.
    pub lanes: usize,
    /// Where the traces of failed seeds are kept; nowhere if not said.
    pub keep: Option<PathBuf>,
    /// Whether the shortest failing prefix is looked for.
    pub shrink: bool,
    /// Whether the first failure that is [certain](crate::Failure::certain) ends it all.
    pub stop_at_first: bool,
}

/// Where a program can be told to kill itself, and how.
#[derive(Debug, Clone)]
pub struct Failpoints {
    /// The variable by which it is told.
    pub variable: &'static str,
    /// Their names.
    pub points: Vec<String>,
}

impl Settings {
    /// What a process that is to kill itself at this point finds in its environment.
    pub(crate) fn armed<'a>(&self, point: Option<&'a str>) -> Option<(&'static str, &'a str)> {
        self.failpoints.as_ref().zip(point).map(|(failpoints, point)| (failpoints.variable, point))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            program: PathBuf::from("spark-replicator"),
            dialect: Dialect::Reso,
            other_program: None,
            environment: Vec::new(),
            failpoints: None,
            pgbouncer: None,
            seeds: 0..20,
            steps: 40,
            instances: 1,
            lanes: 4,
            keep: None,
            shrink: true,
            stop_at_first: false,
        }
    }
}

/// The resources that the program follows in this dialect by updates, which is all but lookups.
pub(crate) fn followed(dialect: Dialect) -> Vec<Resource> {
    let followed = |resource: &Resource| dialect.offers(*resource) && *resource != Resource::Lookup;
    Resource::ALL.into_iter().filter(followed).collect()
}

/// The configuration of one instance.
pub(crate) fn configuration(database: &str, base_url: &str, token_file: &str, climate: &Climate) -> String {
    let Climate {
        page_size,
        update_every_seconds,
        requests_per_5_minutes,
        key_paging,
        sweep_timestamps,
        lease_life,
        connections,
        ..
    } = climate;
    let [life, beat, poll] = [1, 4, 16].map(|part| lease_life.as_millis() / part);
    let paging = if *key_paging { "key" } else { "next_link" };
    let (api, people) = match climate.dialect {
        Dialect::Reso => ("reso", "Member = ['Media']\nOffice = ['Media']\n"),
        Dialect::Spark => ("spark", ""),
    };
    format!(
        "[database]\nurl = '{database}'\nmax_connections = {connections}\n\
         [server]\nlisten = '127.0.0.1:0'\n\
         [log]\nformat = 'json'\nfilter = 'info,spark_scheduler=debug,spark_store=debug'\n\
         [engine]\nlease_life = '{life}ms'\nlease_beat = '{beat}ms'\nlease_poll = '{poll}ms'\n\
         [feeds.{FEED}]\napi = '{api}'\nbase_url = '{base_url}'\ntoken_file = '{token_file}'\npaging = '{paging}'\n\
         page_size = {page_size}\nrequests_per_5_minutes = {requests_per_5_minutes}\n\
         update_every = '{update_every_seconds}s'\ncache_window = '{}s'\npurge_at = '*/3 * * * * *'\n\
         sweep_timestamps = {sweep_timestamps}\n\
         [feeds.{FEED}.relations]\nProperty = ['Media', 'Room', 'Unit']\n{people}\
         [feeds.{FEED}.requests]\nconnect_timeout = '1s'\nread_timeout = '2s'\ntotal_timeout = '6s'\n\
         backoff_base = '5ms'\nbackoff_cap = '50ms'\nsync_wait = '100ms'\nsync_patience = '500ms'\n\
         throttled_silence = '500ms'\n\
         [feeds.{FEED}.timing]\nlookback_at = '0 4 1 1 *'\ndaily_every = '5s'\nrefusal_gap = '300ms'\n\
         probe_every = '500ms'\nretry_unit = '200ms'\n",
        CACHE_WINDOW.as_secs()
    )
}

/// What is drawn once for a seed and lasts.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a trait of the weather, and any may come with any"
)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Climate {
    /// What the feed speaks.
    pub(crate) dialect: Dialect,
    pub(crate) listings: usize,
    pub(crate) page_size: usize,
    pub(crate) update_every_seconds: u64,
    pub(crate) requests_per_5_minutes: u32,
    pub(crate) key_paging: bool,
    pub(crate) sweep_timestamps: bool,
    /// Whether the simulator's caches are stale by chance, for up to a second.
    pub(crate) stale_caches: bool,
    /// How far the feed's clock is ahead.
    pub(crate) clock_skew_seconds: i64,
    /// `read committed`, or what an administrator may have set instead.
    pub(crate) isolation: &'static str,
    pub(crate) instances: usize,
    /// A beat is a fourth of it, a stand-by's patience a sixteenth, as it is by default.
    pub(crate) lease_life: Duration,
    /// Whether everything has been downloaded before the first step: then all of it falls on updates and sweeps.
    pub(crate) settled: bool,
    /// How many connections an instance may work with, from the fewest that can be configured to the usual ten.
    pub(crate) connections: u32,
}
