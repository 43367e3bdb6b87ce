//! `[feeds.NAME]`: one MLS, as its licence and its server want to be asked.

mod limits;
mod oauth;
pub(crate) mod proxy;
mod webhook;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use spark_domain::walk::Paging;
use spark_domain::{FeedName, Relation, Resource};
use spark_fetcher::Api;
use url::Url;

pub(crate) use self::limits::{PurgeGuard, Requests, Timing};
pub(crate) use self::oauth::OAuth;
pub(crate) use self::webhook::{Encoding, Webhook};
pub(crate) use self::words::Authorization;
use super::cron::Cron;
use super::section::{Secret, Section};
use super::shown::without_password;
use super::units;

const KNOWN: &[&str] = &[
    "api",
    "base_url",
    "token",
    "token_file",
    "authorization",
    "paging",
    "resources",
    "relations",
    "page_size",
    "page_bytes",
    "requests_per_5_minutes",
    "update_every",
    "cache_window",
    "purge_at",
    "time_zone",
    "removal_deadline",
    "lag_objective",
    "filter",
    "exclude",
    "proxy",
    "proxy_file",
    "extra_ca",
    "expand_on_initial_download",
    "sweep_timestamps",
    "purge_guard",
    "webhook",
    "requests",
    "timing",
    "oauth",
];

const RESOURCES: &[&str] = &["Property", "Member", "Office", "Teams", "OpenHouse", "Lookup"];

/// A feed's settings. What each means is told once, in `deploy/replicator.example.toml`.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) name: FeedName,
    pub(crate) api: Api,
    pub(crate) base_url: Url,
    pub(crate) token: Option<Secret>,
    pub(crate) oauth: Option<OAuth>,
    pub(crate) authorization: Authorization,
    pub(crate) paging: Paging,
    pub(crate) resources: Vec<Resource>,
    pub(crate) relations: BTreeMap<Resource, Vec<Relation>>,
    pub(crate) page_size: u32,
    pub(crate) page_bytes: usize,
    pub(crate) requests_per_5_minutes: u32,
    pub(crate) update_every: Duration,
    pub(crate) cache_window: Duration,
    pub(crate) purge_at: Cron,
    pub(crate) time_zone: Tz,
    pub(crate) removal_deadline: Option<Duration>,
    pub(crate) lag_objective: Duration,
    pub(crate) filter: String,
    pub(crate) exclude: BTreeSet<String>,
    pub(crate) proxy: Option<Secret>,
    pub(crate) extra_ca: Option<PathBuf>,
    pub(crate) expand_on_initial_download: bool,
    pub(crate) sweep_timestamps: bool,
    pub(crate) webhook: Option<Webhook>,
    pub(crate) purge_guard: PurgeGuard,
    pub(crate) requests: Requests,
    pub(crate) timing: Timing,
}

impl Feed {
    pub(super) fn read(name: FeedName, mut section: Section<'_>) -> Option<Self> {
        // Everything is read before anything is returned, so that every problem is found in one go.
        let api = section.value("api", "reso", units::word(words::APIS));
        // What the dialect allows is told by the dialect that was meant, or else by the usual one.
        let dialect = api.unwrap_or_default();
        let base_url = section.address("base_url", words::default_base_url(dialect), words::base_url);
        let token = section.secret("token");
        let has_oauth = section.names().iter().any(|(name, _)| name == "oauth");
        let authorization = section.value("authorization", "Bearer", units::word(words::AUTHORIZATIONS));
        let paging = section.value("paging", "next_link", |text| words::paging(dialect, text));
        let listed: Vec<_> = Resource::ALL.into_iter().filter(|resource| dialect.lists(*resource)).collect();
        let names: Vec<_> = listed.iter().map(|resource| resource.as_str()).collect();
        let resources = section.list("resources", &names, |text| words::resource(dialect, text));
        let relations = read_relations(&mut section, dialect, resources.as_deref().unwrap_or(&listed));
        let page_size = section.value("page_size", "1000", units::small_number(1, 1_000));
        let page_bytes = section.value("page_bytes", "8MB", units::size);
        let requests_per_5_minutes =
            section.value("requests_per_5_minutes", "1200", units::small_number(10, 100_000));
        let update_every = section.value("update_every", "5m", units::positive_duration);
        let cache_window = section.value("cache_window", "20m", units::positive_duration);
        let purge_at = section.value("purge_at", "0 2 * * *", Cron::parse);
        let time_zone = section.value("time_zone", "UTC", words::time_zone);
        let removal_deadline = section.optional("removal_deadline", units::positive_duration);
        let lag_objective = section.value("lag_objective", "30m", units::positive_duration);
        let filter = section.value("filter", "", words::filter);
        let exclude = section.list("exclude", &[], words::field);
        let proxy = read_proxy(&mut section);
        let extra_ca = section.optional("extra_ca", |text| Ok(PathBuf::from(text)));
        let expand_on_initial_download = section.value("expand_on_initial_download", "false", units::switch);
        let sweep_timestamps = section.value("sweep_timestamps", "false", units::switch);
        let webhook = Webhook::read(&mut section);
        let purge_guard = PurgeGuard::read(section.table("purge_guard"));
        let requests = Requests::read(section.table("requests"));
        let timing = Timing::read(section.table("timing"));
        let oauth = has_oauth.then(|| OAuth::read(section.table("oauth")));
        section.finish(KNOWN);
        Some(Self {
            name,
            api: api?,
            base_url: base_url?,
            token,
            oauth: match oauth {
                Some(oauth) => Some(oauth?),
                None => None,
            },
            authorization: authorization?,
            paging: paging?,
            resources: BTreeSet::from_iter(resources?).into_iter().collect(),
            relations: relations?,
            page_size: page_size?,
            page_bytes: page_bytes?,
            requests_per_5_minutes: requests_per_5_minutes?,
            update_every: update_every?,
            cache_window: cache_window?,
            purge_at: purge_at?,
            time_zone: time_zone?,
            removal_deadline,
            lag_objective: lag_objective?,
            filter: filter?,
            exclude: exclude?.into_iter().collect(),
            proxy,
            extra_ca,
            expand_on_initial_download: expand_on_initial_download?,
            sweep_timestamps: sweep_timestamps?,
            webhook,
            purge_guard: purge_guard?,
            requests: requests?,
            timing: timing?,
        })
    }
}

fn read_proxy(section: &mut Section<'_>) -> Option<Secret> {
    let proxy = section.secret("proxy");
    if let Some(Secret::Text(text)) = &proxy {
        use secrecy::ExposeSecret;
        section.show_last_as(without_password(text.expose_secret()));
        if let Err(message) = proxy::read(text.expose_secret()) {
            section.find_last(message);
        }
    }
    proxy
}

/// Relations by resource. Unless somebody writes the table, listings bring the three of the replication guide.
fn read_relations(
    section: &mut Section<'_>,
    api: Api,
    resources: &[Resource],
) -> Option<BTreeMap<Resource, Vec<Relation>>> {
    let is_set = section.names().iter().any(|(name, _)| name == "relations");
    let mut table = section.table("relations");
    let mut relations = BTreeMap::new();
    let mut complete = true;
    for resource in Resource::ALL {
        // Variables arrive in lower case.
        let names = table.names();
        let name =
            names.iter().map(|(name, _)| name).find(|name| name.eq_ignore_ascii_case(resource.as_str()));
        let default: &[&str] = match resource {
            Resource::Property if !is_set && resources.contains(&resource) => &["Media", "Room", "Unit"],
            _ => &[],
        };
        if name.is_none() && default.is_empty() {
            continue;
        }
        let name = name.map_or(resource.as_str(), String::as_str);
        match table.list(name, default, |text| words::relation_of(api, resource, text)) {
            Some(_) if name_is_alien(resource, resources) => {
                table.find_last(format!(
                    "{resource} is not among the feed's resources; add it there or remove this"
                ));
                complete = false;
            }
            Some(list) => {
                relations.insert(resource, BTreeSet::from_iter(list).into_iter().collect());
            }
            None => complete = false,
        }
    }
    table.finish(RESOURCES);
    complete.then_some(relations)
}

fn name_is_alien(resource: Resource, resources: &[Resource]) -> bool {
    !resources.contains(&resource)
}
