//! The fetcher against a Spark that behaves, and one that does not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod raw;
mod paging;
mod origin;
mod token;
mod oauth;
mod patience;
mod refusals;
mod bodies;
mod hostile;
mod budget;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spark_domain::job::Priority;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Filter, KeyListForm, Page, Query, RecordKey, Resource};
use spark_fetcher::{
    Allowance, Attempt, Error, Fetcher, Observer, Pacer, PacerControl, PageRequest, RetrySettings, Settings,
    TokenSource,
};
use spark_simulator::{Fault, Simulator};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What an observer saw of an attempt.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    endpoint: &'static str,
    status: Option<u16>,
    code: Option<i64>,
    retry_reason: Option<&'static str>,
    wire_bytes: u64,
    in_flight: i64,
}

/// A fetcher with a budget that never runs dry.
struct Client {
    fetcher: Fetcher,
    seen: Arc<Mutex<Vec<Seen>>>,
    silences: Arc<Mutex<Vec<Duration>>>,
    keeper: JoinHandle<()>,
}

/// A simulator with a client of it.
struct Feed {
    simulator: Simulator,
    client: Client,
}

/// Quick enough for tests, with the same proportions.
fn settings(base_url: &str, token: &str) -> Settings {
    let token = TokenSource::Text(token.into());
    let retry = RetrySettings {
        attempts: 4,
        base: Duration::from_millis(1),
        cap: Duration::from_millis(8),
        sync_wait: Duration::from_millis(20),
        sync_patience: Duration::from_millis(110),
        throttled_silence: Duration::from_millis(60),
    };
    Settings { retry, ..Settings::new("beaches".parse().unwrap(), base_url.parse().unwrap(), token) }
}

/// Grants whatever is wanted at once, and notes what a 429 demands.
async fn keep(control: PacerControl, silences: Arc<Mutex<Vec<Duration>>>) {
    loop {
        tokio::select! {
            wanted = control.wanted() => {
                control.grant(Instant::now(), Duration::ZERO, u32::try_from(wanted).unwrap());
            }
            silence = control.throttled() => silences.lock().unwrap().push(silence),
        }
    }
}

impl Client {
    fn new(settings: Settings) -> Self {
        Self::sharing(settings, Allowance::new(48_000_000))
    }

    fn sharing(settings: Settings, allowance: Allowance) -> Self {
        let (pacer, control) = Pacer::new();
        let (seen, silences) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::default());
        let notes = Arc::clone(&seen);
        let observer: Observer = Arc::new(move |attempt: &Attempt<'_>| {
            assert_eq!(attempt.feed.as_str(), "beaches");
            notes.lock().unwrap().push(Seen {
                endpoint: attempt.endpoint,
                status: attempt.status,
                code: attempt.code,
                retry_reason: attempt.retry_reason,
                wire_bytes: attempt.wire_bytes,
                in_flight: attempt.in_flight,
            });
        });
        let fetcher = Fetcher::new(settings, pacer, allowance, observer).unwrap();
        let keeper = tokio::spawn(keep(control, Arc::clone(&silences)));
        Self { fetcher, seen, silences, keeper }
    }

    async fn page(&self, query: &Query, position: &Position, top: u32) -> Result<Page, Error> {
        let request = PageRequest { query, position, paging: Paging::NextLink, top };
        self.fetcher.page(&request, Priority::Bulk).await
    }

    /// The first page of all listings.
    async fn first(&self) -> Result<Page, Error> {
        self.page(&Query::collection(Resource::Property), &Position::Start, 10).await
    }

    /// The error of the first page of all listings.
    async fn refusal(&self) -> Error {
        self.first().await.unwrap_err()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Why attempts were made again, in order.
    fn reasons(&self) -> Vec<&'static str> {
        self.seen().into_iter().filter_map(|seen| seen.retry_reason).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Feed {
    async fn of(listings: usize) -> Self {
        Self::with(listings, |_| {}).await
    }

    async fn with(listings: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let simulated = spark_simulator::Settings { listings, ..spark_simulator::Settings::default() };
        let simulator = Simulator::start(simulated).await.unwrap();
        let mut settings = settings(&simulator.base_url(), &simulator.token());
        change(&mut settings);
        Self { simulator, client: Client::new(settings) }
    }

    fn fail(&self, fault: Fault) {
        self.simulator.faults().push(fault);
    }

    fn requests(&self) -> Vec<spark_simulator::Entry> {
        self.simulator.journal().requests()
    }
}

fn keys(keys: &[&str], form: KeyListForm) -> Query {
    let keys = keys.iter().map(|key| RecordKey::new(key).unwrap()).collect();
    Query { filter: Filter::Keys(keys, form), count: false, ..Query::key_list(Resource::Property) }
}

/// The listing keys on a page.
fn listing_keys(page: &Page) -> Vec<String> {
    let key = |record: &str| {
        let start = record.split_once("\"ListingKey\":\"").unwrap().1;
        start.split_once('"').unwrap().0.to_owned()
    };
    page.records().map(key).collect()
}
