//! Looks once more, by key, at what a list left in doubt: rewinds, returned keys, missing keys.

use std::collections::HashMap;

use spark_domain::job::Priority;
use spark_domain::plan::change::Stored;
use spark_domain::plan::reread::{Settled, settle};
use spark_domain::{Record, RecordKey, Rejected};
use spark_store::{Confirmed, Reread, RereadResult};

use super::Run;
use super::bad_record::put_away;
use super::by_key::{KeyAnswer, KeyQuestion, preferred_form, read};
use crate::error::JobError;

/// Keys taken from the queue at once.
const BATCH: i64 = 100;

/// Batches in one run: whole records are read here, and the next update must not wait for thousands of them.
const MOST_BATCHES: usize = 20;

/// Works off what is due, up to a bound; the rest stays due.
pub(crate) async fn run(run: &mut Run<'_>) -> Result<(), JobError> {
    let context = run.context;
    for _ in 0..MOST_BATCHES {
        let due = crate::persist!(context, context.store.due_rereads(context.feed(), run.resource, BATCH))?;
        if due.is_empty() || context.is_stopping() {
            return Ok(());
        }
        batch(run, &due).await?;
    }
    Ok(())
}

async fn batch(run: &mut Run<'_>, due: &[Reread]) -> Result<(), JobError> {
    let context = run.context;
    let keys: Vec<RecordKey> = due.iter().map(|reread| reread.key.clone()).collect();
    // Nobody waits for these: they are as patient as media.
    let question = KeyQuestion::records(run.resource, Priority::Relations);
    let preferred = preferred_form(context, run.resource).await?;
    let (asked, pages) = match read(context, &question, &keys, preferred).await? {
        KeyAnswer::Pages { asked, pages } => (asked, pages),
        KeyAnswer::Misread { asked } => return Err(JobError::KeysMisread { asked }),
        KeyAnswer::Undeliverable { why } => return put_off(run, &due[0], &why).await,
    };
    let read: Vec<_> = pages.iter().map(|page| context.read(page, run.resource)).collect();
    let rejected: Vec<Rejected> = read.iter().flat_map(|page| page.rejected.clone()).collect();
    let answers: HashMap<&RecordKey, &Record<'_>> =
        read.iter().flat_map(|page| &page.records).map(|record| (&record.key, record)).collect();
    let stored =
        crate::persist!(context, context.store.stored(context.feed(), run.resource, &keys[..asked]))?;
    let stored: HashMap<RecordKey, Stored> = stored.into_iter().collect();
    let again_at = context.now().await? + context.cache_window();

    let (mut take, mut confirmed, mut results) = (Vec::new(), Confirmed::new(), Vec::new());
    for reread in &due[..asked] {
        let answer = answers.get(&reread.key).copied();
        let shown = answer.map(|record| (record.hash, record.modified_at));
        let settled = settle(reread.reason, reread.seen, stored.get(&reread.key), shown);
        let again = match settled {
            Settled::Again(seen) => Some((again_at, Some(seen))),
            Settled::Take | Settled::Force | Settled::Done => None,
        };
        if settled == Settled::Force {
            let ours = stored.get(&reread.key).map(|ours| ours.hash);
            confirmed.insert(reread.key.clone(), ours);
        }
        if matches!(settled, Settled::Take | Settled::Force) {
            take.extend(answer.cloned());
        }
        results.push(RereadResult { key: reread.key.clone(), again });
    }
    let commit = context.page_of_keys((run.id, run.job), run.resource, &take, &rejected, &confirmed);
    let outcome = crate::persist!(context, context.store.commit_page(&context.lease, &commit))?;
    // Another page was faster with one that we hold for confirmed: it is looked at once more.
    if outcome.older + outcome.held > 0 {
        for result in results.iter_mut().filter(|result| confirmed.contains_key(&result.key)) {
            result.again = Some((again_at, None));
        }
    }
    // The queue is settled after the rows: a crash in between reads these keys once more.
    crate::persist!(context, context.store.settle_rereads(&context.lease, run.resource, &results))?;
    run.count(&outcome, pages.iter().map(|page| page.head.bytes).sum());
    Ok(())
}

/// A record that the feed cannot deliver is reported, and looked at again after a cache window.
async fn put_off(run: &mut Run<'_>, reread: &Reread, why: &str) -> Result<(), JobError> {
    put_away(run, &reread.key, &[], why).await?;
    let context = run.context;
    let again = Some((context.now().await? + context.cache_window(), reread.seen));
    let result = [RereadResult { key: reread.key.clone(), again }];
    crate::persist!(context, context.store.settle_rereads(&context.lease, run.resource, &result))
}
