//! Asks for what changed in a window, in parts where the server cannot answer it whole.
//!
//! A server that is too slow for a filter (Spark 1516, or no answer in time) is asked for smaller pages first, down to
//! the smallest; then for the first half of the window, and so on. The parts of a window are one pass: it began when
//! the first of them was asked for, and whoever resumes in the middle of them begins the pass anew.

use spark_domain::plan::update::{self, UpdateWindow};
use spark_domain::{Checkpoint, Query, Relation, Timestamp, Walk};
use spark_fetcher::Error as FeedError;
use spark_store::Finish;

use super::collection::{Collection, walk};
use super::{Run, begin, expansions};
use crate::error::{JobError, chain};

/// Windows halved in one pass because no answer came in time: a feed that answers nothing is not asked for ever.
const MOST_HANGS: u32 = 3;

/// What is committed with the last page of the pass, given when it began by the feed's clock.
pub(super) type End<'a> = dyn Fn(Option<Timestamp>) -> (Checkpoint, Option<Finish>) + Send + Sync + 'a;

/// Walks a window to its end; `under_way` is its walk, if one was interrupted.
pub(super) async fn pass(
    run: &mut Run<'_>,
    whole: UpdateWindow,
    mut under_way: Option<Walk>,
    standing: &Checkpoint,
    end: &End<'_>,
) -> Result<(), JobError> {
    let context = run.context;
    let (mut part, mut began, mut hung) = (whole, None, 0);
    loop {
        let start = match under_way.take() {
            Some(walk) => walk,
            None => begin(run, Some((part.after, part.until)), standing).await?,
        };
        let expanded = expanded(run).await?;
        let last = part.until == whole.until;
        let end_of_part =
            |walk: &Walk| if last { end(began.or(walk.as_of)) } else { (standing.clone(), None) };
        let collection = Collection {
            query: Query::modified(run.resource, part.after, part.until, expanded.clone()),
            expanded,
            mark_relations: true,
            stage: None,
            end: &end_of_part,
            standing: standing.clone(),
        };
        match walk(run, start, collection).await {
            Ok(finished) => {
                let Some(until) = part.until.filter(|_| !last) else { return Ok(()) };
                began = began.or(finished.as_of);
                part = UpdateWindow { after: until, until: whole.until };
            }
            Err(JobError::Feed(error @ (FeedError::TooMuch(_) | FeedError::TooSlow { .. }))) => {
                hung += u32::from(matches!(error, FeedError::TooSlow { .. }));
                if hung > MOST_HANGS {
                    return Err(error.into());
                }
                let now = context.now().await?;
                let Some(half) = update::first_half(part, now) else { return Err(error.into()) };
                tracing::warn!(
                    error = chain(&error),
                    after = %half.after,
                    until = half.until.map(tracing::field::display),
                    "the window is too much even in small pages; asking for its first half"
                );
                part = half;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The relations that come along with what changed; the others are marked due and fetched on their own.
async fn expanded(run: &Run<'_>) -> Result<Vec<Relation>, JobError> {
    let offered = expansions::offered(run.context, run.resource).await?.whole();
    Ok(offered.into_iter().filter(|relation| relation.comes_with_update()).collect())
}
