//! The shortest beginning of a history that still breaks something.
//!
//! Time is part of a history and cannot be repeated to the microsecond: a shorter beginning counts as innocent
//! only after two trials.

use std::{path::Path, sync::Arc};

use crate::{
    Error,
    history::History,
    settings::Settings,
    stage::Lane,
    trial::{self, Plot, Verdict},
};

const TRIALS: usize = 2;

/// Searches between nothing and the whole; answers the length, and the verdict on it if it is a shorter one.
pub(crate) async fn shortest(
    settings: &Settings,
    history: &History,
    lane: &Arc<Lane>,
    folder: &Path,
) -> Result<(usize, Option<Verdict>), Error> {
    let (mut innocent, mut guilty) = (0, history.steps.len());
    let mut shortest = None;
    while innocent < guilty {
        let half = innocent.midpoint(guilty);
        let beginning = History { steps: history.steps[..half].to_vec(), ..history.clone() };
        let mut broken = None;
        for attempt in 0..TRIALS {
            let folder = folder.join(format!("first-{half}-{attempt}"));
            let verdict = trial::hold(settings, &beginning, lane, &folder, Plot::Steps).await?;
            if !verdict.accusations.is_empty() {
                broken = Some(verdict);
                break;
            }
        }
        match broken {
            Some(verdict) => (guilty, shortest) = (half, Some(verdict)),
            None => innocent = half + 1,
        }
    }
    Ok((guilty, shortest))
}
