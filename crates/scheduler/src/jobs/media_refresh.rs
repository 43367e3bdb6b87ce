//! Fetches media and the other relations of records that say that theirs may have changed.
//!
//! After a first download one walk over our own keys fills what was never fetched; from then on only what is
//! due in `relation_set` is asked for, many parents a request.

use std::collections::{BTreeSet, HashMap};

use spark_domain::fingerprint::FINGERPRINT_FIELDS;
use spark_domain::plan::media::{self, Known, Verdict};
use spark_domain::plan::page_size::{self, FIRST_PARENTS, MOST_PARENTS};
use spark_domain::walk::Position;
use spark_domain::{Checkpoint, MediaPart, Query, Record, RecordKey, Relation, Resource, Timestamp, Walk};
use spark_fetcher::Error as FeedError;
use spark_store::{RelationAnswer, RelationCommit, RelationState, UnfetchedRelations};

use super::bad_record::put_away;
use super::by_key::{KeyAnswer, KeyQuestion, preferred_form, read};
use super::expansions::Offered;
use super::{Ended, Run, begin, expansions};
use crate::error::{JobError, chain};

/// One parent whose relations are wanted.
struct Wanted {
    key: RecordKey,
    /// The ModificationTimestamp of the copy that we hold.
    modified_at: Option<Timestamp>,
    relations: Vec<(Relation, Known)>,
}

impl Wanted {
    fn names(&self) -> Vec<Relation> {
        self.relations.iter().map(|(relation, _)| *relation).collect()
    }
}

/// How far a batch was refreshed.
#[derive(Debug, PartialEq, Eq)]
enum Refreshed {
    /// To its end.
    All,
    /// An expansion was switched off under way: the rest is to be asked for again, without it.
    WithFewerRelations,
}

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    let mut parents = FIRST_PARENTS;
    expansions::try_parts_again(run).await?;
    fill(run, &mut parents).await?;
    loop {
        if !refresh_due(run, &mut parents).await? {
            return Ok(Ended::Done);
        }
        if run.context.is_stopping() {
            return Err(JobError::Cancelled);
        }
    }
}

/// Refreshes a batch of what is due; whether there was any.
async fn refresh_due(run: &mut Run<'_>, parents: &mut u32) -> Result<bool, JobError> {
    let offered = expansions::offered(run.context, run.resource).await?;
    let due = due(run, &offered.relations, *parents).await?;
    // What is left over for want of an expansion is not due any more.
    refresh(run, &due, &offered.omit, None, parents).await?;
    Ok(!due.is_empty())
}

/// Whether the fill walk of a resource has yet to be done.
pub(crate) fn is_filled(checkpoint: &Checkpoint) -> bool {
    checkpoint.walk.as_ref().is_some_and(Walk::is_finished)
}

/// Walks over our own keys and fetches what was never fetched; where it stands is its checkpoint.
async fn fill(run: &mut Run<'_>, parents: &mut u32) -> Result<(), JobError> {
    let context = run.context;
    let (feed, resource) = (context.feed(), run.resource);
    let mut checkpoint = crate::persist!(context, context.store.checkpoint(feed, resource, run.job))?;
    if is_filled(&checkpoint) {
        return Ok(());
    }
    let mut walk = match checkpoint.walk.take() {
        Some(walk) => walk,
        None => begin(run, None, &checkpoint).await?,
    };
    loop {
        let Offered { relations, omit } = expansions::offered(context, resource).await?;
        let after = match &walk.position {
            Position::After(key) => Some(key.clone()),
            Position::Start | Position::Link(_) | Position::End => None,
        };
        let keys = crate::persist!(
            context,
            context.store.unfetched_keys(feed, resource, &relations, after.as_ref(), i64::from(*parents))
        )?;
        let Some(last) = keys.last().map(|unfetched| unfetched.key.clone()) else {
            walk.position = Position::End;
            let filled = Checkpoint { walk: Some(walk), ..checkpoint };
            return crate::persist!(
                context,
                context.store.save_checkpoint(&context.lease, resource, run.job, &filled)
            );
        };
        let unknown = |relation: Relation| (relation, Known::default());
        let wanted: Vec<Wanted> = keys
            .into_iter()
            .map(|UnfetchedRelations { key, modified_at, relations }| Wanted {
                key,
                modified_at,
                relations: relations.into_iter().map(unknown).collect(),
            })
            .collect();
        let behind = Walk { position: Position::After(last), ..walk.clone() };
        if refresh(run, &wanted, &omit, Some(&behind), parents).await? == Refreshed::WithFewerRelations {
            continue;
        }
        walk = behind;
        // Filling takes hours; what changed meanwhile does not wait for its end.
        refresh_due(run, parents).await?;
        if context.is_stopping() {
            return Err(JobError::Cancelled);
        }
    }
}

/// What is due now.
async fn due(run: &Run<'_>, relations: &[Relation], parents: u32) -> Result<Vec<Wanted>, JobError> {
    let context = run.context;
    let due = crate::persist!(
        context,
        context.store.due_relations(context.feed(), run.resource, relations, i64::from(parents))
    )?;
    Ok(due
        .into_iter()
        .map(|parent| Wanted {
            key: parent.key,
            modified_at: parent.modified_at,
            relations: parent
                .relations
                .into_iter()
                .map(|due| {
                    let wanted = Some((due.wanted, due.wanted_newest));
                    let fetched = due.fetched.map(|text| (text, due.fetched_newest));
                    (due.relation, Known { wanted, fetched, tries: due.tries, parent: None })
                })
                .collect(),
        })
        .collect())
}

/// Fetches the relations of these parents and commits them, in as many requests as it takes. The fill walk's
/// position is committed with the last of them.
async fn refresh(
    run: &mut Run<'_>,
    wanted: &[Wanted],
    omit: &[MediaPart],
    position: Option<&Walk>,
    parents: &mut u32,
) -> Result<Refreshed, JobError> {
    let context = run.context;
    let resource = run.resource;
    let expand: BTreeSet<Relation> =
        wanted.iter().flat_map(|parent| parent.relations.iter().map(|(relation, _)| *relation)).collect();
    let expand: Vec<Relation> = expand.into_iter().collect();
    let select = selected(run).await?;
    let question = KeyQuestion {
        resource,
        select: &select,
        expand: &expand,
        omit,
        control: None,
        may_be_silent: false,
        priority: run.job.priority(),
    };
    let keys: Vec<RecordKey> = wanted.iter().map(|parent| parent.key.clone()).collect();
    let preferred = preferred_form(context, resource).await?;
    let mut done = 0;
    while done < keys.len() {
        let (asked, pages) = match read(context, &question, &keys[done..], preferred).await {
            Ok(KeyAnswer::Pages { asked, pages }) => (asked, pages),
            // As if it had not answered: its set waits for the next sweep, and the queue goes on behind it.
            Ok(KeyAnswer::Undeliverable { why }) => {
                put_away(run, &keys[done], &wanted[done].names(), &why).await?;
                (1, Vec::new())
            }
            Ok(KeyAnswer::Misread { asked }) => return Err(JobError::KeysMisread { asked }),
            Err(JobError::Feed(error)) if expansions::may_be_meant(&error) => {
                // What one listing is refused for says nothing about the others: the whole list tells.
                let (expand, omit) = (expand.clone(), omit.to_vec());
                let list = Query { expand, omit, count: false, ..Query::collection(resource) };
                if expansions::turn_off_refused(run, &list, 1).await? {
                    return Ok(Refreshed::WithFewerRelations);
                }
                if matches!(error, FeedError::ExpansionOff(_)) {
                    return Err(error.into());
                }
                put_away(run, &keys[done], &wanted[done].names(), &chain(&error)).await?;
                (1, Vec::new())
            }
            Err(error) => return Err(error),
        };
        let now = context.now().await?;
        let read: Vec<_> = pages.iter().map(|page| context.read(page, resource)).collect();
        let records: HashMap<&RecordKey, &Record<'_>> =
            read.iter().flat_map(|page| &page.records).map(|record| (&record.key, record)).collect();
        let batch = &wanted[done..done + asked];
        for rejected in read.iter().flat_map(|page| &page.rejected) {
            let of = |parent: &&Wanted| Some(&parent.key) == rejected.key.as_ref();
            if let Some(parent) = batch.iter().find(of) {
                put_away(run, &parent.key, &parent.names(), &rejected.reason.to_string()).await?;
            }
        }
        let asked_at = pages.first().and_then(|page| page.head.as_of).unwrap_or(now);
        let verdicts = judge(batch, &records, asked_at, now, context.cache_window());
        let answers: Vec<RelationAnswer<'_>> =
            verdicts.iter().map(|judged| judged.answer(&records)).collect();
        done += asked;
        let checkpoint = position
            .filter(|_| done == keys.len())
            .map(|walk| Checkpoint { walk: Some(walk.clone()), ..Checkpoint::default() });
        let commit = RelationCommit {
            run: run.id,
            resource,
            job: run.job,
            answers: &answers,
            checkpoint: checkpoint.as_ref(),
        };
        let outcome = crate::persist!(context, context.store.commit_relations(&context.lease, &commit))?;
        context.metrics.relations_committed(context.feed(), resource, &outcome);
        let bytes = pages.iter().map(|page| page.head.bytes).sum();
        run.totals.pages += 1;
        run.totals.updated += outcome.sets_replaced;
        run.totals.unchanged += outcome.sets_unchanged;
        run.totals.bytes += bytes as u64;
        let asked_top = u32::try_from(asked).unwrap_or(MOST_PARENTS).max(page_size::SMALLEST);
        let goal = context.settings.fetcher.page_bytes;
        *parents = page_size::after_page(asked_top, asked, bytes, goal, MOST_PARENTS);
    }
    Ok(Refreshed::All)
}

/// One relation of one parent, judged.
struct Judged<'a> {
    key: &'a RecordKey,
    relation: Relation,
    asked_for: Option<&'a str>,
    verdict: Verdict,
}

fn judge<'a>(
    batch: &'a [Wanted],
    records: &HashMap<&RecordKey, &Record<'_>>,
    asked_at: Timestamp,
    now: Timestamp,
    cache_window: chrono::TimeDelta,
) -> Vec<Judged<'a>> {
    let mut judged = Vec::new();
    for parent in batch {
        for (relation, known) in &parent.relations {
            let verdict = match records.get(&parent.key) {
                Some(record) => {
                    let state = media::fingerprint_for(*relation, &record.fingerprint, record.modified_at);
                    let known = Known { parent: parent.modified_at.zip(record.modified_at), ..known.clone() };
                    media::judge(&known, &state, record.relation(*relation), asked_at, now, cache_window)
                }
                None => media::unanswered(known),
            };
            let asked_for = known.wanted.as_ref().map(|(text, _)| text.as_str());
            judged.push(Judged { key: &parent.key, relation: *relation, asked_for, verdict });
        }
    }
    judged
}

impl Judged<'_> {
    fn answer<'s>(&'s self, records: &HashMap<&RecordKey, &'s Record<'s>>) -> RelationAnswer<'s> {
        let set = records.get(self.key).copied().and_then(|record| record.relation(self.relation));
        let Verdict { replace, wanted, fetched, due, tries } = &self.verdict;
        RelationAnswer {
            key: self.key.clone(),
            relation: self.relation,
            set: set.filter(|_| *replace),
            state: RelationState {
                asked_for: self.asked_for,
                wanted: &wanted.0,
                wanted_newest: wanted.1,
                fetched: fetched.as_ref().map(|(text, _)| text.as_str()),
                fetched_newest: fetched.as_ref().and_then(|(_, newest)| *newest),
                due: *due,
                tries: *tries,
            },
        }
    }
}

/// The fields by which the answer tells its own state: those that the feed's metadata declares.
async fn selected(run: &Run<'_>) -> Result<Vec<&'static str>, JobError> {
    let (context, resource) = (run.context, run.resource);
    let wanted: &[&'static str] = match resource {
        Resource::Property => &FINGERPRINT_FIELDS,
        Resource::Member | Resource::Office | Resource::Teams | Resource::OpenHouse | Resource::Lookup => {
            &FINGERPRINT_FIELDS[..1]
        }
    };
    let declared = context.declared_fields(resource).await?;
    let known = |field: &&str| declared.as_ref().is_none_or(|declared| declared.contains(*field));
    Ok(std::iter::once(resource.key_field()).chain(wanted.iter().copied().filter(known)).collect())
}
