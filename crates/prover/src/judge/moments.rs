//! What must hold at every moment, asked of the witness.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use spark_simulator::Resource;
use sqlx::PgConnection;

use super::resource_of;
use crate::{
    Error,
    chronicle::{Chronicle, Moment, Version, now, present_since_it_came, present_throughout},
    report::Figures,
    settings::{CACHE_WINDOW, CLOCK_STEP},
    sql,
    stage::Stage,
};

/// The feed's stamps and its clock are whole seconds.
const WHOLE_SECOND: i64 = 1;
const MICROS: i64 = 1_000_000;
/// A download of lookups takes less, in a trial.
const SHIFTS: Moment = 30 * MICROS;

/// Purges of records that were there all the time from a cache window before the sweep until the deletion; and
/// rows deleted without a tombstone.
pub(super) async fn wrong_purges(
    connection: &mut PgConnection,
    chronicle: &Chronicle,
    figures: &mut Figures,
) -> Result<Vec<String>, Error> {
    type Purged = (DateTime<Utc>, String, String, Option<DateTime<Utc>>);
    let purged: Vec<Purged> =
        sqlx::query_as("select at, resource, key, began_at from prover.purged order by at")
            .fetch_all(&mut *connection)
            .await
            .map_err(sql("read the purges"))?;
    figures.purged = purged.len() as u64;
    let mut found = Vec::new();
    for (at, resource, key, began) in purged {
        let Some(resource) = resource_of(&resource) else { continue };
        let began = began.unwrap_or(at) - CACHE_WINDOW;
        let versions = chronicle.of(resource, &key);
        if present_since_it_came(versions, began.timestamp_micros(), at.timestamp_micros()) {
            found.push(format!(
                "{resource:?} {key} was purged at {at}, and the feed had it all the time since {began}"
            ));
        }
    }
    let silent: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, key from prover.row_change c where operation = 'DELETE'
             and table_name in ('property', 'member', 'office', 'team', 'open_house', 'lookup')
             and not exists (select from prover.purged p where p.transaction = c.transaction and p.key = c.key)",
    )
    .fetch_all(connection)
    .await
    .map_err(sql("read the deletions"))?;
    found
        .extend(silent.into_iter().map(|(table, key)| format!("mls.{table} lost {key} without a tombstone")));
    Ok(found)
}

/// Claims of completeness while a record was missing or older than the claim allows.
pub(super) async fn false_claims(
    connection: &mut PgConnection,
    chronicle: &Chronicle,
    stage: &Stage,
    figures: &mut Figures,
) -> Result<Vec<String>, Error> {
    type Claim = (DateTime<Utc>, String, DateTime<Utc>, Vec<String>, Vec<Option<DateTime<Utc>>>);
    let claims: Vec<Claim> =
        sqlx::query_as("select at, resource, through, keys, stamps from prover.claim order by at")
            .fetch_all(connection)
            .await
            .map_err(sql("read the claims"))?;
    figures.claims = claims.len() as u64;
    let cut_lists = troubled(stage, &["no_link", "empty_page"]);
    let window = CACHE_WINDOW.as_secs().cast_signed();
    let steps = if stage.clock_is_stepped { 2 * CLOCK_STEP.as_secs().cast_signed() } else { 0 };
    let mut found = Vec::new();
    for (at, resource, through, keys, stamps) in claims {
        let Some(resource) = resource_of(&resource) else { continue };
        let mut missing = Vec::new();
        let held: BTreeMap<&str, Option<i64>> = keys
            .iter()
            .zip(&stamps)
            .map(|(key, stamp)| (key.as_str(), stamp.map(|stamp| stamp.timestamp())))
            .collect();
        for (key, versions) in chronicle.records(resource) {
            // What no cache hides is shown at once.
            let hidden = stage.climate.stale_caches || chronicle.was_hidden(resource, key);
            let margin = WHOLE_SECOND + steps + if hidden { window } else { 0 };
            let shown = |version: &Version| {
                // By the feed's clock: the moment at which it was surely there, which may be after its stamp.
                let there = version.latest + stage.climate.clock_skew_seconds * MICROS;
                there + margin * MICROS <= through.timestamp_micros()
                    && version.stamp.is_some_and(|stamp| stamp + margin <= through.timestamp())
            };
            let Some(due) = owed(versions, shown, at.timestamp_micros()) else { continue };
            match held.get(key) {
                None => missing.push(format!(
                    "{resource:?} was called complete through {through} at {at} without {key}, modified at {}",
                    time(due)
                )),
                Some(Some(stamp)) if *stamp < due => found.push(format!(
                    "{resource:?} was called complete through {through} at {at} with {key} as of {}, which was modified at {}",
                    time(*stamp),
                    time(due)
                )),
                Some(_) => {}
            }
        }
        // Lookups are paged by offset: what leaves while they are read shifts the rest past its reader.
        let shifted = chronicle.records(resource).flat_map(|(_, versions)| versions).filter(|version| {
            version.stamp.is_none()
                && (at.timestamp_micros() - version.latest) < SHIFTS
                && version.earliest > 0
        });
        if resource == Resource::Lookup && missing.len() <= shifted.count() {
            missing.clear();
        }
        // A list that was cut may lack what could have left while it was read; the next sweep finds it.
        let was_cut =
            cut_lists.iter().any(|(about, when)| *about == resource && *when < at.timestamp_micros());
        if !was_cut || missing.len() > (keys.len() / 100).max(10) {
            found.append(&mut missing);
        }
    }
    Ok(found)
}

/// The least stamp that a record must be held with, if all that is `shown` is claimed; none where the protocol
/// promises nothing: it may have been gone, or shows under a stamp that is not of its time.
fn owed(versions: &[Version], shown: impl Fn(&Version) -> bool, at: Moment) -> Option<i64> {
    let known = versions.partition_point(|version| version.earliest <= at);
    let known = &versions[..known];
    let settled =
        known.iter().rposition(|version| version.regular && version.latest <= at && shown(version))?;
    let since = &known[settled..];
    since.iter().all(|version| version.regular && version.stamp.is_some()).then(|| known[settled].stamp)?
}

/// Copies that were replaced by older ones, unless the feed itself went back.
pub(super) async fn steps_back(
    connection: &mut PgConnection,
    chronicle: &Chronicle,
) -> Result<Vec<String>, Error> {
    type Back = (DateTime<Utc>, String, String, DateTime<Utc>, DateTime<Utc>);
    let back: Vec<Back> = sqlx::query_as(
        "select at, table_name::text, key, old_stamp, new_stamp from prover.row_change
         where operation = 'UPDATE' and new_stamp < old_stamp and parent_key is null order by n",
    )
    .fetch_all(connection)
    .await
    .map_err(sql("read the changes"))?;
    let mut found = Vec::new();
    for (at, table, key, old, new) in back {
        let Some(resource) = resource_of(&table) else { continue };
        let versions = chronicle.of(resource, &key);
        let first = |stamp: i64| versions.iter().position(|version| version.stamp == Some(stamp));
        let last = |stamp: i64| versions.iter().rposition(|version| version.stamp == Some(stamp));
        let went_back = match (first(old.timestamp()), last(new.timestamp())) {
            (Some(old), Some(new)) => new > old,
            // A version that came and went between two looks.
            _ => true,
        };
        if !went_back {
            found.push(format!("mls.{table} {key} went back from {old} to {new} at {at}"));
        }
    }
    Ok(found)
}

/// Rows that were written with the content that they had.
pub(super) async fn empty_writes(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let empty: Vec<(DateTime<Utc>, String, String)> = sqlx::query_as(
        "select at, table_name::text, key from prover.row_change
         where operation = 'UPDATE' and same_body order by n",
    )
    .fetch_all(connection)
    .await
    .map_err(sql("read the changes"))?;
    let tell = |(at, table, key)| format!("mls.{table} {key} was written at {at} with the content it had");
    Ok(empty.into_iter().map(tell).collect())
}

/// Writes under a lease by somebody who had not taken it.
pub(super) async fn strangers(
    connection: &mut PgConnection,
    figures: &mut Figures,
) -> Result<Vec<String>, Error> {
    type Strange = (DateTime<Utc>, String, String, String, i64, Option<String>);
    figures.rows_written =
        sqlx::query_scalar::<_, i64>("select count(*) from prover.row_change where operation <> 'STATE'")
            .fetch_one(&mut *connection)
            .await
            .map_err(sql("count the changes"))?
            .unsigned_abs();
    figures.leases = sqlx::query_scalar::<_, i64>("select count(*) from prover.lease_taken")
        .fetch_one(&mut *connection)
        .await
        .map_err(sql("count the leases"))?
        .unsigned_abs();
    let strange: Vec<Strange> = sqlx::query_as(
        "select c.at, c.table_name::text, c.key, c.writer::text, c.epoch, l.writer::text from prover.row_change c
         left join prover.lease_taken l on l.epoch = c.epoch
         where c.epoch is null or l.writer is distinct from c.writer order by c.n",
    )
    .fetch_all(connection)
    .await
    .map_err(sql("read the writers"))?;
    let tell = |(at, table, key, writer, epoch, holder): (_, String, String, String, i64, Option<String>)| {
        let holder = holder.unwrap_or_else(|| "nobody".to_owned());
        let at: DateTime<Utc> = at;
        format!("{writer} wrote {table} {key} at {at} under epoch {epoch}, which {holder} had taken")
    };
    Ok(strange.into_iter().map(tell).collect())
}

/// Sweeps that were taken for complete although they missed more than may have moved meanwhile. Where the feed
/// lied in its count, or gave none, nobody could tell; then a purge still waits for an approval.
pub(super) async fn short_lists(
    connection: &mut PgConnection,
    chronicle: &Chronicle,
    stage: &Stage,
    figures: &mut Figures,
) -> Result<Vec<String>, Error> {
    let sweeps: Vec<(DateTime<Utc>, String, i64, DateTime<Utc>)> = sqlx::query_as(
        "select at, resource, sweep, began_at from prover.sweep_completed where not unproved order by at",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(sql("read the sweeps"))?;
    let listed: Vec<(String, i64, Vec<String>)> =
        sqlx::query_as("select resource, sweep, keys from prover.listed")
            .fetch_all(connection)
            .await
            .map_err(sql("read the key lists"))?;
    figures.sweeps = sweeps.len() as u64;
    let mut lists: BTreeMap<(String, i64), BTreeSet<String>> = BTreeMap::new();
    for (resource, sweep, keys) in listed {
        lists.entry((resource, sweep)).or_default().extend(keys);
    }
    let lies = troubled(stage, &["count_off", "no_count", "no_records"]);
    let mut found = Vec::new();
    for (at, name, sweep, began) in sweeps {
        let Some(resource) = resource_of(&name) else { continue };
        let (from, to) = ((began - CACHE_WINDOW).timestamp_micros(), at.timestamp_micros());
        if lies.iter().any(|(about, when)| *about == resource && from <= *when && *when <= to) {
            continue;
        }
        let nothing = BTreeSet::new();
        let list = lists.get(&(name.clone(), sweep)).unwrap_or(&nothing);
        let living =
            chronicle.records(resource).filter(|(_, versions)| present_throughout(versions, from, to));
        let missing = living.filter(|(key, _)| !list.contains(*key)).count();
        let meanwhile = |of: fn(&Version) -> bool| {
            chronicle.records(resource).filter(move |(_, versions)| {
                versions.iter().any(|version| of(version) && version.latest >= from && version.earliest <= to)
            })
        };
        // What left after it was listed or counted, and what came after it was counted and is listed, hide as
        // many that were left out.
        let left = meanwhile(|version| version.stamp.is_none()).count();
        let came =
            meanwhile(|version| version.stamp.is_some()).filter(|(key, _)| list.contains(*key)).count();
        let may_have_moved = meanwhile(|_| true).count().max(10);
        if missing > may_have_moved + left + came {
            found.push(format!(
                "sweep {sweep} of {name} from {began} to {at} was taken for complete and lacked {missing} living records"
            ));
        }
    }
    Ok(found)
}

/// When faults of these names took part in an answer, and about what.
fn troubled(stage: &Stage, faults: &[&str]) -> Vec<(Resource, Moment)> {
    let (here, instant) = (now(), std::time::Instant::now());
    let requests = stage.simulator.journal().requests();
    let troubled = requests.iter().filter(|entry| entry.faults.iter().any(|fault| faults.contains(fault)));
    troubled
        .filter_map(|entry| {
            let ago = i64::try_from(instant.duration_since(entry.instant).as_micros()).ok()?;
            Some((resource_of(entry.resource.as_deref()?)?, here - ago))
        })
        .collect()
}

fn time(seconds: i64) -> String {
    DateTime::from_timestamp_micros(seconds * MICROS).unwrap_or_default().to_string()
}
