//! `config check | print | example`.

mod meet;
mod estimate;

use anyhow::Context;
use spark_scheduler::FeedSettings;
use spark_scheduler::oauth::keep_tokens;
use spark_store::{Error as StoreError, Store};
use tokio_util::task::TaskTracker;

use super::{block_on, load, print, print_json};
use crate::cli::{ConfigCommand, Global};
use crate::config::{self, Config, Error, Feed, Finding, Loaded, Severity, check};
use crate::exit::{Exit, refuse};
use crate::{assembly, clock, telemetry};

/// The file with every setting.
const EXAMPLE: &str = include_str!("../../../../../deploy/replicator.example.toml");

pub(super) fn run(global: &Global, command: &ConfigCommand) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Example => print(EXAMPLE),
        ConfigCommand::Print { json: true } => print_json(&config::print::json(&load(global)?.settings))?,
        ConfigCommand::Print { json: false } => print(&config::print::text(&load(global)?.settings)),
        ConfigCommand::Check { offline } => return check(&load(global)?, *offline),
    }
    Ok(Exit::Done)
}

/// All that can be told without the database; the feeds are met unless somebody forbids it.
fn check(loaded: &Loaded, offline: bool) -> anyhow::Result<Exit> {
    let (errors, warnings): (Vec<Finding>, Vec<Finding>) = check::findings(loaded, clock::now())
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error);
    for warning in &warnings {
        print(&warning.to_string());
    }
    if !errors.is_empty() {
        return Err(Error::Invalid(errors).into());
    }
    for feed in loaded.config.feeds.values() {
        print(&summary(feed));
    }
    print("the configuration is sound");
    if offline {
        return Ok(Exit::Done);
    }
    telemetry::start(&loaded.config.log, |_| {}).context("cannot start the log")?;
    let feeds = assembly::feeds(&loaded.config)?;
    block_on(async {
        let mut first = None;
        for settings in feeds {
            let met = async { meet::meet(with_tokens(settings, &loaded.config).await?).await };
            if let Err(error) = met.await {
                print(&format!("  it cannot be replicated: {error:#}"));
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(Exit::Done), Err)
    })
}

/// A feed that is signed in to has its token in the database; no other needs one to be met.
async fn with_tokens(settings: FeedSettings, config: &Config) -> anyhow::Result<FeedSettings> {
    if settings.oauth.is_none() {
        return Ok(settings);
    }
    let store = Store::connect(&assembly::store(&config.database)?)?;
    let feed = settings.feed();
    // Whatever else is amiss there is told when the token is asked for.
    if let Err(StoreError::Schema(_)) = store.oauth_token(feed).await {
        let remedy = format!("run `spark-replicator migrate`, then `spark-replicator auth login {feed}`");
        let message = format!(
            "nobody can have signed in to feed {feed}, since its database has no tables yet; {remedy}"
        );
        return Err(refuse(Exit::Denied, message));
    }
    let us = format!("config-check:{}", uuid::Uuid::new_v4().simple());
    Ok(keep_tokens(settings, &store, &us, &TaskTracker::new())?)
}

fn summary(feed: &Feed) -> String {
    let resources: Vec<_> = feed.resources.iter().map(|resource| resource.as_str()).collect();
    let now = clock::now();
    format!(
        "feed {}: {} from {}\n  purge_at {:?}, {}\n  lookback_at {:?}, {}",
        feed.name,
        resources.join(", "),
        feed.base_url,
        feed.purge_at.as_str(),
        feed.purge_at.explain(now, feed.time_zone),
        feed.timing.lookback_at.as_str(),
        feed.timing.lookback_at.explain(now, feed.time_zone),
    )
}
