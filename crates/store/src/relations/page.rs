//! Relations and pages: sets that came along are put in place, everything else of a changed record is due.

use sqlx::PgConnection;

use spark_domain::plan::media::fingerprint_for;
use spark_domain::record::RelationSet;
use spark_domain::{Fingerprint, Record, Relation, Timestamp};

use super::RelationOutcome;
use super::members::{self, SetToReplace};
use super::state::{self, HeldStates, SetState};
use crate::commit_page::{Accepted, PageCommit};
use crate::error::Error;
use crate::lease::Lease;

/// What a page says about one relation of one record.
enum Said<'a> {
    /// The whole set.
    Set(&'a RelationSet<'a>),
    /// A part, some parts of `Media`, or an empty set of media though there are photos: asked for again after the cache
    /// window.
    Doubtful,
    /// Nothing.
    Absent,
}

/// Applies and marks relations for the accepted records of a page, in its transaction.
pub(crate) async fn commit_with_page(
    connection: &mut PgConnection,
    lease: &Lease,
    page: &PageCommit<'_>,
    accepted: &[Accepted<'_>],
    now: Timestamp,
) -> Result<RelationOutcome, Error> {
    let concerned: Vec<&Accepted<'_>> = accepted.iter().filter(|each| concerns(page, each)).collect();
    if concerned.is_empty() {
        return Ok(RelationOutcome::default());
    }
    let keys: Vec<&str> = concerned.iter().map(|each| each.record.key.as_str()).collect();
    let held = state::load(connection, lease, page.resource, &keys).await?;
    let mut sets = Vec::new();
    let mut states = Vec::new();
    let later = now + chrono::Duration::from_std(page.cache_window).unwrap_or_default();
    for Accepted { record, changed } in concerned {
        let key = record.key.as_str();
        for &relation in page.relations {
            let wanted = fingerprint_for(relation, &record.fingerprint, record.modified_at);
            let row = held.get(key, relation);
            match said(page, record, relation) {
                Said::Set(set) if is_current(&held, page, record, relation, &wanted) => {
                    sets.extend(SetToReplace::whole(key, set));
                    states.push((key, relation, SetState::fetched_with(&wanted)));
                }
                Said::Doubtful if page.mark_relations => {
                    states.extend(SetState::marked(row, &wanted, later).map(|state| (key, relation, state)));
                }
                Said::Absent if page.mark_relations && *changed => {
                    states.extend(SetState::marked(row, &wanted, now).map(|state| (key, relation, state)));
                }
                Said::Set(_) | Said::Doubtful | Said::Absent => {}
            }
        }
    }
    let outcome = members::replace(connection, lease, page.resource, &sets).await?;
    state::write(connection, lease, page.resource, &held, states).await?;
    Ok(outcome)
}

fn concerns(page: &PageCommit<'_>, accepted: &Accepted<'_>) -> bool {
    (page.mark_relations && accepted.changed && !page.relations.is_empty())
        || page.expanded.iter().any(|relation| accepted.record.relation(*relation).is_some())
}

fn said<'a>(page: &PageCommit<'_>, record: &'a Record<'_>, relation: Relation) -> Said<'a> {
    match record.relation(relation).filter(|_| page.expanded.contains(&relation)) {
        None => Said::Absent,
        Some(set) => {
            let promised =
                if relation == Relation::Media { record.fingerprint.photos.unwrap_or(0) } else { 0 };
            let short = set.members.is_empty() && promised > 0;
            let parts = !set.absent.is_empty() || !set.omitted.is_empty();
            if set.incomplete || parts || short { Said::Doubtful } else { Said::Set(set) }
        }
    }
}

/// A set must not replace one that was fetched for a newer state; a record that was confirmed by key may.
fn is_current(
    held: &HeldStates,
    page: &PageCommit<'_>,
    record: &Record<'_>,
    relation: Relation,
    state: &Fingerprint,
) -> bool {
    let newest = held.get(record.key.as_str(), relation).and_then(|held| held.fetched_newest);
    !state.is_older_than(newest) || page.confirmed.contains_key(&record.key)
}
