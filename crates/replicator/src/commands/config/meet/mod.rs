//! The live part of `config check`: what a feed shows to this key, and what a first download of it will take.
//!
//! A handful of requests at the configured pace, without the database unless it keeps the token: nobody else's requests are counted, so
//! beside a busy daemon the pace of both adds up for these seconds.

mod sample;

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
    let fetcher = Fetcher::new(settings.fetcher.clone(), pacer, allowance, Arc::new(|_| {}))?;
    let guest = Guest { settings, fetcher, spacing };
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
    spacing: Duration,
}

impl Guest {
    async fn look_around(&self) -> anyhow::Result<()> {
        let metadata = self.metadata().await?;
        let (mut estimate, mut uncounted) = (Estimate::NOTHING, Vec::new());
        for resource in self.settings.resources.iter().copied() {
            if let Some(metadata) = &metadata {
                self.compare(metadata, resource);
            }
            match self.measure(resource).await {
                Ok(Some(measured)) => estimate = estimate.and(measured.estimate(&self.terms())),
                Ok(None) => uncounted.push(resource.as_str()),
                Err(error) if error.recovery() == Recovery::TurnOff => {
                    let error = anyhow::Error::new(error);
                    print(&format!("  {resource:<10} warning: it would be turned off: {error:#}"));
                }
                Err(error) => return Err(anyhow::Error::new(error).context(format!("no {resource}"))),
            }
        }
        print(&format!("  a first download: {}", self.forecast(estimate, &uncounted)));
        Ok(())
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
        let position = Position::Start;
        let request = PageRequest { query, position: &position, paging: self.settings.paging, top };
        self.fetcher.page(&request, Priority::Update).await
    }

    fn terms(&self) -> Terms {
        let spark_fetcher::Settings { page_size, page_bytes, .. } = self.settings.fetcher;
        Terms { page_size, page_bytes, spacing: self.spacing }
    }
}
