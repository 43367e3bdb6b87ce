//! Steps over a record that breaks every page it stands on (Spark 1026).
//!
//! Pages have shrunk as far as they do, and the record is still on the next one. A list of keys alone the feed can
//! give; its records are then read by key, in ever shorter lists, until the one that breaks the answer stands alone.
//! That one goes to quarantine and is read again later; the walk goes on behind the last key of the list.

use spark_domain::plan::page_size;
use spark_domain::plan::reread::RereadReason;
use spark_domain::walk::Paging;
use spark_domain::{Checkpoint, Page, Query, RecordKey, Relation, Walk};
use spark_fetcher::{Error as FeedError, PageRequest};
use spark_store::{Confirmed, PageCommit};

use super::Run;
use super::by_key::{KeyAnswer, KeyQuestion, preferred_form, read};
use super::collection::{Collection, started_at};
use crate::error::{JobError, chain};

/// Commits the next records but for those that cannot be delivered, and answers the walk behind them. The error of the
/// page stands if that cannot be done: the list is not in the order of its keys, or its keys break it, too.
pub(super) async fn step_over(
    run: &mut Run<'_>,
    walk: Walk,
    collection: &Collection<'_>,
    error: FeedError,
) -> Result<Walk, JobError> {
    let context = run.context;
    let Some(position) = walk.behind_last() else { return Err(error.into()) };
    let first = walk.pages == 0;
    let list = Query {
        select: vec![run.resource.key_field()],
        expand: Vec::new(),
        count: collection.query.count && first,
        ..collection.query.clone()
    };
    let (paging, top) = (context.paging(run.resource), page_size::SMALLEST);
    let request = PageRequest { query: &list, position: &position, paging, top };
    let listed = match context.ask(&request, run.job.priority()).await {
        Ok(page) => page,
        Err(JobError::Feed(FeedError::BadRecord(_))) => return Err(error.into()),
        Err(other) => return Err(other),
    };
    let keys = context.read(&listed, run.resource).keys;
    let mut head = listed.head.clone();
    drop(listed);
    if keys.is_empty() {
        return Err(error.into());
    }
    let Some((pages, undelivered)) = read_each(run, &keys, &collection.expanded).await? else {
        return Err(error.into());
    };
    if first {
        head.as_of = Some(started_at(context, &walk, head.as_of).await?);
    }
    let keys: Vec<&RecordKey> = keys.iter().collect();
    // Whatever the paging: behind these keys it goes on by key, until a page brings a link again.
    let mut walk = walk.arrived(&head, &keys, Paging::Key)?;
    walk.top = top;

    let read: Vec<_> = pages.iter().map(|page| context.read(page, run.resource)).collect();
    let records: Vec<_> = read.iter().flat_map(|page| page.records.iter().cloned()).collect();
    let rejected: Vec<_> = read.iter().flat_map(|page| page.rejected.clone()).collect();
    let checkpoint = Checkpoint { walk: Some(walk.clone()), ..collection.standing.clone() };
    let commit = PageCommit {
        run: run.id,
        resource: run.resource,
        job: run.job,
        shape: context.shape(run.resource),
        records: &records,
        rejected: &rejected,
        relations: context.settings.relations_of(run.resource),
        expanded: &collection.expanded,
        mark_relations: collection.mark_relations,
        confirmed: &Confirmed::new(),
        cache_window: context.settings.cache_window,
        stage_keys: None,
        checkpoint: Some(&checkpoint),
        finish: None,
    };
    // Before the checkpoint that leads past them: a crash in between only names them twice.
    for (key, why) in &undelivered {
        put_away(run, key, &[], why).await?;
    }
    let missing: Vec<RecordKey> = undelivered.into_iter().map(|(key, _)| key).collect();
    if !missing.is_empty() {
        let later = context.now().await? + context.cache_window();
        let (lease, reason) = (&context.lease, RereadReason::Missing);
        crate::persist!(context, context.store.add_rereads(lease, run.resource, reason, &missing, later))?;
    }
    let outcome = crate::persist!(context, context.store.commit_page(&context.lease, &commit))?;
    run.count(&outcome, pages.iter().map(|page| page.head.bytes).sum());
    Ok(walk)
}

type Undelivered = Vec<(RecordKey, String)>;

/// Reads records by key, and says which of them the feed cannot deliver; none if it misreads every list of keys.
async fn read_each(
    run: &Run<'_>,
    keys: &[RecordKey],
    expand: &[Relation],
) -> Result<Option<(Vec<Page>, Undelivered)>, JobError> {
    let context = run.context;
    let (resource, priority) = (run.resource, run.job.priority());
    let question = KeyQuestion { expand, ..KeyQuestion::records(resource, priority) };
    let preferred = preferred_form(context, resource).await?;
    let (mut pages, mut undelivered, mut done) = (Vec::new(), Vec::new(), 0);
    while done < keys.len() {
        let answer = match read(context, &question, &keys[done..], preferred).await {
            // Its relations are refused, and nobody else's: it is put away with them.
            Err(JobError::Feed(error @ (FeedError::KeyListRefused(_) | FeedError::NotOffered(_)))) => {
                KeyAnswer::Undeliverable { why: chain(&error) }
            }
            answer => answer?,
        };
        match answer {
            KeyAnswer::Pages { asked, pages: answered } => {
                done += asked;
                pages.extend(answered);
                // The next list must be asked for while these are held.
                pages.iter_mut().for_each(Page::give_back);
            }
            KeyAnswer::Undeliverable { why } => {
                undelivered.push((keys[done].clone(), why));
                done += 1;
            }
            KeyAnswer::Misread { .. } => return Ok(None),
        }
    }
    Ok(Some((pages, undelivered)))
}

/// Reports what the feed cannot deliver: a record, or its sets of some relations.
pub(super) async fn put_away(
    run: &mut Run<'_>,
    key: &RecordKey,
    relations: &[Relation],
    why: &str,
) -> Result<(), JobError> {
    let context = run.context;
    run.totals.rejected += 1;
    crate::persist!(context, context.store.put_away(&context.lease, run.resource, key, relations, why))
}
