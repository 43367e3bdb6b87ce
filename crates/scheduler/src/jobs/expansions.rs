//! Expansions that the feed has switched off (Spark 1505).
//!
//! It is a matter of one relation: the records go on without it, the other relations too, and a set that was
//! fetched stays. Which of several was meant the feed does not say, so each is asked for alone. What is off is
//! seen in the status, and tried again after a day.

use chrono::TimeDelta;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Checkpoint, Job, Query, Relation, Resource};
use spark_fetcher::{Error as FeedError, PageRequest};

use super::Run;
use super::by_key::preferred_form;
use crate::context::FeedContext;
use crate::error::{JobError, chain};

/// The configured relations of a resource, without those that are switched off.
pub(crate) async fn offered(context: &FeedContext, resource: Resource) -> Result<Vec<Relation>, JobError> {
    let off = crate::persist!(context, context.store.expansions_off(context.feed()))?;
    let is_off = |relation| off.iter().any(|off| off.resource == resource && off.relation == relation);
    let configured = context.settings.relations_of(resource).iter().copied();
    Ok(configured.filter(|relation| !is_off(*relation)).collect())
}

/// Turns off what was refused of a question's expansions: at least one, so that asking anew comes to an end.
pub(crate) async fn turn_off_refused(
    run: &Run<'_>,
    refused: &Query,
    top: u32,
    error: &FeedError,
) -> Result<(), JobError> {
    let context = run.context;
    let mut guilty = Vec::new();
    if refused.expand.len() > 1 {
        for relation in &refused.expand {
            let alone = Query { expand: vec![*relation], count: false, ..refused.clone() };
            let (position, paging) = (Position::Start, Paging::NextLink);
            let request = PageRequest { query: &alone, position: &position, paging, top };
            match context.ask(&request, run.job.priority()).await {
                Ok(_) => {}
                Err(JobError::Feed(error @ FeedError::ExpansionOff(_))) => {
                    guilty.push((*relation, chain(&error)));
                }
                Err(other) => return Err(other),
            }
        }
    }
    if guilty.is_empty() {
        // The only one; or all of them together, of which each alone would have been answered.
        guilty.extend(refused.expand.iter().map(|relation| (*relation, chain(error))));
    }
    for (relation, reason) in guilty {
        tracing::warn!(
            resource = %run.resource,
            %relation,
            error = reason,
            "the feed has switched this expansion off; the rest goes on, and it is tried again in a day"
        );
        let turn_off = || context.store.turn_off_expansion(&context.lease, run.resource, relation, &reason);
        crate::persist!(context, turn_off())?;
    }
    Ok(())
}

/// Asks for what was switched off a day ago. Keys that no set was fetched for meanwhile are walked over anew; first,
/// since a crash in between must not leave them out. Only the task of `media_refresh` may do so: its walk it is.
pub(crate) async fn try_again(context: &FeedContext, resource: Resource) -> Result<(), JobError> {
    let off = crate::persist!(context, context.store.expansions_off(context.feed()))?;
    let rest = TimeDelta::from_std(context.settings.daily_every).unwrap_or(TimeDelta::MAX);
    let now = context.now().await?;
    for off in off.iter().filter(|off| off.resource == resource && now - off.off.at >= rest) {
        let (lease, nowhere) = (&context.lease, Checkpoint::default());
        crate::persist!(
            context,
            context.store.save_checkpoint(lease, resource, Job::MediaRefresh, &nowhere)
        )?;
        crate::persist!(context, context.store.turn_on_expansion(lease, resource, off.relation))?;
    }
    Ok(())
}

/// The question that asked for the relations of these keys.
pub(super) async fn of_keys(
    run: &Run<'_>,
    keys: &[spark_domain::RecordKey],
    expand: &[Relation],
) -> Result<Query, JobError> {
    let form = preferred_form(run.context, run.resource).await?;
    let query = Query {
        filter: spark_domain::Filter::Keys(Vec::new(), form),
        expand: expand.to_vec(),
        count: false,
        ..Query::key_list(run.resource)
    };
    let fitting = run.context.fetcher.keys_that_fit(&query, keys).min(keys.len());
    Ok(Query { filter: spark_domain::Filter::Keys(keys[..fitting].to_vec(), form), ..query })
}
