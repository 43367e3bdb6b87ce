//! Walks a collection page by page into the store: the one loop behind every download.
//!
//! A page and the checkpoint that leads past it commit together. While page n is being stored, page n+1 is
//! being fetched; two pages at most are in memory, and a page gives its bytes back as soon as it is stored,
//! not when its successor has arrived, or walks could wait for each other's bytes for ever.

use chrono::TimeDelta;
use spark_domain::plan::page_size;
use spark_domain::walk::{Paging, Position, WalkFailed};
use spark_domain::{
    Breakage, Checkpoint, Job, Page, PageHead, Query, Recovery, Relation, Resource, Timestamp, Walk,
};
use spark_fetcher::{Error as FeedError, PageRequest};
use spark_store::{Confirmed, Finish, PageCommit, PageOutcome, SweepId, SweepPage};
use tokio::sync::oneshot;

use super::bad_record::step_over;
use super::{Run, expansions};
use crate::context::FeedContext;
use crate::error::JobError;

/// Without a `Date` header the pass is taken to have begun this much before Postgres' clock said so.
const UNDATED: TimeDelta = TimeDelta::minutes(2);

/// A first page that came within this long was not waited for.
const PROMPT: TimeDelta = TimeDelta::seconds(5);

/// What to walk, and what to do with what comes.
#[derive(Clone)]
pub(crate) struct Collection<'a> {
    pub(crate) query: Query,
    /// Relations asked for with the page.
    pub(crate) expanded: Vec<Relation>,
    /// Whether relations of what changes become due; a first download leaves them to the fill walk.
    pub(crate) mark_relations: bool,
    /// The sweep that stages the keys of these pages, if the walk is one.
    pub(crate) stage: Option<SweepId>,
    /// What is committed with the last page.
    pub(crate) end: &'a (dyn Fn(&Walk) -> (Checkpoint, Option<Finish>) + Send + Sync),
    /// What else the checkpoint holds while the walk is under way.
    pub(crate) standing: Checkpoint,
}

/// A page, and the walk as it was when the page was asked for.
struct Fetched {
    walk: Walk,
    page: Page,
}

/// A page that is stored.
struct Stored {
    walk: Walk,
    outcome: PageOutcome,
    /// The list ended, but short of its count.
    short: Option<WalkFailed>,
}

/// What a request for the next page came to.
enum Next {
    Page(Box<Fetched>),
    /// The continuation is refused: the walk begins anew, and says so in its checkpoint first.
    StartOver(Box<Walk>),
    /// A record breaks the smallest page that it stands on.
    BadRecord(Box<Walk>, FeedError),
}

/// Walks to the end and returns the finished walk. A walk that fails for good is begun anew by the next run; one
/// that an expansion stops, without that expansion and at once.
pub(crate) async fn walk(
    run: &mut Run<'_>,
    mut walk: Walk,
    mut collection: Collection<'_>,
) -> Result<Walk, JobError> {
    loop {
        match walk_on(run, walk, &collection).await {
            Err(JobError::Feed(error))
                if matches!(error, FeedError::ExpansionOff(_))
                    || expansions::may_be_meant(&error) && !collection.expanded.is_empty() =>
            {
                let top = page_size::SMALLEST;
                let fewer = expansions::turn_off_refused(run, &collection.query, top).await?;
                let offered = expansions::offered(run.context, run.resource).await?.whole();
                collection.expanded.retain(|relation| offered.contains(relation));
                collection.query.expand.clone_from(&collection.expanded);
                // Whatever is off by now: a link of an earlier run may go on asking for it.
                let again = start_over(run, &collection).await?;
                walk = again.filter(|_| fewer).ok_or(JobError::Feed(error))?;
            }
            Err(error @ (JobError::Restarting { .. } | JobError::Walk(_))) => {
                start_over(run, &collection).await?;
                return Err(error);
            }
            result => return result,
        }
    }
}

async fn walk_on(run: &mut Run<'_>, walk: Walk, collection: &Collection<'_>) -> Result<Walk, JobError> {
    let context = run.context;
    let mut next = fetch(run, walk, collection).await?;
    loop {
        let fetched = match next {
            Next::Page(fetched) => *fetched,
            Next::StartOver(walk) => {
                save(run, &walk, collection).await?;
                next = fetch(run, *walk, collection).await?;
                continue;
            }
            Next::BadRecord(walk, error) => {
                let walk = step_over(run, *walk, collection, error).await?;
                next = fetch(run, walk, collection).await?;
                continue;
            }
        };
        let bytes = fetched.page.head.bytes;
        let (announce, announced) = oneshot::channel();
        let ask_on = async {
            match announced.await {
                Ok(walk) => fetch(run, walk, collection).await.map(Some),
                Err(_) => Ok(None),
            }
        };
        let (stored, asked) = tokio::join!(store(run, fetched, collection, announce), ask_on);
        let Stored { walk, outcome, short } = stored?;
        run.count(&outcome, bytes);
        if let Some(short) = short {
            return Err(short.into());
        }
        if walk.is_finished() {
            return Ok(walk);
        }
        if context.is_stopping() {
            return Err(JobError::Cancelled);
        }
        // A walk that goes on has announced itself, so there is an answer.
        next = asked?.ok_or(JobError::Cancelled)?;
    }
}

/// Puts the walk back to its start, for this run or the next: the refused link, or the circle, would only come again.
async fn start_over(run: &Run<'_>, collection: &Collection<'_>) -> Result<Option<Walk>, JobError> {
    let context = run.context;
    let checkpoint =
        crate::persist!(context, context.store.checkpoint(context.feed(), run.resource, run.job))?;
    let Some(walk) = checkpoint.walk else { return Ok(None) };
    let again = walk.start_over(context.now().await?);
    save(run, &again, collection).await?;
    Ok(Some(again))
}

async fn save(run: &Run<'_>, walk: &Walk, collection: &Collection<'_>) -> Result<(), JobError> {
    let context = run.context;
    let checkpoint = Checkpoint { walk: Some(walk.clone()), ..collection.standing.clone() };
    crate::persist!(
        context,
        context.store.save_checkpoint(&context.lease, run.resource, run.job, &checkpoint)
    )
}

/// Stores a page with the checkpoint that leads past it, and lets go of it.
async fn store(
    run: &Run<'_>,
    Fetched { walk, page }: Fetched,
    collection: &Collection<'_>,
    announce: oneshot::Sender<Walk>,
) -> Result<Stored, JobError> {
    let context = run.context;
    let paging = context.paging(run.resource);
    let page_number = walk.pages;
    let first = walk.pages == 0;
    let mut head = page.head.clone();
    if first {
        head.as_of = Some(started_at(context, &walk, head.as_of).await?);
    }
    let read = context.read(&page, run.resource);
    let keys: Vec<_> = read.keys.iter().collect();
    let before = walk.clone();
    let mut walk = walk.arrived(&head, &keys, paging)?;
    let (settings, most_per_page) = (&context.settings.fetcher, context.fetcher.most_per_page(run.resource));
    walk.top = page_size::after_page(walk.top, page.len(), head.bytes, settings.page_bytes, most_per_page);

    // A list that ends short is no success, however often it does: its page is kept, its walk is not finished.
    let short = walk.is_finished().then(|| walk.check_length().err()).flatten();
    let (checkpoint, finish) = if short.is_some() {
        (Checkpoint { walk: Some(before), ..collection.standing.clone() }, None)
    } else if walk.is_finished() {
        (collection.end)(&walk)
    } else {
        if !context.is_stopping() {
            let _ = announce.send(walk.clone());
        }
        let early = Breakage::CursorMovedEarly.is_on() && run.job == Job::Update;
        let under_way = || Checkpoint { walk: Some(walk.clone()), ..collection.standing.clone() };
        (if early { (collection.end)(&walk).0 } else { under_way() }, None)
    };
    let confirmed = Confirmed::new();
    let commit = PageCommit {
        run: run.id,
        resource: run.resource,
        job: run.job,
        shape: context.shape(run.resource),
        records: &read.records,
        rejected: &read.rejected,
        relations: context.settings.relations_of(run.resource),
        expanded: &collection.expanded,
        mark_relations: collection.mark_relations,
        confirmed: &confirmed,
        cache_window: context.settings.cache_window,
        stage_keys: collection.stage.map(|sweep| SweepPage { sweep, page: page_number }),
        checkpoint: Some(&checkpoint),
        finish,
    };
    let outcome = crate::persist!(context, context.store.commit_page(&context.lease, &commit))?;
    if head.scrubbed > 0 {
        tracing::warn!(strings = head.scrubbed, "text that Postgres cannot hold was replaced by U+FFFD");
    }
    Ok(Stored { walk, outcome, short })
}

/// The moment up to which a walk that begins now will have seen everything: the feed's clock, but never later
/// than Postgres' own.
pub(super) async fn started_at(
    context: &FeedContext,
    walk: &Walk,
    as_of: Option<Timestamp>,
) -> Result<Timestamp, JobError> {
    let Some(as_of) = as_of else {
        return Ok(walk.began_at - UNDATED);
    };
    let now = context.now().await?;
    // A walk that waited for its first page tells nothing about the clocks.
    if now - walk.began_at < PROMPT {
        context.refusals.note_skew(context, (as_of - walk.began_at).as_seconds_f64()).await?;
    }
    Ok(as_of.min(now))
}

/// Asks for the walk's next page, shrinking it as long as the feed cannot deliver it.
async fn fetch(run: &Run<'_>, mut walk: Walk, collection: &Collection<'_>) -> Result<Next, JobError> {
    let context = run.context;
    // A sweep's pages must be of one list: it is begun anew as a whole, by the next run.
    let may_start_over = collection.stage.is_none();
    loop {
        let position = walk.next().unwrap_or(&Position::Start);
        let paging = context.paging(run.resource);
        let request = PageRequest { query: &collection.query, position, paging, top: walk.top };
        let error = match context.ask(&request, run.job.priority()).await {
            Ok(mut page) => {
                if paging != Paging::NextLink || !misleads(run, &walk, &collection.query, &mut page).await? {
                    return Ok(Next::Page(Box::new(Fetched { walk, page })));
                }
                context.page_by_key(run.resource).await?;
                if !may_start_over {
                    let (records, expected) = (walk.records + page.len() as u64, walk.expected.unwrap_or(0));
                    return Err(
                        WalkFailed::Short { records, expected: page.head.count.unwrap_or(expected) }.into()
                    );
                }
                let again = walk.start_over(context.now().await?);
                return Ok(Next::StartOver(Box::new(again)));
            }
            Err(JobError::Feed(error)) => error,
            Err(other) => return Err(other),
        };
        walk.unsynced |= error.exchange().unsynced;
        match error.recovery() {
            Recovery::Shrink => match page_size::after_refusal(walk.top) {
                Some(top) => {
                    tracing::info!(
                        error = crate::error::chain(&error),
                        top,
                        "the page was too much; asking for less"
                    );
                    walk.top = top;
                }
                // A sweep that steps over a key is not complete: it fails as a whole.
                None if matches!(error, FeedError::BadRecord(_)) && collection.stage.is_none() => {
                    return Ok(Next::BadRecord(Box::new(walk), error));
                }
                None => return Err(error.into()),
            },
            Recovery::StartOver
                if walk.position != Position::Start && walk.restarts < 2 && may_start_over =>
            {
                tracing::warn!(
                    error = crate::error::chain(&error),
                    "the continuation is refused; starting over"
                );
                let now = context.now().await?;
                return Ok(Next::StartOver(Box::new(walk.start_over(now))));
            }
            Recovery::StartOver if walk.position != Position::Start => {
                return Err(JobError::Restarting { restarts: walk.restarts, source: error });
            }
            Recovery::Retry { .. }
            | Recovery::WaitForSync
            | Recovery::SignIn
            | Recovery::StartOver
            | Recovery::TurnOff
            | Recovery::GiveUp => return Err(error.into()),
        }
    }
}

/// Whether the server's links cannot be followed to the end of the list: they skip by number, so that what
/// changes meanwhile shifts records past us; or there are none, because the server takes `$top` for the limit
/// of the whole answer. Such a server is paged by key. Lookup alone may skip: its list hardly moves.
pub(super) async fn misleads(
    run: &Run<'_>,
    walk: &Walk,
    query: &Query,
    page: &mut Page,
) -> Result<bool, JobError> {
    if !run.context.settings.fetcher.api.has_links() {
        // Its tokens are all it has: a list that ends too early fails by its count.
        return Ok(false);
    }
    if let Some(link) = &page.head.next {
        let skips = ["$skip=", "%24skip="].iter().any(|option| link.contains(option));
        if skips && run.resource != Resource::Lookup {
            tracing::warn!(resource = %run.resource, "the feed pages by $skip; it is paged by key from now on");
            return Ok(true);
        }
        return Ok(false);
    }
    let taken = walk.records + page.len() as u64;
    let mut expected = walk.expected.or(page.head.count);
    let full = page.len() == usize::try_from(page.head.top).unwrap_or(usize::MAX);
    // A full page without a link is a doubtful end, and so is one that a server may have cut at a size of its own:
    // short of its count, or of a list without one.
    let doubtful = full || expected.map_or(query.count, |expected| taken < expected);
    if !doubtful {
        return Ok(false);
    }
    // It is asked on while this page is held.
    page.give_back();
    if full && expected.is_none() {
        let keys = Query::key_list(run.resource);
        expected = count(run, &Query { filter: query.filter.clone(), ..keys }).await?.count;
    }
    // Of a full page the feed's own count decides.
    let cut = match expected.filter(|_| full) {
        Some(expected) => taken < expected,
        None => goes_on(run, query, page).await?,
    };
    if cut {
        tracing::warn!(
            resource = %run.resource,
            taken,
            expected,
            "the feed ends its answer before the end of the list; it is paged by key from now on"
        );
    }
    Ok(cut)
}

/// Whether the feed, which does not count, has a record behind the last one of a page.
async fn goes_on(run: &Run<'_>, query: &Query, page: &Page) -> Result<bool, JobError> {
    let context = run.context;
    let Some(last) = context.read(page, run.resource).keys.pop() else { return Ok(false) };
    let (position, paging) = (Position::After(last.clone()), Paging::Key);
    let keys = Query { filter: query.filter.clone(), count: false, ..Query::key_list(run.resource) };
    let request = PageRequest { query: &keys, position: &position, paging, top: 1 };
    let behind = context.ask(&request, run.job.priority()).await?;
    // A server that ignores the filter shows what stands before it.
    Ok(context.read(&behind, run.resource).keys.iter().any(|key| *key > last))
}

/// Asks a query for one record, to hear how many answer it as the feed counts them.
pub(super) async fn count(run: &Run<'_>, query: &Query) -> Result<PageHead, JobError> {
    let (context, position) = (run.context, Position::Start);
    let request = PageRequest { query, position: &position, paging: context.paging(run.resource), top: 1 };
    Ok(context.ask(&request, run.job.priority()).await?.head)
}
