//! Keeps the lookup values: downloads them whole once a day, and removes what the list no longer has by the
//! purge's rules. The walk is its own sweep, since every value comes with its key.

use spark_domain::{Checkpoint, Query, Walk};
use spark_store::Finish;

use super::collection::{Collection, walk};
use super::{Ended, Run, begin, purge};
use crate::error::JobError;

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    let context = run.context;
    let (feed, resource) = (context.feed(), run.resource);
    let checkpoint = crate::persist!(context, context.store.checkpoint(feed, resource, run.job))?;
    let start = match checkpoint.walk.clone().filter(|walk| !walk.is_finished()) {
        Some(walk) => walk,
        None => begin(run, None, &checkpoint).await?,
    };
    let sweep = purge::open_sweep(run, &start).await?;
    let end = |walk: &Walk| {
        let finish = Finish { complete_through: walk.as_of, initial_download_completed: true };
        (Checkpoint { cursor: walk.as_of, walk: None, unsynced_passes: 0 }, Some(finish))
    };
    let collection = Collection {
        query: Query::collection(resource),
        expanded: Vec::new(),
        mark_relations: false,
        stage: Some(sweep),
        end: &end,
        standing: Checkpoint { walk: None, ..checkpoint.clone() },
    };
    let finished = match walk(run, start, collection).await {
        Ok(finished) => finished,
        Err(error) => {
            purge::drop_sweep(run, sweep, &error, &Checkpoint { walk: None, ..checkpoint }).await?;
            return Err(error);
        }
    };
    purge::conclude(run, sweep, &finished).await
}
