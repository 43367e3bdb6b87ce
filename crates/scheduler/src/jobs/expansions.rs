//! Expansions that the feed has switched off (Spark 1505), or does not know.
//!
//! It is a matter of one relation, or of one part of `Media` in the native dialect: the records go on without it,
//! the others too, and what was fetched stays. Which of several was meant the feed does not say, so each is asked
//! for alone. What is off is seen in the status, and tried again after a day.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Checkpoint, Expansion, Job, MediaPart, Query, Recovery, Relation, Resource, Timestamp};
use spark_fetcher::{Error as FeedError, PageRequest};
use spark_store::ExpansionOff;

use super::Run;
use crate::context::FeedContext;
use crate::error::{JobError, chain};

/// What may be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    /// The configured relations, without those that are switched off.
    pub(crate) relations: Vec<Relation>,
    /// Parts of `Media` that are switched off.
    pub(crate) omit: Vec<MediaPart>,
}

impl Offered {
    /// The relations that come whole. A page's set is at rest once it is stored, which a part must not be.
    pub(crate) fn whole(self) -> Vec<Relation> {
        let Self { mut relations, omit } = self;
        relations.retain(|relation| *relation != Relation::Media || omit.is_empty());
        relations
    }
}

/// The configured relations of a resource, without what is switched off.
pub(crate) async fn offered(context: &FeedContext, resource: Resource) -> Result<Offered, JobError> {
    let off: BTreeSet<Expansion> =
        off(context, resource).await?.into_iter().map(|off| off.expansion).collect();
    let configured = context.settings.relations_of(resource).iter().copied();
    let relations = configured.filter(|relation| !off.contains(&Expansion::Whole(*relation))).collect();
    let omit = MediaPart::ALL.into_iter().filter(|part| off.contains(&Expansion::Part(*part))).collect();
    Ok(Offered { relations, omit })
}

/// What of a resource is switched off.
async fn off(context: &FeedContext, resource: Resource) -> Result<Vec<ExpansionOff>, JobError> {
    let mut off = crate::persist!(context, context.store.expansions_off(context.feed()))?;
    off.retain(|off| off.resource == resource);
    Ok(off)
}

/// Turns off what is refused of a question's expansions; whether there was any, so that asking anew without them comes
/// to an end. There is none if the question is refused without them as well; if it is answered when it is asked once
/// more, it was refused in passing, or by a link that asked for more.
pub(crate) async fn turn_off_refused(run: &Run<'_>, refused: &Query, top: u32) -> Result<bool, JobError> {
    let context = run.context;
    let bare = Query { expand: Vec::new(), count: false, ..refused.clone() };
    if refused.expand.is_empty() || ask(run, &bare, top).await?.is_err() {
        return Ok(false);
    }
    let mut guilty = Vec::new();
    for (expansion, alone) in context.settings.fetcher.api.apart(refused) {
        match ask(run, &alone, top).await {
            Ok(Err(error)) => guilty.push((expansion, chain(&error))),
            Ok(Ok(())) => {}
            // Whatever else is wrong with it is no verdict about the expansion.
            Err(JobError::Feed(error)) if error.recovery() != Recovery::SignIn => {
                tracing::debug!(relation = %expansion, error = chain(&error), "it cannot be told whether this expansion is on");
            }
            Err(error) => return Err(error),
        }
    }
    if guilty.is_empty() {
        let Err(again) = ask(run, &Query { count: false, ..refused.clone() }, top).await? else {
            return Ok(false);
        };
        // All of them together, of which each alone is answered.
        guilty.extend(refused.expand.iter().map(|relation| (Expansion::Whole(*relation), chain(&again))));
    }
    for (expansion, reason) in of_media_all_or_some(guilty, &refused.omit) {
        tracing::warn!(
            resource = %run.resource,
            relation = %expansion,
            error = reason,
            "the feed refuses this expansion; the rest goes on without it, and it is tried again in a day"
        );
        let turn_off = || context.store.turn_off_expansion(&context.lease, run.resource, expansion, &reason);
        crate::persist!(context, turn_off())?;
    }
    Ok(true)
}

/// Whether an error may be about an expansion: it is off, or the server does not know it. One that is not in its
/// `$metadata` is refused by a server that is no Spark with 400, whole question and all.
pub(crate) fn may_be_meant(error: &FeedError) -> bool {
    match error {
        FeedError::ExpansionOff(_) => true,
        FeedError::KeyListRefused(exchange) | FeedError::NotOffered(exchange) => {
            matches!(exchange.status, Some(400 | 501))
        }
        _ => false,
    }
}

/// Asks; the inner error is that of a refusal that may be about an expansion.
async fn ask(run: &Run<'_>, query: &Query, top: u32) -> Result<Result<(), FeedError>, JobError> {
    let (position, paging) = (Position::Start, Paging::NextLink);
    let request = PageRequest { query, position: &position, paging, top };
    match run.context.ask(&request, run.job.priority()).await {
        Ok(_) => Ok(Ok(())),
        Err(JobError::Feed(error)) if may_be_meant(&error) => Ok(Err(error)),
        Err(other) => Err(other),
    }
}

/// `Media` of which no part is left is switched off as a whole.
fn of_media_all_or_some(guilty: Vec<(Expansion, String)>, omitted: &[MediaPart]) -> Vec<(Expansion, String)> {
    let is_part = |expansion: &Expansion| matches!(expansion, Expansion::Part(_));
    let parts = guilty.iter().filter(|(expansion, _)| is_part(expansion)).count();
    if parts + omitted.len() < MediaPart::ALL.len() {
        return guilty;
    }
    let (parts, mut guilty): (Vec<_>, Vec<_>) =
        guilty.into_iter().partition(|(expansion, _)| is_part(expansion));
    guilty.extend(parts.into_iter().next().map(|(_, reason)| (Expansion::Whole(Relation::Media), reason)));
    guilty
}

/// Asks for relations that were switched off a day ago. Keys that no set was fetched for meanwhile are walked over
/// anew; first, since a crash in between must not leave them out. Only the task of `media_refresh` may do so: its
/// walk it is. The answer is whether parts are to be tried as well, which takes a run.
pub(crate) async fn try_again(context: &FeedContext, resource: Resource) -> Result<bool, JobError> {
    let mut parts = false;
    for ExpansionOff { expansion, .. } in rested(context, resource).await? {
        if matches!(expansion, Expansion::Part(_)) {
            parts = true;
            continue;
        }
        let (lease, nowhere) = (&context.lease, Checkpoint::default());
        crate::persist!(
            context,
            context.store.save_checkpoint(lease, resource, Job::MediaRefresh, &nowhere)
        )?;
        crate::persist!(context, context.store.turn_on_expansion(lease, resource, expansion))?;
    }
    Ok(parts)
}

/// Asks for the parts of `Media` that were switched off a day ago. One that is answered makes due all sets that were
/// fetched without it, so it is asked for alone first: a part that stays off is no reason to fetch the others.
pub(crate) async fn try_parts_again(run: &Run<'_>) -> Result<(), JobError> {
    let (context, resource) = (run.context, run.resource);
    let rested: BTreeSet<Expansion> =
        rested(context, resource).await?.into_iter().map(|off| off.expansion).collect();
    let media = Query { expand: vec![Relation::Media], ..Query::collection(resource) };
    for (expansion, alone) in context.settings.fetcher.api.apart(&media) {
        if matches!(expansion, Expansion::Whole(_)) || !rested.contains(&expansion) {
            continue;
        }
        let refusal = match ask(run, &alone, 1).await {
            Ok(answer) => answer.err(),
            // A record that breaks it, or no answer in time: the others are not held up by it.
            Err(JobError::Feed(error)) if error.recovery() != Recovery::SignIn => Some(error),
            Err(error) => return Err(error),
        };
        if let Some(error) = refusal {
            let reason = chain(&error);
            let turn_off = || context.store.turn_off_expansion(&context.lease, resource, expansion, &reason);
            crate::persist!(context, turn_off())?;
            continue;
        }
        tracing::info!(%resource, relation = %expansion, "the feed answers for this expansion again; it is fetched for all records");
        let turn_on = || context.store.turn_on_expansion(&context.lease, resource, expansion);
        while crate::persist!(context, turn_on())? {}
    }
    Ok(())
}

/// What was switched off a day ago.
async fn rested(context: &FeedContext, resource: Resource) -> Result<Vec<ExpansionOff>, JobError> {
    let mut off = off(context, resource).await?;
    if !off.is_empty() {
        let rest = TimeDelta::from_std(context.settings.daily_every).unwrap_or(TimeDelta::MAX);
        let now: Timestamp = context.now().await?;
        off.retain(|off| now - off.off.at >= rest);
    }
    Ok(off)
}
