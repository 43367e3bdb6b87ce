//! Walks a collection page by page into the store: the one loop behind every download.
//!
//! A page and the checkpoint that leads past it commit together. While page n is being stored, page n+1 is
//! being fetched; two pages at most are in memory, and a page gives its bytes back as soon as it is stored,
//! not when its successor has arrived, or walks could wait for each other's bytes for ever.

use std::collections::HashSet;

use chrono::TimeDelta;
use spark_domain::plan::page_size;
use spark_domain::walk::Position;
use spark_domain::{Checkpoint, Page, Query, Recovery, Relation, Timestamp, Walk};
use spark_fetcher::PageRequest;
use spark_store::{Finish, PageCommit, SweepId, SweepPage};
use tokio::sync::oneshot;

use super::Run;
use crate::context::FeedContext;
use crate::error::JobError;

/// Without a `Date` header the pass is taken to have begun this much before Postgres' clock said so.
const UNDATED: TimeDelta = TimeDelta::minutes(2);

/// What to walk, and what to do with what comes.
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

/// What a request for the next page came to.
enum Next {
    Page(Box<Fetched>),
    /// The continuation is refused: the walk begins anew, and says so in its checkpoint first.
    StartOver(Box<Walk>),
}

/// Walks to the end and returns the finished walk.
pub(crate) async fn walk(
    run: &mut Run<'_>,
    walk: Walk,
    collection: &Collection<'_>,
) -> Result<Walk, JobError> {
    let context = run.context;
    let mut next = fetch(run, walk, &collection.query).await?;
    loop {
        let fetched = match next {
            Next::Page(fetched) => *fetched,
            Next::StartOver(walk) => {
                let checkpoint = Checkpoint { walk: Some((*walk).clone()), ..collection.standing.clone() };
                crate::persist!(
                    context,
                    context.store.save_checkpoint(&context.lease, run.resource, run.job, &checkpoint)
                )?;
                next = fetch(run, *walk, &collection.query).await?;
                continue;
            }
        };
        let bytes = fetched.page.head.bytes;
        let (announce, announced) = oneshot::channel();
        let ask_on = async {
            match announced.await {
                Ok(walk) => fetch(run, walk, &collection.query).await.map(Some),
                Err(_) => Ok(None),
            }
        };
        let (committed, asked) = tokio::join!(store(run, fetched, collection, announce), ask_on);
        let (walk, outcome) = committed?;
        run.count(&outcome, bytes);
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

/// Stores a page with the checkpoint that leads past it, and lets go of it.
async fn store(
    run: &Run<'_>,
    Fetched { walk, page }: Fetched,
    collection: &Collection<'_>,
    announce: oneshot::Sender<Walk>,
) -> Result<(Walk, spark_store::PageOutcome), JobError> {
    let context = run.context;
    let paging = context.settings.paging;
    let page_number = walk.pages;
    let first = walk.pages == 0;
    let mut head = page.head.clone();
    if first {
        head.as_of = Some(begin(context, &walk, head.as_of).await?);
    }
    let read = context.read(&page, run.resource);
    let keys: Vec<_> = read.keys.iter().collect();
    let mut walk = walk.arrived(&head, &keys, paging)?;
    let settings = &context.settings.fetcher;
    walk.top =
        page_size::after_page(walk.top, page.len(), head.bytes, settings.page_bytes, settings.page_size);

    let too_short = walk.is_finished().then(|| walk.check_length().err()).flatten();
    let (checkpoint, finish) = if let Some(short) = too_short.as_ref().filter(|_| walk.restarts < 2) {
        tracing::warn!(error = %short, "the list is walked again");
        let again = walk.clone().start_over(context.now().await?);
        (Checkpoint { walk: Some(again), ..collection.standing.clone() }, None)
    } else if walk.is_finished() {
        // Short for the third time: the count lies. Nothing is deleted for it, and the sweep fetches what is missing.
        (collection.end)(&walk)
    } else {
        if !context.is_stopping() {
            let _ = announce.send(walk.clone());
        }
        (Checkpoint { walk: Some(walk.clone()), ..collection.standing.clone() }, None)
    };
    let force = HashSet::new();
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
        force: &force,
        cache_window: context.settings.cache_window,
        stage_keys: collection.stage.map(|sweep| SweepPage { sweep, page: page_number }),
        checkpoint: Some(&checkpoint),
        finish,
    };
    let outcome = crate::persist!(context, context.store.commit_page(&context.lease, &commit))?;
    if head.scrubbed > 0 {
        tracing::warn!(strings = head.scrubbed, "text that Postgres cannot hold was replaced by U+FFFD");
    }
    match too_short {
        Some(short) if walk.restarts < 2 => Err(short.into()),
        _ => Ok((walk, outcome)),
    }
}

/// The moment up to which a walk that begins now will have seen everything: the feed's clock, but never later
/// than Postgres' own.
async fn begin(context: &FeedContext, walk: &Walk, as_of: Option<Timestamp>) -> Result<Timestamp, JobError> {
    let Some(as_of) = as_of else {
        return Ok(walk.began_at - UNDATED);
    };
    let now = context.now().await?;
    #[expect(clippy::cast_precision_loss, reason = "a clock skew in seconds")]
    let skew = (walk.began_at - as_of).num_milliseconds() as f64 / 1000.0;
    context.refusals.note_skew(context, skew).await?;
    Ok(as_of.min(now))
}

/// Asks for the walk's next page, shrinking it as long as the feed cannot deliver it.
async fn fetch(run: &Run<'_>, mut walk: Walk, query: &Query) -> Result<Next, JobError> {
    let context = run.context;
    loop {
        let position = walk.next().unwrap_or(&Position::Start);
        let request = PageRequest { query, position, paging: context.settings.paging, top: walk.top };
        let error = match context.ask(&request, run.job.priority()).await {
            Ok(page) => return Ok(Next::Page(Box::new(Fetched { walk, page }))),
            Err(JobError::Feed(error)) => error,
            Err(other) => return Err(other),
        };
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
                None => return Err(error.into()),
            },
            Recovery::StartOver if walk.position != Position::Start && walk.restarts < 2 => {
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
