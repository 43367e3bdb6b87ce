//! The configuration: read once, whole, before anything else happens.
//!
//! Flags go before variables, variables before the file, the file before defaults. Loading finds every problem
//! in one pass and names for each the setting, its value, where it was set and what to write instead. What
//! loads is well-formed; whether it also makes sense for a feed is [`check`]'s question.
//!
//! No other room knows of files or variables: they take plain settings, and figment is met here alone.

mod layers;
mod lines;
mod section;
pub(crate) mod shown;
pub(crate) mod units;
pub(crate) mod cron;
pub(crate) mod database;
pub(crate) mod server;
mod webhooks;
pub(crate) mod log;
pub(crate) mod engine;
pub(crate) mod feed;
pub(crate) mod check;
pub(crate) mod print;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use spark_domain::FeedName;

pub(crate) use self::database::{Database, Target};
pub(crate) use self::engine::Engine;
pub(crate) use self::feed::Feed;
use self::layers::Layers;
pub(crate) use self::layers::Source;
pub(crate) use self::log::Log;
pub(crate) use self::section::{Finding, Secret, Setting, Severity, Shown};
use self::section::{Notes, Section};
pub(crate) use self::server::Server;
use self::webhooks::Webhooks;

/// Where the file is looked for unless `--config` names it.
pub(crate) const PLACES: [&str; 2] = ["replicator.toml", "/etc/spark-replicator/replicator.toml"];

/// Everything that can be set.
#[derive(Debug)]
pub(crate) struct Config {
    /// `[database]`
    pub(crate) database: Database,
    /// `[server]`
    pub(crate) server: Server,
    /// `[webhooks]`
    pub(crate) webhooks: Webhooks,
    /// `[log]`
    pub(crate) log: Log,
    /// `[engine]`
    pub(crate) engine: Engine,
    /// `[feeds.NAME]`
    pub(crate) feeds: BTreeMap<FeedName, Feed>,
}

/// A configuration, and how it came about.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) config: Config,
    /// Every setting with its source, in the order of reading.
    pub(crate) settings: Vec<Setting>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file is not there or not ours to read.
    #[error("cannot read the configuration {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no TOML. The faulty line is not repeated: it may hold a secret.
    #[error("{}: {message}", place(.path, *.line))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where.
        line: Option<usize>,
        /// What the parser said.
        message: String,
    },
    /// Settings are wrong: all of them.
    #[error("{}", listed(.0))]
    Invalid(Vec<Finding>),
}

/// Loads the file at `path`, or at one of the usual places, or none, beneath variables and flags.
pub(crate) fn load(
    path: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[(&str, String)],
) -> Result<Loaded, Error> {
    let path = match path {
        Some(path) => Some(path),
        None => PLACES.iter().map(Path::new).find(|path| path.exists()),
    };
    let text = match path {
        None => String::new(),
        Some(path) => {
            fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?
        }
    };
    read(path.unwrap_or(Path::new(PLACES[0])), &text, variables, flags)
}

/// Reads a file's text beneath variables and flags.
pub(crate) fn read(
    path: &Path,
    text: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[(&str, String)],
) -> Result<Loaded, Error> {
    let syntax = |line, message: String| Error::Syntax { path: path.to_owned(), line, message };
    if let Err(error) = toml_edit::ImDocument::parse(text) {
        let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
        return Err(syntax(line, error.message().to_owned()));
    }
    let layers = Layers::merge(path.to_owned(), text, variables, flags);
    let values = layers.values().map_err(|error| syntax(None, error.to_string()))?;
    let notes = RefCell::new(Notes::default());
    let config = Config::read(Section::root(&layers, &notes, values));
    let Notes { settings, findings } = notes.into_inner();
    match config {
        Some(config) if findings.is_empty() => Ok(Loaded { config, settings }),
        _ => Err(Error::Invalid(findings)),
    }
}

impl Config {
    fn read(mut root: Section<'_>) -> Option<Self> {
        let database = Database::read(root.table("database"));
        let server = Server::read(root.table("server"));
        let webhooks = Webhooks::read(root.table("webhooks"));
        let log = Log::read(root.table("log"));
        let engine = Engine::read(root.table("engine"));
        let mut table = root.table("feeds");
        let mut feeds = BTreeMap::new();
        for (name, source) in table.names() {
            let section = table.table(&name);
            match name.parse::<FeedName>() {
                Ok(name) => {
                    if let Some(feed) = Feed::read(name.clone(), section) {
                        feeds.insert(name, feed);
                    }
                }
                Err(error) => table.find(&name, None, source, error.to_string()),
            }
        }
        root.finish(&["database", "server", "webhooks", "log", "engine", "feeds"]);
        Some(Self { database: database?, server: server?, webhooks, log: log?, engine: engine?, feeds })
    }
}

impl Loaded {
    /// A setting by its key.
    pub(crate) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }
}

fn listed(findings: &[Finding]) -> String {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    match lines.len() {
        1 => format!("the configuration has a problem: {}", lines[0]),
        n => format!("the configuration has {n} problems:\n  {}", lines.join("\n  ")),
    }
}

fn place(path: &Path, line: Option<usize>) -> String {
    Source::File(path.to_owned(), line).to_string()
}
