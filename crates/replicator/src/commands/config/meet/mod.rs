//! The live part of `config check`: what a feed shows to this key, and what a first download of it will take.
//!
//! A handful of requests at the configured pace, without the database unless it keeps the token: nobody else's requests are counted, so
//! beside a busy daemon the pace of both adds up for these seconds.

mod relations;
mod sample;
mod shown;

use std::sync::Arc;
use std::time::Duration;

use spark_domain::job::Priority;
use spark_domain::plan::budget;
use spark_domain::walk::Position;
use spark_domain::{Page, Query, Recovery, Relation, Resource};
use spark_fetcher::{Allowance, Error, Fetcher, Metadata, Pacer, PacerControl, PageRequest};
use spark_scheduler::FeedSettings;
use tokio::time::Instant;

use super::estimate::{Estimate, Terms, bytes};
use crate::commands::print;
use crate::config::units::spoken;
use crate::exit::{Exit, refuse};

/// Tries of one question: somebody waits for the answer.
const ATTEMPTS: u32 = 2;

/// Asks a feed for its metadata and a little of every resource, and prints what it finds. Fails if the feed
/// cannot be replicated at all.
pub(super) async fn meet(mut settings: FeedSettings) -> anyhow::Result<()> {
    print(&format!("meeting {} at {}", settings.feed(), settings.fetcher.base_url));
    let retry = &mut settings.fetcher.retry;
    retry.attempts = retry.attempts.min(ATTEMPTS);
    retry.sync_patience = Duration::ZERO;
    let spacing =
        budget::spacing(settings.requests_per_5_minutes, settings.pace.budget_window, budget::SLOT_LIFE);
    let (pacer, control) = Pacer::new();
    let allowance = Allowance::new(settings.fetcher.page_bytes.saturating_mul(2));
    let speak = |settings| Fetcher::new(settings, pacer.clone(), allowance.clone(), Arc::new(|_| {}));
    let fetcher = speak(settings.fetcher.clone())?;
    let unfiltered = match settings.fetcher.filter.trim() {
        "" => None,
        _ => Some(speak(spark_fetcher::Settings { filter: String::new(), ..settings.fetcher.clone() })?),
    };
    let guest = Guest { settings, fetcher, unfiltered, spacing };
    tokio::select! {
        met = guest.look_around() => met,
        never = keep_pace(control, spacing) => match never {},
    }
}

/// Grants slots at the configured pace.
async fn keep_pace(control: PacerControl, spacing: Duration) -> std::convert::Infallible {
    let mut free_at = Instant::now();
    loop {
        tokio::select! {
            waiting = control.wanted() => {
                let count = budget::block(waiting, spacing, budget::SLOT_LIFE);
                free_at = free_at.max(Instant::now());
                control.grant(free_at, spacing, count);
                free_at += spacing * count;
            }
            silence = control.throttled() => control.silence_until(Instant::now() + silence),
        }
    }
}

struct Guest {
    settings: FeedSettings,
    fetcher: Fetcher,
    /// Asks without the filter, if there is one: whose fault a refusal is.
    unfiltered: Option<Fetcher>,
    spacing: Duration,
}

/// What the daemon would turn off.
#[derive(Default)]
struct Off {
    resources: Vec<Resource>,
    for_the_filter: bool,
}

impl Off {
    /// Whether enough is left. Without its listings nobody wants a feed.
    fn verdict(&self, settings: &FeedSettings) -> anyhow::Result<()> {
        let Self { resources, for_the_filter } = self;
        let is_all = resources.len() == settings.resources.len();
        if !is_all && !resources.contains(&Resource::Property) {
            return Ok(());
        }
        let lost = if is_all { "nothing of it" } else { "no Property of it" };
        let (feed, filter) = (settings.feed(), &settings.fetcher.filter);
        let remedy = if *for_the_filter {
            format!(
                "the feed refuses filter = {filter:?} of [feeds.{feed}], and answers without it; correct it"
            )
        } else {
            format!("correct [feeds.{feed}] (base_url, api, resources), or ask FBS what the key may see")
        };
        Err(refuse(Exit::Configuration, format!("{lost} would be replicated: {remedy}")))
    }
}

impl Guest {
    async fn look_around(&self) -> anyhow::Result<()> {
        print("  it does not say which role the key has, only what it is shown");
        let metadata = self.metadata().await?;
        let (mut estimate, mut uncounted, mut off) = (Estimate::NOTHING, Vec::new(), Off::default());
        for resource in self.settings.resources.iter().copied() {
            if let Some(metadata) = &metadata {
                self.compare(metadata, resource);
            }
            let measured = match self.measure(resource).await {
                Ok(measured) => self.tell_relations(metadata.as_ref(), resource).await.map(|()| measured),
                Err(error) => Err(error),
            };
            match measured {
                Ok(Some(measured)) => estimate = estimate.and(measured.estimate(&self.terms())),
                Ok(None) => uncounted.push(resource.as_str()),
                Err(error) if error.recovery() == Recovery::TurnOff => {
                    let for_the_filter = self.is_for_the_filter(resource, &error).await;
                    let error = anyhow::Error::new(error);
                    let why = if for_the_filter { ", for its filter is refused" } else { "" };
                    print(&format!("  {resource:<10} warning: it would be turned off{why}: {error:#}"));
                    off.resources.push(resource);
                    off.for_the_filter |= for_the_filter;
                }
                Err(error) => return Err(anyhow::Error::new(error).context(format!("no {resource}"))),
            }
        }
        if off.resources.len() < self.settings.resources.len() {
            print(&format!("  a first download: {}", self.forecast(estimate, &uncounted)));
        }
        off.verdict(&self.settings)
    }

    /// Whether the feed answers the same question without the filter.
    async fn is_for_the_filter(&self, resource: Resource, error: &Error) -> bool {
        let Some(unfiltered) = self.unfiltered.as_ref().filter(|_| error.exchange().status == Some(400))
        else {
            return false;
        };
        let query = Query { count: false, ..Query::collection(resource) };
        self.page_of(unfiltered, &query, 1).await.is_ok()
    }

    /// What the feed says that it offers. A server without such a description is asked for its resources all the same,
    /// as `run` does.
    async fn metadata(&self) -> anyhow::Result<Option<Metadata>> {
        if !self.settings.fetcher.api.has_metadata() {
            print("  the native API does not say what it offers; each resource is asked for");
            return Ok(None);
        }
        let error = match self.fetcher.metadata(Priority::Update).await {
            Ok(metadata) => {
                print(&format!("  it offers {}", metadata.entity_sets.join(", ")));
                return Ok(Some(metadata));
            }
            Err(error) => error,
        };
        let answered = error.exchange().status.is_some();
        let says_nothing = match error.recovery() {
            Recovery::GiveUp | Recovery::TurnOff | Recovery::StartOver | Recovery::Shrink => answered,
            Recovery::Retry { .. } => matches!(error, Error::Malformed { .. }),
            Recovery::SignIn | Recovery::WaitForSync => false,
        };
        let error = anyhow::Error::new(error);
        if !says_nothing {
            return Err(error.context("no $metadata"));
        }
        print(&format!(
            "  warning: it has no $metadata, so that its fields and relations cannot be compared: {error:#}"
        ));
        Ok(None)
    }

    fn forecast(&self, estimate: Estimate, uncounted: &[&str]) -> String {
        if !uncounted.is_empty() && estimate == Estimate::NOTHING {
            return "how long it takes cannot be told, since the feed does not count its records".to_owned();
        }
        let but = match uncounted {
            [] => String::new(),
            some => format!(", without {}, which the feed does not count", some.join(", ")),
        };
        format!(
            "about {:.0} requests, {} at {} requests in 5 minutes, {} on disk{but}",
            estimate.requests,
            spoken(estimate.seconds.max(1.0)),
            self.settings.requests_per_5_minutes,
            bytes(estimate.disk_bytes)
        )
    }

    /// Warns of what is configured and not offered.
    fn compare(&self, metadata: &Metadata, resource: Resource) {
        if !metadata.entity_sets.iter().any(|set| set == resource.as_str()) {
            print(&format!("  {resource:<10} warning: the feed's $metadata does not offer it to this key"));
            return;
        }
        let Some(kind) = metadata.entity_types.iter().find(|kind| kind.name == resource.as_str()) else {
            return;
        };
        let missing = |relation: &&Relation| !kind.navigation.iter().any(|name| name == relation.as_str());
        for relation in self.settings.relations_of(resource).iter().filter(missing) {
            print(&format!(
                "  {resource:<10} warning: it has no relation {relation} in the feed's $metadata"
            ));
        }
    }

    async fn page(&self, query: &Query, top: u32) -> Result<Page, Error> {
        self.page_of(&self.fetcher, query, top).await
    }

    async fn page_of(&self, fetcher: &Fetcher, query: &Query, top: u32) -> Result<Page, Error> {
        let position = Position::Start;
        let request = PageRequest { query, position: &position, paging: self.settings.paging, top };
        fetcher.page(&request, Priority::Update).await
    }

    fn terms(&self) -> Terms {
        let spark_fetcher::Settings { page_size, page_bytes, .. } = self.settings.fetcher;
        let expands = self.settings.expand_on_initial_download;
        Terms { page_size, page_bytes, spacing: self.spacing, expands }
    }
}
