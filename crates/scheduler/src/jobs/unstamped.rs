//! Records without a `ModificationTimestamp`: no filter by it ever finds them, so they are read by their keys, every
//! night. The same goes for relations of a state that no stamp tells from another.
//!
//! Spark stamps whatever it lists; other servers do not always.

use spark_domain::{Job, RecordKey};
use spark_store::Confirmed;

use super::Run;
use super::by_key::{KeyAnswer, KeyQuestion, preferred_form, read};
use crate::error::{JobError, chain};

/// Keys taken from the store at once; the URL's length cuts them further.
const BATCH: i64 = 400;

pub(super) async fn read_again(run: &mut Run<'_>) -> Result<(), JobError> {
    let context = run.context;
    let (feed, resource) = (context.feed(), run.resource);
    let mut after: Option<RecordKey> = None;
    loop {
        let listed = || context.store.unstamped_keys(feed, resource, after.as_ref(), BATCH);
        let keys = crate::persist!(context, listed())?;
        let Some(last) = keys.last().cloned() else { break };
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            rest = &rest[batch(run, rest).await?..];
            if context.is_stopping() {
                return Err(JobError::Cancelled);
            }
        }
        after = Some(last);
    }
    let wake = || context.store.wake_unstamped_relations(&context.lease, resource);
    while crate::persist!(context, wake())? {}
    Ok(())
}

/// Reads and stores as many of the leading keys as one question holds; how many.
async fn batch(run: &mut Run<'_>, keys: &[RecordKey]) -> Result<usize, JobError> {
    let context = run.context;
    let question = KeyQuestion::records(run.resource, run.job.priority());
    let preferred = preferred_form(context, run.resource).await?;
    let (asked, pages) = match read(context, &question, keys, preferred).await? {
        KeyAnswer::Pages { asked, pages } => (asked, pages),
        // The next night asks again.
        KeyAnswer::Undeliverable { .. } => return Ok(1),
        // No reason to do the look-back over again.
        KeyAnswer::Misread { asked } => {
            let error = JobError::KeysMisread { asked };
            tracing::warn!(resource = %run.resource, error = chain(&error), "records without a stamp cannot be read");
            return Ok(keys.len());
        }
    };
    let mut records = Vec::new();
    let mut rejected = Vec::new();
    for page in pages.iter().map(|page| context.read(page, run.resource)) {
        records.extend(page.records);
        rejected.extend(page.rejected);
    }
    let nothing = Confirmed::new();
    let commit = context.page_of_keys((run.id, Job::Lookback), run.resource, &records, &rejected, &nothing);
    let outcome = crate::persist!(context, context.store.commit_page(&context.lease, &commit))?;
    run.count(&outcome, pages.iter().map(|page| page.head.bytes).sum());
    Ok(asked)
}
