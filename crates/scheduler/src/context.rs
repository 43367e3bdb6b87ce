//! What every job of a feed is handed, and the two things all of them do with it: ask the feed, and write
//! until it is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use spark_domain::job::Priority;
use spark_domain::plan::page_size;
use spark_domain::walk::{Paging, Position};
use spark_domain::{FeedName, Job, Query, Record, RecordKey, Recovery, Rejected, Resource, Shape, Timestamp};
use spark_domain::{Page, record};
use spark_fetcher::{Fetcher, Metadata, PageRequest};
use spark_store::{Confirmed, Lease, PageCommit, RunId, Store};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::error::JobError;
use crate::feed::refusals::Refusals;
use crate::metrics::Metrics;
use crate::settings::FeedSettings;

/// A feed whose lease is ours, and what is needed to work on it.
pub(crate) struct FeedContext {
    pub(crate) settings: Arc<FeedSettings>,
    pub(crate) store: Store,
    pub(crate) fetcher: Fetcher,
    pub(crate) lease: Lease,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Refusals,
    /// Finish the page, then stop.
    pub(crate) soft: CancellationToken,
    /// Drop everything: the lease is lost, or the second signal came.
    pub(crate) hard: CancellationToken,
    shapes: BTreeMap<Resource, Shape>,
    wakes: HashMap<(Resource, Job), Arc<Notify>>,
    running: watch::Sender<usize>,
    /// Resources whose feed refused a `$select`; asked anew after a restart.
    unselectable: Mutex<BTreeSet<Resource>>,
    paging: Mutex<BTreeMap<Resource, Paging>>,
    turns: Mutex<Turns>,
    declared: Mutex<BTreeMap<Resource, Arc<Fields>>>,
    /// Resources for whose sake the metadata was read again.
    doubted: Mutex<BTreeSet<Resource>>,
    /// Resources whose feed refuses `$count`; asked anew after a restart.
    uncountable: Mutex<BTreeSet<Resource>>,
}

/// Whose turn it is, by job.
type Turns = HashMap<(Resource, Job), Arc<AsyncMutex<()>>>;

/// The names of declared fields.
pub(crate) type Fields = BTreeSet<String>;

/// The resource under which the feed's metadata is kept.
const METADATA_OF: Resource = Resource::Property;

/// Statements that time out this often in a row are no outage.
const MOST_TIMEOUTS: u32 = 12;

/// A run is under way as long as this lives.
pub(crate) struct Running<'c>(&'c watch::Sender<usize>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The records of a page, read.
pub(crate) struct ReadPage<'p> {
    pub(crate) records: Vec<Record<'p>>,
    pub(crate) rejected: Vec<Rejected>,
    /// The keys in the order given, those of rejected records too.
    pub(crate) keys: Vec<RecordKey>,
}

impl FeedContext {
    pub(crate) fn new(
        settings: Arc<FeedSettings>,
        store: Store,
        fetcher: Fetcher,
        lease: Lease,
        metrics: Arc<Metrics>,
        (soft, hard): (CancellationToken, CancellationToken),
    ) -> Self {
        let shape = |resource: Resource| Store::shape(resource, settings.exclude.clone());
        let shapes = settings.resources.iter().map(|resource| (*resource, shape(*resource))).collect();
        let wakes = settings
            .resources
            .iter()
            .flat_map(|resource| Job::ALL.map(|job| ((*resource, job), Arc::new(Notify::new()))))
            .collect();
        let refusals = Refusals::default();
        let running = watch::Sender::new(0);
        Self {
            settings,
            store,
            fetcher,
            lease,
            metrics,
            refusals,
            soft,
            hard,
            shapes,
            wakes,
            running,
            unselectable: Mutex::default(),
            paging: Mutex::default(),
            turns: Mutex::default(),
            declared: Mutex::default(),
            doubted: Mutex::default(),
            uncountable: Mutex::default(),
        }
    }

    pub(crate) fn feed(&self) -> &FeedName {
        self.settings.feed()
    }

    pub(crate) fn shape(&self, resource: Resource) -> &Shape {
        &self.shapes[&resource]
    }

    /// The word that a job of a resource waits for. Waking a job that runs makes it look once more afterwards.
    /// Nobody hears it for a resource that is not configured (any more).
    pub(crate) fn wake(&self, resource: Resource, job: Job) -> Arc<Notify> {
        self.wakes.get(&(resource, job)).cloned().unwrap_or_default()
    }

    /// The turn of a job of a resource: two runs of one job would walk on one checkpoint.
    pub(crate) async fn turn(&self, resource: Resource, job: Job) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(lock(&self.turns).entry((resource, job)).or_default());
        turn.lock_owned().await
    }

    /// How a resource is paged: as configured, unless its server was found out.
    pub(crate) fn paging(&self, resource: Resource) -> Paging {
        lock(&self.paging).get(&resource).copied().unwrap_or(self.settings.paging)
    }

    /// The server of a resource was found out: it is paged by key from now on, also after a restart.
    pub(crate) async fn page_by_key(&self, resource: Resource) -> Result<(), JobError> {
        lock(&self.paging).insert(resource, Paging::Key);
        crate::persist!(self, self.store.set_paging(&self.lease, resource, Some(Paging::Key)))
    }

    /// A server that was found out cannot be paged by key either. So its links get another chance: what it was
    /// found out by may have been a single bad answer.
    pub(crate) async fn page_as_configured(&self, resource: Resource) -> Result<(), JobError> {
        if lock(&self.paging).contains_key(&resource) {
            tracing::warn!(%resource, "paging by key fails as well; the next run pages as configured");
            crate::persist!(self, self.store.set_paging(&self.lease, resource, None))?;
            lock(&self.paging).remove(&resource);
        }
        Ok(())
    }

    /// Takes over what was found out before, or forgets it, since it was about another server.
    pub(crate) async fn recall_paging(&self, moved: bool) -> Result<(), JobError> {
        for known in crate::persist!(self, self.store.resources(self.feed()))? {
            let Some(paging) = known.paging else { continue };
            if moved {
                crate::persist!(self, self.store.set_paging(&self.lease, known.resource, None))?;
            } else {
                lock(&self.paging).insert(known.resource, paging);
            }
        }
        Ok(())
    }

    /// Wakes every job of a resource: something that all of them depend on has changed.
    pub(crate) fn wake_all(&self, resource: Resource) {
        for job in Job::ALL {
            self.wake(resource, job).notify_one();
        }
    }

    /// The fields that the feed's metadata declares for a resource; none while no metadata is kept.
    pub(crate) async fn declared_fields(&self, resource: Resource) -> Result<Option<Arc<Fields>>, JobError> {
        let known = lock(&self.declared).get(&resource).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let kept = crate::persist!(self, self.store.metadata(self.feed()))?;
        let Some(metadata) = kept.and_then(|kept| Metadata::parse(kept.document)) else { return Ok(None) };
        let fields = metadata.entity_types.into_iter().find(|entity| entity.name == resource.as_str());
        let fields =
            fields.map(|entity| Arc::new(entity.properties.into_iter().map(|field| field.name).collect()));
        if let Some(fields) = &fields {
            lock(&self.declared).insert(resource, Arc::clone(fields));
        }
        Ok(fields)
    }

    /// New metadata is kept: what it declares is read anew, and may be selected again.
    pub(crate) fn forget_declared_fields(&self) {
        lock(&self.declared).clear();
        lock(&self.unselectable).clear();
        lock(&self.doubted).clear();
    }

    /// The feed refuses a field (Spark 1040), so its metadata may have changed: it is read again, once.
    pub(crate) async fn doubt_metadata(
        &self,
        resource: Resource,
        error: &spark_fetcher::Error,
    ) -> Result<(), JobError> {
        let applies = self.settings.resources.contains(&METADATA_OF);
        if error.exchange().code != Some(1040) || !applies || !lock(&self.doubted).insert(resource) {
            return Ok(());
        }
        tracing::warn!(
            error = crate::error::chain(error),
            "the feed does not know a field that it was asked for; its metadata is read again"
        );
        let now = self.now().await?;
        crate::persist!(self, self.store.set_due(&self.lease, METADATA_OF, Job::Metadata, Some(now)))?;
        self.wake(METADATA_OF, Job::Metadata).notify_one();
        Ok(())
    }

    /// Whether the feed takes `$select` of more than the key of a resource.
    pub(crate) fn selects(&self, resource: Resource) -> bool {
        !lock(&self.unselectable).contains(&resource)
    }

    pub(crate) fn select_no_more(&self, resource: Resource) {
        lock(&self.unselectable).insert(resource);
    }

    pub(crate) fn begin_running(&self) -> Running<'_> {
        self.running.send_modify(|count| *count += 1);
        Running(&self.running)
    }

    pub(crate) fn has_running(&self) -> bool {
        *self.running.borrow() > 0
    }

    /// Resolves once no run is under way.
    pub(crate) async fn idle(&self) {
        let _ = self.running.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.soft.is_cancelled() || self.hard.is_cancelled()
    }

    pub(crate) fn cache_window(&self) -> TimeDelta {
        TimeDelta::from_std(self.settings.cache_window).unwrap_or(TimeDelta::MAX)
    }

    /// Asks the feed for a page. A stop drops the request: what it would bring is asked for again later.
    ///
    /// A server may refuse the whole question for its `$count`: then it is asked without, and what is not counted is
    /// not believed to be counted.
    pub(crate) async fn ask(&self, request: &PageRequest<'_>, priority: Priority) -> Result<Page, JobError> {
        let resource = request.query.resource;
        let plain = Query { count: false, ..request.query.clone() };
        let uncounted = PageRequest { query: &plain, ..*request };
        // Only a first page is asked for its count: what a link is refused for is another matter.
        if !request.query.count || *request.position != Position::Start {
            return self.ask_once(request, priority).await;
        }
        if lock(&self.uncountable).contains(&resource) {
            return self.ask_once(&uncounted, priority).await;
        }
        match self.ask_once(request, priority).await {
            // What is too slow to be counted even on the smallest page may be listed all the same.
            Err(JobError::Feed(error))
                if error.recovery() == Recovery::Shrink && request.top <= page_size::SMALLEST =>
            {
                let mut page = match self.ask_once(&uncounted, priority).await {
                    Err(JobError::Feed(_)) => return Err(error.into()),
                    answer => answer?,
                };
                page.head.unsynced |= error.exchange().unsynced;
                tracing::warn!(%resource, error = crate::error::chain(&error), "the feed cannot count these records");
                Ok(page)
            }
            Err(JobError::Feed(error)) if matches!(error.exchange().status, Some(400 | 501)) => {
                let Ok(page) = self.ask_once(&uncounted, priority).await else { return Err(error.into()) };
                tracing::warn!(%resource, error = crate::error::chain(&error), "the feed refuses $count");
                lock(&self.uncountable).insert(resource);
                Ok(page)
            }
            answer => answer,
        }
    }

    async fn ask_once(&self, request: &PageRequest<'_>, priority: Priority) -> Result<Page, JobError> {
        tokio::select! {
            page = self.fetcher.page(request, priority) => Ok(page?),
            () = self.soft.cancelled() => Err(JobError::Cancelled),
        }
    }

    /// Postgres' clock; waited for while Postgres is away.
    pub(crate) async fn now(&self) -> Result<Timestamp, JobError> {
        crate::persist!(self, self.store.now())
    }

    /// The commit of records that were read by their keys, beside every walk: whatever changed makes its relations due.
    pub(crate) fn page_of_keys<'a>(
        &'a self,
        (run, job): (RunId, Job),
        resource: Resource,
        records: &'a [Record<'a>],
        rejected: &'a [Rejected],
        confirmed: &'a Confirmed,
    ) -> PageCommit<'a> {
        PageCommit {
            run,
            resource,
            job,
            shape: self.shape(resource),
            records,
            rejected,
            relations: self.settings.relations_of(resource),
            expanded: &[],
            mark_relations: true,
            confirmed,
            cache_window: self.settings.cache_window,
            stage_keys: None,
            checkpoint: None,
            finish: None,
        }
    }

    /// Reads a page's records by the shape of their resource.
    pub(crate) fn read<'p>(&self, page: &'p Page, resource: Resource) -> ReadPage<'p> {
        let shape = self.shape(resource);
        let mut read =
            ReadPage { records: Vec::with_capacity(page.len()), rejected: Vec::new(), keys: Vec::new() };
        for raw in page.records() {
            match record::read(raw, shape) {
                Ok(record) => {
                    read.keys.push(record.key.clone());
                    read.records.push(record);
                }
                Err(rejected) => {
                    read.keys.extend(rejected.key.clone());
                    read.rejected.push(rejected);
                }
            }
        }
        read
    }

    /// What to do after Postgres did not take a write: waits and returns to let the caller try again, or says
    /// why it must not. Trying again is always safe: a write that did land is not written twice.
    pub(crate) async fn after_store_error(
        &self,
        error: spark_store::Error,
        tries: u32,
    ) -> Result<(), JobError> {
        use spark_domain::Recovery;
        if error.is_lease_lost() {
            // After an outage the lease has run out, but it is ours as long as nobody took it.
            return match self.store.renew_lease(&self.lease, self.settings.pace.lease_life).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(JobError::LeaseLost),
                Err(_) => self.rest(tries).await,
            };
        }
        if error.sqlstate() == Some("57014") && tries > MOST_TIMEOUTS {
            return Err(JobError::Store(error));
        }
        match error.recovery() {
            Recovery::Retry { .. } | Recovery::Shrink => {
                if tries == 0 {
                    tracing::warn!(
                        error = crate::error::chain(&error),
                        "Postgres is away or busy; fetching pauses until it takes what we have"
                    );
                }
                self.rest(tries).await
            }
            Recovery::WaitForSync
            | Recovery::SignIn
            | Recovery::StartOver
            | Recovery::TurnOff
            | Recovery::GiveUp => Err(JobError::Store(error)),
        }
    }

    async fn rest(&self, tries: u32) -> Result<(), JobError> {
        let wait = Duration::from_millis(200 << tries.min(4)).min(Duration::from_secs(3));
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.hard.cancelled() => Err(JobError::Cancelled),
            // On a gentle stop a page in hand gets a few tries more; its walk resumes at the same place anyway.
            () = self.soft.cancelled(), if tries > 5 => Err(JobError::Cancelled),
        }
    }
}

/// What a mutex guards, also after a panic beside it: each value is whole at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Repeats a write (or read) of the store until Postgres takes it, the lease is lost, or we are to stop.
#[macro_export]
#[doc(hidden)]
macro_rules! persist {
    ($context:expr, $call:expr) => {{
        let mut tries = 0u32;
        loop {
            match $call.await {
                Ok(value) => break Ok::<_, $crate::JobError>(value),
                Err(error) => {
                    if let Err(error) = $context.after_store_error(error, tries).await {
                        break Err(error);
                    }
                    tries += 1;
                }
            }
        }
    }};
}
