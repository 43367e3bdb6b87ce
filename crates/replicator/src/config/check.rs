//! Whether a configuration that loads also makes sense: what takes more than one setting, a file or the
//! calendar to know.

mod webhook;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use spark_fetcher::{SettingsError, check_ca};
use spark_scheduler::oauth::SealKey;

use super::feed::proxy;
use super::units::spoken;
use super::{Feed, Finding, Loaded, Secret, Severity, Shown, Source, database};

/// Spark's own limit for a replication key, per 5 minutes.
const SPARK_LIMIT: u32 = 1_500;

/// All that is wrong or doubtful, in the order of the configuration.
pub(crate) fn findings(loaded: &Loaded, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Findings { loaded, list: Vec::new() };
    check_database(&mut findings);
    if loaded.config.feeds.is_empty() {
        findings.add(
            Severity::Error,
            "feeds",
            "no feed is configured; write a table [feeds.NAME]".to_owned(),
        );
    }
    let mut keys = BTreeMap::new();
    for feed in loaded.config.feeds.values() {
        check_feed(&mut findings, feed, loaded.config.engine.page_allowance, now);
        if let Some(Secret::Text(token)) = &feed.token
            && let Some(other) =
                keys.insert((feed.base_url.clone(), token.expose_secret().to_owned()), &feed.name)
        {
            let message =
                format!("feed {other} has the same token and base_url; they will share its requests");
            findings.add(Severity::Warning, &format!("feeds.{}.token", feed.name), message);
        }
    }
    let listens = loaded.config.webhooks.listen.is_some();
    if listens && loaded.config.feeds.values().all(|feed| feed.webhook.is_none()) {
        let message = "no feed has a table [feeds.NAME.webhook], so every delivery will be refused";
        findings.add(Severity::Warning, "webhooks.listen", message.to_owned());
    }
    findings.list
}

/// The first line of a secret's file, without the end of the line.
pub(crate) fn read_secret(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("it cannot be read: {error}"))?;
    let text = text.trim();
    if text.is_empty() {
        return Err("the file is empty; write the secret into it".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("the file holds more than one line; leave only the secret in it".to_owned());
    }
    Ok(text.to_owned())
}

struct Findings<'a> {
    loaded: &'a Loaded,
    list: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, key: &str, message: String) {
        let setting = self.loaded.setting(key);
        let value = setting.and_then(|setting| match &setting.value {
            Some(Shown::One(text)) => Some(text.clone()),
            _ => None,
        });
        let source = setting.map_or(Source::Default, |setting| setting.source.clone());
        self.list.push(Finding { severity, key: key.to_owned(), value, source, message });
    }
}

fn check_database(findings: &mut Findings<'_>) {
    match &findings.loaded.config.database.target {
        None => findings.add(
            Severity::Error,
            "database.url",
            "it is missing; write postgres://user@host:5432/database, or embedded = true for a trial"
                .to_owned(),
        ),
        Some(super::Target::Url(Secret::File(path))) => {
            let read = read_secret(path).and_then(|text| database::check_url(&text));
            if let Err(message) = read {
                findings.add(Severity::Error, "database.url_file", message);
            }
        }
        Some(_) => {}
    }
}

fn check_feed(findings: &mut Findings<'_>, feed: &Feed, allowance: usize, now: DateTime<Utc>) {
    let key = |name: &str| format!("feeds.{}.{name}", feed.name);
    check_token(findings, feed);
    if feed.resources.is_empty() {
        findings.add(Severity::Error, &key("resources"), "it is empty; name at least Property".to_owned());
    }
    if let Some(Err(error)) = feed.extra_ca.as_deref().map(check_ca) {
        let message = match error {
            SettingsError::CaFile { source, .. } => format!("it cannot be read: {source}"),
            SettingsError::NoCertificate(_) => "it holds no usable certificate in PEM form \
                (-----BEGIN CERTIFICATE-----); name a file that does, or leave the setting out"
                .to_owned(),
            other => other.to_string(),
        };
        findings.add(Severity::Error, &key("extra_ca"), message);
    }
    if let Some(Secret::File(path)) = &feed.proxy
        && let Err(message) = read_secret(path).and_then(|text| proxy::read(&text))
    {
        findings.add(Severity::Error, &key("proxy_file"), message);
    }
    if feed.page_bytes > allowance {
        let message = "it is more than engine.page_allowance, which all pages in memory share; \
                       lower this or raise that";
        findings.add(Severity::Error, &key("page_bytes"), message.to_owned());
    }
    if feed.requests_per_5_minutes > SPARK_LIMIT {
        let message =
            format!("Spark allows a replication key {SPARK_LIMIT}; more only if your licence says so");
        findings.add(Severity::Warning, &key("requests_per_5_minutes"), message);
    }
    if feed.lag_objective < feed.update_every {
        let message = "it is shorter than update_every, so the feed will look stale between two updates";
        findings.add(Severity::Warning, &key("lag_objective"), message.to_owned());
    }
    for (name, cron) in [("purge_at", &feed.purge_at), ("timing.lookback_at", &feed.timing.lookback_at)] {
        if cron.next(now, feed.time_zone, 1).is_empty() {
            let message = "it never comes; write a date that exists".to_owned();
            findings.add(Severity::Error, &key(name), message);
        }
    }
    webhook::check(findings, feed);
    check_deadline(findings, feed, now);
}

/// A feed has a token of its own, or is signed in to.
fn check_token(findings: &mut Findings<'_>, feed: &Feed) {
    let key = |name: &str| format!("feeds.{}.{name}", feed.name);
    let mut read = |name: &str, path: &Path| {
        let text = read_secret(path);
        text.map_err(|message| findings.add(Severity::Error, &key(name), message)).ok()
    };
    match (&feed.token, &feed.oauth) {
        (None, None) => findings.add(
            Severity::Error,
            &key("token"),
            format!(
                "it is missing; write token_file = \"/path/to/the/token\", or a table [{}] for a key whose tokens \
                 expire",
                key("oauth")
            ),
        ),
        (Some(token), Some(_)) => {
            let name = if matches!(token, Secret::File(_)) { "token_file" } else { "token" };
            let message = format!("[{}] is there as well; keep one of the two", key("oauth"));
            findings.add(Severity::Error, &key(name), message);
        }
        (Some(Secret::Text(token)), None) if token.expose_secret().trim().is_empty() => {
            findings.add(Severity::Error, &key("token"), "it is empty".to_owned());
        }
        (Some(Secret::File(path)), None) => drop(read("token_file", path)),
        (Some(Secret::Text(_)), None) => {}
        (None, Some(oauth)) => {
            if let Secret::File(path) = &oauth.client_secret {
                read("oauth.client_secret_file", path);
            }
            if let Some(text) = read("oauth.key_file", &oauth.key_file)
                && let Err(error) = SealKey::parse(&text)
            {
                findings.add(Severity::Error, &key("oauth.key_file"), error.to_string());
            }
        }
    }
}

/// A licence that names a time for removals is kept only if sweeps come often enough.
fn check_deadline(findings: &mut Findings<'_>, feed: &Feed, now: DateTime<Utc>) {
    let (Some(deadline), Some(gap)) =
        (feed.removal_deadline, feed.purge_at.greatest_gap(now, feed.time_zone))
    else {
        return;
    };
    let key = format!("feeds.{}.removal_deadline", feed.name);
    let said = |time: Duration| spoken(time.as_secs_f64());
    let purge_at = feed.purge_at.as_str();
    if gap > deadline {
        let message = format!(
            "purge_at = {purge_at:?} leaves {} between two sweeps within the coming 8 weeks, more than the {} \
             that are allowed; let it run more often",
            said(gap),
            said(deadline)
        );
        findings.add(Severity::Error, &key, message);
    } else if gap + feed.cache_window > deadline {
        let message = format!(
            "purge_at = {purge_at:?} leaves {} between two sweeps: of the {} that are allowed too little is left \
             for the sweep itself and the cache window; let it run more often",
            said(gap),
            said(deadline)
        );
        findings.add(Severity::Warning, &key, message);
    }
}
