//! What follows from the verdicts on a page, besides the records themselves.

use std::collections::HashSet;

use sqlx::PgConnection;

use spark_domain::plan::reread::RereadReason;
use spark_domain::record::RejectReason;
use spark_domain::{Record, RecordKey};

use super::PageCommit;
use super::upsert::Written;
use super::verdicts::Verdicts;
use crate::error::Error;
use crate::lease::Lease;
use crate::quarantine::{self, Refused};
use crate::reread;

/// A record that is ours now, and whether it differs from what we held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted<'a> {
    pub(crate) record: &'a Record<'a>,
    pub(crate) changed: bool,
}

/// The records of the page that P3 accepts and Postgres took.
pub(super) fn accepted<'a>(verdicts: &Verdicts<'a>, written: &Written) -> Vec<Accepted<'a>> {
    let poison: HashSet<usize> = written.poison.iter().map(|(at, _)| *at).collect();
    let changed = verdicts.changed.iter().enumerate().filter(|(at, _)| !poison.contains(at));
    let changed = changed.map(|(_, record)| Accepted { record, changed: true });
    changed.chain(verdicts.unchanged.iter().map(|record| Accepted { record, changed: false })).collect()
}

/// Orders readings by key, after the cache window, of what may be a stale copy.
pub(super) async fn reread_later(
    connection: &mut PgConnection,
    lease: &Lease,
    page: &PageCommit<'_>,
    verdicts: &Verdicts<'_>,
) -> Result<(), Error> {
    for (reason, records) in
        [(RereadReason::Rewind, &verdicts.older), (RereadReason::Returned, &verdicts.returned)]
    {
        let keys: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
        reread::order(connection, lease, page.resource, reason, &keys, page.cache_window).await?;
    }
    Ok(())
}

/// Puts away what could not be read or stored, and lets go what landed after all. Answers how many are away.
pub(super) async fn quarantine(
    connection: &mut PgConnection,
    lease: &Lease,
    page: &PageCommit<'_>,
    verdicts: &Verdicts<'_>,
    written: &Written,
    accepted: &[Accepted<'_>],
) -> Result<u64, Error> {
    let unreadable = page.rejected.iter().map(|rejected| Refused {
        key: rejected.key.as_ref().map(RecordKey::as_str),
        relation: None,
        reason: label(&rejected.reason),
        message: rejected.reason.to_string(),
        raw: rejected.raw.clone(),
    });
    let poison = written.poison.iter().filter_map(|(at, said)| {
        let record = verdicts.changed.get(*at)?;
        Some(Refused {
            key: Some(record.key.as_str()),
            relation: None,
            reason: "refused_by_postgres",
            message: said.to_string(),
            raw: record.shown(page.shape),
        })
    });
    let refused: Vec<Refused<'_>> = unreadable.chain(poison).collect();
    let landed: Vec<&str> = accepted.iter().map(|accepted| accepted.record.key.as_str()).collect();
    quarantine::release(connection, lease, page.resource, &landed, None).await?;
    quarantine::put(connection, lease, page.resource, &refused).await?;
    Ok(refused.len() as u64)
}

const fn label(reason: &RejectReason) -> &'static str {
    match reason {
        RejectReason::NotAnObject => "not_an_object",
        RejectReason::NoKey { .. } => "no_key",
        RejectReason::TooDeep { .. } => "too_deep",
        RejectReason::TooBig { .. } => "too_big",
        RejectReason::Unreadable(_) => "unreadable",
    }
}
