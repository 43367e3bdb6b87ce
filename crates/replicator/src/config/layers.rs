//! Where values come from: flags over environment over file over defaults.
//!
//! figment merges the layers and remembers for every value which of them it is from. Its own environment
//! provider is not used, because it guesses types: the password `0123` would become the number 123. Here what
//! is not TOML stays text.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::lines::Lines;

/// What every variable of ours begins with; two underscores part a section from its key.
pub(crate) const PREFIX: &str = "SPARK_REPLICATOR__";

const ENVIRONMENT: &str = "environment";
const FLAGS: &str = "command line";

/// Where a value is from. A later variant goes before an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Nobody set it.
    Default,
    /// A configuration file, and the line if known.
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl Source {
    /// Which layer it is, for comparing.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(..) => 1,
            Self::Environment(_) => 2,
            Self::Flag => 3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str(FLAGS),
        }
    }
}

/// All layers, merged.
pub(crate) struct Layers {
    figment: Figment,
    path: PathBuf,
    lines: Lines,
}

impl Layers {
    /// Merges a file's text (named `path` in messages), variables and flags (`section.key`, value).
    pub(crate) fn merge(
        path: PathBuf,
        text: &str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[(&str, String)],
    ) -> Self {
        let variables = variables.into_iter().filter_map(|(name, value)| {
            let keys = name.to_str()?.strip_prefix(PREFIX)?.to_ascii_lowercase();
            let keys = keys.split("__").map(str::to_owned).collect();
            Some((keys, value.to_string_lossy().into_owned()))
        });
        let flags =
            flags.iter().map(|(key, value)| (key.split('.').map(str::to_owned).collect(), value.clone()));
        let figment = Figment::new()
            .merge(Toml::string(text))
            .merge(Texts { name: ENVIRONMENT, values: variables.collect() })
            .merge(Texts { name: FLAGS, values: flags.collect() });
        Self { figment, path, lines: Lines::of(text) }
    }

    /// The merged values.
    #[expect(clippy::result_large_err, reason = "figment's own error, met once at start")]
    pub(crate) fn values(&self) -> Result<Dict, Error> {
        Ok(self.figment.find_value("")?.into_dict().unwrap_or_default())
    }

    /// Where the value at this key, carrying this tag, is from.
    pub(crate) fn source(&self, tag: Tag, key: &str) -> Source {
        match self.figment.get_metadata(tag).map(|metadata| &*metadata.name) {
            Some(FLAGS) => Source::Flag,
            Some(ENVIRONMENT) => {
                Source::Environment(format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase()))
            }
            _ => Source::File(self.path.clone(), self.lines.line(key)),
        }
    }
}

/// A layer of texts: it never guesses types.
struct Texts {
    name: &'static str,
    values: Vec<(Vec<String>, String)>,
}

impl Provider for Texts {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut root = Dict::new();
        for (keys, value) in &self.values {
            insert(&mut root, keys, value);
        }
        Ok(Profile::Default.collect(root))
    }
}

fn insert(dict: &mut Dict, keys: &[String], value: &str) {
    match keys {
        [] => {}
        [last] => {
            dict.insert(last.clone(), Value::from(value));
        }
        [first, rest @ ..] => {
            let mut inner = dict.remove(first).and_then(Value::into_dict).unwrap_or_default();
            insert(&mut inner, rest, value);
            dict.insert(first.clone(), Value::from(inner));
        }
    }
}
