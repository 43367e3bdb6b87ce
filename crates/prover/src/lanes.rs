//! Tries seeds, several at a time, each lane with a Postgres of its own.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::{sync::watch, task::JoinSet};

use crate::{
    Error,
    history::History,
    report::{Failure, Figures, Outcome, Report, SeedReport},
    settings::{CLOCKS, Settings},
    shrink,
    stage::Lane,
    traces::Traces,
    trial::{self, Plot, Verdict},
};

/// Hears about every seed as it is done.
pub type Progress = Arc<dyn Fn(&SeedReport) + Send + Sync>;

/// Tries all seeds, or until `stop` resolves: the seeds under way are given up then, and what the others came to is
/// told. An error means that nothing could be tried.
pub async fn prove(
    settings: Settings,
    progress: Progress,
    stop: impl Future<Output = ()>,
) -> Result<Report, Error> {
    let began = Instant::now();
    let settings = Arc::new(settings);
    let next = Arc::new(AtomicU64::new(settings.seeds.start));
    let over = watch::Sender::new(false);
    let seeds = settings.seeds.end.saturating_sub(settings.seeds.start);
    let mut lanes = JoinSet::new();
    for _ in 0..u64::try_from(settings.lanes).unwrap_or(1).min(seeds).max(1) {
        let (settings, next, over) = (Arc::clone(&settings), Arc::clone(&next), over.clone());
        let progress = Arc::clone(&progress);
        lanes.spawn(async move {
            let mut lane = Lane::open(&settings).await?;
            let mut done = Vec::new();
            let mut ended = over.subscribe();
            loop {
                let seed = next.fetch_add(1, Ordering::SeqCst);
                if seed >= settings.seeds.end || *ended.borrow() {
                    return Ok::<_, Error>(done);
                }
                let report = tokio::select! {
                    report = try_seed(&settings, seed, &lane) => report,
                    _ = ended.wait_for(|ended| *ended) => return Ok(done),
                };
                progress(&report);
                match report.outcome {
                    Outcome::Held => {}
                    Outcome::Broken(ref failure) => {
                        over.send_if_modified(|over| {
                            *over |= settings.stop_at_first && failure.certain().is_some();
                            *over
                        });
                    }
                    // Whatever broke the lane's server, the next seed gets a new one.
                    Outcome::NotTried { .. } => lane = Lane::open(&settings).await?,
                }
                done.push(report);
            }
        });
    }
    let mut stop = pin!(stop);
    let (mut stopped, mut reports) = (false, Vec::new());
    while !lanes.is_empty() {
        tokio::select! {
            () = &mut stop, if !stopped => {
                stopped = true;
                over.send_replace(true);
            }
            Some(lane) = lanes.join_next() => reports.extend(lane??),
        }
    }
    reports.sort_by_key(|report| report.seed);
    let mut totals = Figures::default();
    for report in &reports {
        totals.add(&report.figures);
    }
    Ok(Report {
        program: settings.program.display().to_string(),
        clocks: CLOCKS,
        steps: settings.steps,
        seconds: began.elapsed().as_secs_f64(),
        stopped,
        totals,
        seeds: reports,
    })
}

/// What the lanes come to. When stopped, it waits until each has ended its processes: nothing may outlive us.
pub(crate) async fn gather<T: Send + 'static>(
    lanes: &mut JoinSet<Result<T, Error>>,
    stop: impl Future<Output = ()>,
) -> Result<Vec<T>, Error> {
    let mut stop = pin!(stop);
    let mut gathered = Vec::new();
    loop {
        tokio::select! {
            lane = lanes.join_next() => match lane {
                Some(lane) => gathered.push(lane??),
                None => return Ok(gathered),
            },
            () = &mut stop => {
                lanes.shutdown().await;
                return Err(Error::Stopped);
            }
        }
    }
}

async fn try_seed(settings: &Settings, seed: u64, lane: &Arc<Lane>) -> SeedReport {
    let began = Instant::now();
    let history = History::draw(seed, settings.steps, settings);
    let (outcome, figures) = match judge(settings, &history, lane).await {
        Ok(judged) => judged,
        Err(error) => (Outcome::NotTried { why: chain(&error) }, Figures::default()),
    };
    SeedReport { seed, outcome, seconds: began.elapsed().as_secs_f64(), figures }
}

async fn judge(
    settings: &Settings,
    history: &History,
    lane: &Arc<Lane>,
) -> Result<(Outcome, Figures), Error> {
    let traces = Traces::new(settings, &format!("seed-{}", history.seed))?;
    let Verdict { accusations, figures } =
        trial::hold(settings, history, lane, traces.folder(), Plot::Steps).await?;
    if accusations.is_empty() {
        traces.discard()?;
        return Ok((Outcome::Held, figures));
    }
    let (shortest_prefix, shorter) = if settings.shrink {
        shrink::shortest(settings, history, lane, &traces.folder().join("shorter")).await?
    } else {
        (history.steps.len(), None)
    };
    let accusations = shorter.map_or(accusations, |verdict| verdict.accusations);
    let steps = history.steps[..shortest_prefix]
        .iter()
        .map(|step| format!("after {} ms: {:?}", step.after.as_millis(), step.deed))
        .collect();
    let failure = Failure::new(&accusations, steps, history, traces.kept());
    Ok((Outcome::Broken(failure), figures))
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
