//! `[log]`: what is said, and how.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::section::Section;
use super::units;

const KNOWN: &[&str] = &["format", "filter"];

/// The log's settings.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// How a line looks.
    pub(crate) format: Format,
    /// Which lines are written, in the words of tracing: `info,spark_fetcher=debug`.
    pub(crate) filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

impl Log {
    /// The words of the formats.
    pub(crate) const FORMATS: &'static [(&'static str, Format)] =
        &[("auto", Format::Auto), ("text", Format::Text), ("json", Format::Json)];

    /// What is written unless somebody says otherwise: dependencies speak when something is wrong.
    pub(crate) const FILTER: &'static str = "info,tokio_cron_scheduler=off,sqlx=warn,hyper=warn,h2=warn";

    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let format = section.value("format", "auto", units::word(Self::FORMATS));
        let filter = section.value("filter", Self::FILTER, filter);
        section.finish(KNOWN);
        Some(Self { format: format?, filter: filter? })
    }
}

fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; write levels like \"info\" or \"info,spark_fetcher=debug\"")),
    }
}
