//! The live part of `config check`: what a feed shows to this key, and what a first download of it will take.
//!
//! A handful of requests at the configured pace, without the database unless it keeps the token: nobody else's requests are counted, so
//! beside a busy daemon the pace of both adds up for these seconds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use spark_domain::job::Priority;
use spark_domain::plan::budget;
use spark_domain::walk::Position;
use spark_domain::{Expansion, MediaPart, Page, Query, Recovery, Relation, Resource};
use spark_fetcher::{Allowance, Error, Fetcher, Metadata, Pacer, PacerControl, PageRequest};
use spark_scheduler::FeedSettings;
use tokio::time::Instant;

use super::estimate::{Estimate, Measured, Terms, bytes};
use crate::commands::print;
use crate::config::units::spoken;
use crate::http::view::float;

/// Records in the page that is weighed.
const SAMPLE: u32 = 100;

/// Records in the page that is weighed with its relations.
const EXPANDED_SAMPLE: u32 = 25;

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
        let metadata = if self.settings.fetcher.api.has_metadata() {
            let metadata = self.fetcher.metadata(Priority::Update).await.context("no $metadata")?;
            print(&format!("  it offers {}", metadata.entity_sets.join(", ")));
            Some(metadata)
        } else {
            print("  the native API does not say what it offers; each resource is asked for");
            None
        };
        let mut estimate = Estimate::NOTHING;
        for resource in self.settings.resources.iter().copied() {
            if let Some(metadata) = &metadata {
                self.compare(metadata, resource);
            }
            match self.measure(resource).await {
                Ok(measured) => estimate = estimate.and(measured.estimate(&self.terms())),
                Err(error) if error.recovery() == Recovery::TurnOff => {
                    let error = anyhow::Error::new(error);
                    print(&format!("  {resource:<10} warning: it would be turned off: {error:#}"));
                }
                Err(error) => return Err(anyhow::Error::new(error).context(format!("no {resource}"))),
            }
        }
        let pace = self.settings.requests_per_5_minutes;
        print(&format!(
            "  a first download: about {:.0} requests, {} at {pace} requests in 5 minutes, {} on disk",
            estimate.requests,
            spoken(estimate.seconds.max(1.0)),
            bytes(estimate.disk_bytes)
        ));
        Ok(())
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

    /// One record with the count, a page, and a page with relations.
    async fn measure(&self, resource: Resource) -> Result<Measured, Error> {
        let collection = Query::collection(resource);
        let first = self.page(&collection, 1).await?;
        let count = first.head.count.unwrap_or(0);
        let plain = Query { count: false, ..collection };
        let page = self.page(&plain, SAMPLE).await?;
        let (weight, seconds) = (per_record(&page), page.head.took.as_secs_f64());
        let (records, took) = (page.len(), first.head.took.as_secs_f64());
        drop((first, page));
        let relations = self.settings.relations_of(resource);
        let relation_bytes = match relations {
            [] => None,
            relations => {
                let page = self.expanded(Query { expand: relations.to_vec(), ..plain }).await?;
                page.map(|page| (per_record(&page) - weight).max(0.0))
            }
        };
        print(&format!(
            "  {resource:<10} {count:>9} records; one in {took:.2} s, {records} in {seconds:.2} s, {} each{}",
            bytes(weight),
            relation_bytes.map_or_else(String::new, |more| format!(" and {} of relations", bytes(more)))
        ));
        let record_seconds = seconds / float(records.max(1) as u64);
        Ok(Measured { count, record_bytes: weight, record_seconds, relation_bytes })
    }

    /// A page with those of the relations that are to be had, if any; warns of the others one by one.
    async fn expanded(&self, mut query: Query) -> Result<Option<Page>, Error> {
        let warn = |what: &str, error: Error| {
            let (resource, error) = (query.resource, anyhow::Error::new(error));
            print(&format!("  {resource:<10} warning: {what} not to be had: {error:#}"));
        };
        let refusal = match self.page(&query, EXPANDED_SAMPLE).await {
            Ok(page) => return Ok(Some(page)),
            Err(error) if error.recovery() == Recovery::TurnOff => error,
            Err(error) => return Err(error),
        };
        let (mut refused, mut parts_left) = (BTreeSet::new(), false);
        for (expansion, alone) in self.settings.fetcher.api.apart(&query) {
            match self.page(&alone, 1).await {
                Ok(_) => parts_left |= matches!(expansion, Expansion::Part(_)),
                Err(error) if error.recovery() == Recovery::TurnOff => {
                    warn(&format!("{expansion} is"), error);
                    refused.insert(expansion);
                }
                Err(error) => return Err(error),
            }
        }
        if refused.is_empty() {
            warn("its relations together are", refusal);
            return Ok(None);
        }
        let parts = MediaPart::ALL.into_iter().filter(|part| refused.contains(&Expansion::Part(*part)));
        query.omit = parts.collect();
        let whole = |relation: Relation| {
            let of_parts = relation == Relation::Media && !query.omit.is_empty();
            !refused.contains(&Expansion::Whole(relation)) && (parts_left || !of_parts)
        };
        let expand: Vec<Relation> =
            query.expand.iter().copied().filter(|relation| whole(*relation)).collect();
        query.expand = expand;
        if query.expand.is_empty() { Ok(None) } else { self.page(&query, EXPANDED_SAMPLE).await.map(Some) }
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

fn per_record(page: &Page) -> f64 {
    float(page.head.bytes as u64) / float(page.len().max(1) as u64)
}
