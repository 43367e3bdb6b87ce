//! From the configuration to what the rooms below are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;
use spark_domain::FeedName;
use spark_domain::plan::purge::Guard;
use spark_fetcher::grant::{Grants, OAuthClient};
use spark_fetcher::{Allowance, Fetcher, Pacer, RetrySettings, Timeouts, TokenSource};
use spark_scheduler::metrics::Build;
use spark_scheduler::oauth::{OAuthSettings, SealKey};
use spark_scheduler::{FeedSettings, Metrics, Pace};
use spark_store::Store;

use crate::config::database::check_url;
use crate::config::feed::{Authorization, OAuth, PurgeGuard, Requests, proxy};
use crate::config::{Config, Database, Engine, Feed, Secret, Target, check};
use crate::exit::{Exit, refuse};
use crate::http::Objective;

/// The commit that the image was built from; its Dockerfile says so.
const REVISION: Option<&str> = option_env!("GIT_REVISION");

/// The process' metrics.
pub(crate) fn metrics() -> anyhow::Result<Arc<Metrics>> {
    let build = Build { version: env!("CARGO_PKG_VERSION"), revision: REVISION.unwrap_or("unknown") };
    Metrics::new(build).context("cannot register the metrics")
}

/// A store whose operations are counted. It connects when it is first used.
pub(crate) fn observed_store(
    settings: &spark_store::Settings,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Store> {
    Ok(Store::connect(settings)?.observe(metrics.operation_observer()))
}

/// The store's settings. The database must be named, unless it is one of our own that somebody else starts.
pub(crate) fn store(database: &Database) -> anyhow::Result<spark_store::Settings> {
    let configured = |message: String| refuse(Exit::Configuration, message);
    let url = match &database.target {
        Some(Target::Url(secret)) => {
            let url = read(secret, "database.url_file")?;
            check_url(&url).map_err(|message| configured(format!("database.url_file: {message}")))?;
            url
        }
        Some(Target::Embedded) => {
            return Err(configured(
                "database.embedded is for run and demo; nobody else can reach it".to_owned(),
            ));
        }
        None => {
            let remedy = "write postgres://user@host:5432/database into the configuration, \
                          or set SPARK_REPLICATOR__DATABASE__URL";
            return Err(configured(format!("database.url is missing: {remedy}")));
        }
    };
    Ok(spark_store::Settings { url, max_connections: database.max_connections })
}

/// What counts as late, by feed.
pub(crate) fn objectives(config: &Config) -> BTreeMap<FeedName, Objective> {
    let objective = |feed: &Feed| Objective { lag: feed.lag_objective, daily_every: feed.timing.daily_every };
    config.feeds.iter().map(|(name, feed)| (name.clone(), objective(feed))).collect()
}

/// The settings of every feed, each tried on a fetcher: what no waiting would mend is told before anything
/// starts.
pub(crate) fn feeds(config: &Config) -> anyhow::Result<Vec<FeedSettings>> {
    let allowance = Allowance::new(config.engine.page_allowance);
    let mut feeds = Vec::new();
    for settings in config.feeds.values().map(|settings| feed(settings, &config.engine)) {
        let settings = settings?;
        let (pacer, _) = Pacer::new();
        Fetcher::new(settings.fetcher.clone(), pacer, allowance.clone(), Arc::new(|_| {}))
            .with_context(|| format!("feed {} cannot be asked", settings.feed()))?;
        if let Some(oauth) = &settings.oauth {
            Grants::new(&settings.fetcher, oauth.client.clone())
                .with_context(|| format!("feed {} cannot be signed in to", settings.feed()))?;
        }
        feeds.push(settings);
    }
    Ok(feeds)
}

/// What the scheduler is told of a feed.
pub(crate) fn feed(feed: &Feed, engine: &Engine) -> anyhow::Result<FeedSettings> {
    let timing = &feed.timing;
    Ok(FeedSettings {
        fetcher: fetcher(feed)?,
        oauth: feed.oauth.as_ref().map(|settings| oauth(feed, settings)).transpose()?,
        resources: feed.resources.clone(),
        relations: feed.relations.clone(),
        exclude: feed.exclude.clone(),
        paging: feed.paging,
        update_every: feed.update_every,
        cache_window: feed.cache_window,
        purge_at: feed.purge_at.six_fields().to_owned(),
        lookback_at: timing.lookback_at.six_fields().to_owned(),
        time_zone: feed.time_zone,
        lookback_span: timing.lookback_window,
        daily_every: timing.daily_every,
        lag_objective: feed.lag_objective,
        removal_deadline: feed.removal_deadline,
        requests_per_5_minutes: feed.requests_per_5_minutes,
        purge_guard: guard(&feed.purge_guard),
        expand_on_initial_download: feed.expand_on_initial_download,
        sweep_timestamps: feed.sweep_timestamps,
        pace: Pace {
            lease_life: engine.lease_life,
            lease_beat: engine.lease_beat,
            lease_poll: engine.lease_poll,
            retry_unit: timing.retry_unit,
            refusal_patience: timing.refusal_gap,
            probe_every: timing.probe_every,
            ..Pace::default()
        },
    })
}

fn fetcher(feed: &Feed) -> anyhow::Result<spark_fetcher::Settings> {
    let key = |name: &str| format!("feeds.{}.{name}", feed.name);
    let token = match &feed.token {
        // The scheduler finds a keeper for it.
        _ if feed.oauth.is_some() => TokenSource::Nowhere,
        Some(Secret::File(path)) => TokenSource::File(path.clone()),
        Some(Secret::Text(text)) => TokenSource::Text(text.clone()),
        None => {
            let remedy = "write token_file = \"/path/to/the/token\"";
            return Err(refuse(Exit::Configuration, format!("{} is missing: {remedy}", key("token"))));
        }
    };
    let proxy = feed.proxy.as_ref().map(|secret| read(secret, &key("proxy_file"))).transpose()?;
    let unusable = |why| refuse(Exit::Configuration, format!("{} holds no proxy: {why}", key("proxy_file")));
    let proxy = proxy.map(|text| proxy::read(&text).map_err(unusable)).transpose()?;
    let (timeouts, retry) = patience(&feed.requests);
    Ok(spark_fetcher::Settings {
        api: feed.api,
        authorization: match feed.authorization {
            Authorization::Bearer => spark_fetcher::Authorization::Bearer,
            Authorization::OAuth => spark_fetcher::Authorization::OAuth,
        },
        filter: feed.filter.clone(),
        page_size: feed.page_size,
        page_bytes: feed.page_bytes,
        timeouts,
        retry,
        proxy,
        extra_ca: feed.extra_ca.clone(),
        ..spark_fetcher::Settings::new(feed.name.clone(), feed.base_url.clone(), token)
    })
}

fn oauth(feed: &Feed, settings: &OAuth) -> anyhow::Result<OAuthSettings> {
    let key = |name: &str| format!("feeds.{}.oauth.{name}", feed.name);
    let sealing = read(&Secret::File(settings.key_file.clone()), &key("key_file"))?;
    let no_key = |error| {
        let message = format!("{} = {}: {error}", key("key_file"), settings.key_file.display());
        refuse(Exit::Configuration, message)
    };
    Ok(OAuthSettings {
        client: OAuthClient {
            client_id: settings.client_id.clone(),
            client_secret: read(&settings.client_secret, &key("client_secret_file"))?.into(),
            redirect_uri: settings.redirect_uri.clone(),
            authorize_url: settings.authorize_url.clone(),
            grant_url: settings.grant_url.clone(),
        },
        key: SealKey::parse(&sealing).map_err(no_key)?,
    })
}

fn patience(requests: &Requests) -> (Timeouts, RetrySettings) {
    let timeouts = Timeouts {
        connect: requests.connect_timeout,
        read: requests.read_timeout,
        total: requests.total_timeout,
    };
    let retry = RetrySettings {
        attempts: requests.attempts,
        base: requests.backoff_base,
        cap: requests.backoff_cap,
        sync_wait: requests.sync_wait,
        sync_patience: requests.sync_patience,
        throttled_silence: requests.throttled_silence,
    };
    (timeouts, retry)
}

fn guard(guard: &PurgeGuard) -> Guard {
    Guard {
        floor_records: guard.floor_records,
        ratio: guard.ratio,
        max_records: guard.max_records,
        max_ratio: guard.max_ratio,
        small_rows: guard.small_table_rows,
        small_floor_records: guard.small_table_floor,
        small_ratio: guard.small_table_ratio,
    }
}

/// A secret's text.
pub(crate) fn read(secret: &Secret, key: &str) -> anyhow::Result<String> {
    match secret {
        Secret::Text(text) => Ok(text.expose_secret().to_owned()),
        Secret::File(path) => check::read_secret(path)
            .map_err(|message| refuse(Exit::Configuration, format!("{key} = {}: {message}", path.display()))),
    }
}
