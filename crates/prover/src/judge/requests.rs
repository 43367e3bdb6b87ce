//! What was asked, how often, and of whom.

use std::time::{Duration, Instant};

use crate::{report::Figures, stage::Stage};

/// How long a reserved request may wait for its turn (ten seconds, and the round trip that granted it).
const SLOT_LIFE: Duration = Duration::from_secs(12);
/// How long the relays and the faults hold requests up, at most; what waits there arrives together.
const HELD_UP: Duration = Duration::from_secs(4);
/// The window that a feed's limit is about.
const WINDOW: Duration = Duration::from_mins(5);

/// Windows in which more arrived than the limit's even pace allows. A trial is shorter than five minutes, so
/// the pace itself is held: any window of any length has at most its share, and what may have waited before it.
pub(super) fn too_many(stage: &Stage, figures: &mut Figures) -> Vec<String> {
    let limit = stage.climate.requests_per_5_minutes;
    let mut times: Vec<Instant> =
        stage.simulator.journal().requests().iter().map(|entry| entry.instant).collect();
    times.sort_unstable();
    figures.requests = times.len() as u64;
    let pace = f64::from(limit) / (WINDOW + SLOT_LIFE).as_secs_f64();
    let waiting = (SLOT_LIFE + HELD_UP).as_secs_f64();
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            let window = to.duration_since(*from).as_secs_f64();
            let arrived = last - first + 1;
            #[expect(clippy::cast_precision_loss, reason = "a trial has some thousand requests")]
            if arrived as f64 > (window + waiting) * pace + 1.0 {
                return vec![format!(
                    "{arrived} requests arrived within {window:.3} s, at a limit of {limit} in 5 min"
                )];
            }
        }
    }
    Vec::new()
}

/// Requests that a foreign link or a redirect has led astray.
pub(super) fn elsewhere(stage: &Stage) -> Vec<String> {
    let strayed = stage.trap.journal().requests();
    strayed.iter().map(|entry| format!("{} was asked of a foreign origin", entry.url())).collect()
}
