//! Downloads a resource whole for the first time. Its start becomes the first cursor of the updates.

use spark_domain::{Checkpoint, Query, Walk};
use spark_store::Finish;

use super::collection::{Collection, walk};
use super::{Ended, Run, expansions};
use crate::error::JobError;

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    download(run, true).await
}

/// Walks the whole collection: once for the first download, and again for a resync, which upserts everything
/// and deletes nothing.
pub(crate) async fn download(run: &mut Run<'_>, first: bool) -> Result<Ended, JobError> {
    let context = run.context;
    let (feed, resource) = (context.feed(), run.resource);
    let checkpoint = crate::persist!(context, context.store.checkpoint(feed, resource, run.job))?;
    let under_way = checkpoint.walk.clone().filter(|walk| !walk.is_finished());
    let start = match under_way {
        Some(walk) => walk,
        None => super::begin(run, None, &checkpoint).await?,
    };
    let asks = context.settings.expand_on_initial_download;
    let expanded = if asks { expansions::offered(context, resource).await?.whole() } else { Vec::new() };
    let end = |walk: &Walk| {
        let checkpoint = Checkpoint { cursor: walk.as_of, walk: None, unsynced_passes: 0 };
        let finish =
            Finish { complete_through: walk.as_of.filter(|_| first), initial_download_completed: first };
        (checkpoint, Some(finish))
    };
    let collection = Collection {
        query: Query { expand: expanded.clone(), ..Query::collection(resource) },
        expanded,
        mark_relations: !first,
        stage: None,
        end: &end,
        standing: Checkpoint { walk: None, ..checkpoint },
    };
    walk(run, start, collection).await?;
    context.wake_all(resource);
    Ok(Ended::Done)
}
