//! Questions of a person to a feed: nothing is written, and each request counts against the key's budget.

use std::sync::Arc;

use spark_domain::job::Priority;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Page, Query};
use spark_fetcher::{Allowance, Api, Error, Fetcher, PageRequest, SettingsError};
use spark_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::feed::budget::Silences;
use crate::feed::instance_name;
use crate::metrics::Metrics;
use crate::replicator::open;
use crate::settings::FeedSettings;

/// A feed that a person asks.
#[derive(Debug)]
pub struct Inquiry {
    fetcher: Fetcher,
    paging: Paging,
    granting: CancellationToken,
    tasks: TaskTracker,
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

    /// The first records of a question.
    pub async fn first(&self, query: &Query, top: u32) -> Result<Page, Error> {
        let request = PageRequest { query, position: &Position::Start, paging: self.paging, top };
        Box::pin(self.fetcher.page(&request, Priority::Update)).await
    }

    /// Gives back what was reserved and not used.
    pub async fn close(self) {
        self.granting.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
