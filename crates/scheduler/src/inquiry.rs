//! Questions of a person to a feed: nothing is written, and each request counts against the key's budget.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use spark_domain::job::Priority;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Page, Query, RecordKey, Resource, Shape, record};
use spark_fetcher::{Allowance, Api, Error, Fetcher, PageRequest, SettingsError};
use spark_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::feed::budget::Silences;
use crate::feed::instance_name;
use crate::metrics::Metrics;
use crate::replicator::open;
use crate::settings::FeedSettings;

/// A feed that sends more pages without a record has no more to say.
const MOST_EMPTY_PAGES: u32 = 10;

/// A feed that a person asks.
#[derive(Debug)]
pub struct Inquiry {
    fetcher: Fetcher,
    paging: Paging,
    granting: CancellationToken,
    tasks: TaskTracker,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// How many there are, if it was asked and the feed counts.
    pub count: Option<u64>,
    /// The records, as they came.
    pub records: Vec<String>,
}

impl Inquiry {
    /// Opens the feed, with a further condition (in its dialect) beside its own filter; asks nothing yet.
    pub fn open(
        mut settings: FeedSettings,
        condition: Option<&str>,
        store: &Store,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, SettingsError> {
        let filter = &mut settings.fetcher.filter;
        if let Some(condition) = condition.map(str::trim).filter(|condition| !condition.is_empty()) {
            let and = match settings.fetcher.api {
                Api::Reso => "and",
                Api::Spark => "And",
            };
            *filter = match filter.trim() {
                "" => condition.to_owned(),
                own => format!("({own}) {and} ({condition})"),
            };
        }
        let (paging, tasks) = (settings.paging, TaskTracker::new());
        let allowance = Allowance::new(settings.fetcher.page_bytes);
        let shared = (&allowance, &Silences::new());
        let (_, fetcher, granting) = open(settings, store, metrics, shared, &instance_name(), &tasks)?;
        Ok(Self { fetcher, paging, granting, tasks })
    }

    /// The first records of a question, over as many pages as they take: servers have a largest page of their own.
    pub async fn first(&self, query: &Query, limit: usize) -> Result<Found, Error> {
        let mut found = Found { count: None, records: Vec::new() };
        let (mut position, mut followed, mut empty_in_a_row) = (Position::Start, HashSet::new(), 0);
        loop {
            let left = limit - found.records.len();
            let top = u32::try_from(left).unwrap_or(u32::MAX);
            let request = PageRequest { query, position: &position, paging: self.paging, top };
            let page = Box::pin(self.fetcher.page(&request, Priority::Update)).await?;
            found.count = found.count.or(page.head.count);
            found.records.extend(page.records().take(left).map(str::to_owned));
            empty_in_a_row = if page.is_empty() { empty_in_a_row + 1 } else { 0 };
            if found.records.len() >= limit || empty_in_a_row > MOST_EMPTY_PAGES {
                return Ok(found);
            }
            position = match (self.paging, page.head.next.clone()) {
                (Paging::NextLink, Some(link)) if followed.insert(link.clone()) => Position::Link(link),
                (Paging::Key, _) => match last_key(&page, query.resource) {
                    Some(key) => Position::After(key),
                    None => return Ok(found),
                },
                (Paging::NextLink, _) => return Ok(found),
            };
        }
    }

    /// Gives back what was reserved and not used.
    pub async fn close(self) {
        self.granting.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn last_key(page: &Page, resource: Resource) -> Option<RecordKey> {
    let shape = Shape::new(resource, &[], BTreeSet::new());
    let last = page.records().last()?;
    record::read(last, &shape).map_or_else(|rejected| rejected.key, |record| Some(record.key))
}
