//! A kill on either side of every commit.
//!
//! The program is started so that it kills itself at one named point, the market and the operators give it every
//! reason to come there, and once it is dead the next point has its turn. At the end all is healed, and judged
//! as any other trial.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant as Began},
};

use chrono::DateTime;
use rustix::process::Signal;
use serde::Serialize;
use spark_simulator::{Fault, InTrouble, Resource, Trouble};
use sqlx::{Connection, raw_sql};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Error,
    act::pick,
    history::{Deed, FeedDeed, Flicker, History, MarketDeed, OperatorDeed},
    lanes,
    report::Failure,
    rest::refused_plans,
    settings::{FEED, Settings},
    stage::Lane,
    traces::Traces,
    trial::{self, Plot, Trial},
};

/// How long a point may take to be reached.
const PATIENCE: Duration = Duration::from_secs(90);
/// From one occasion to the next.
const OCCASION: Duration = Duration::from_millis(150);
/// Open houses that leave at a time, so that their plan waits for an approval.
const A_GUARD_MINDS: u32 = 12;
/// What an upgrade to a version with more typed columns finds; the witness looks away.
const UPGRADE: &str = "set session_replication_role = replica; update mls.member set member_full_name = null; \
                       update replicator.resource set columns_version = columns_version - 1 where resource = 'Member'";

/// What the kills came to.
#[derive(Debug, Clone, Serialize)]
pub struct PointsReport {
    /// Points at which the program died and after which all was well.
    pub reached: Vec<String>,
    /// Points that the program never came to: nothing is proved of them.
    pub unreached: Vec<String>,
    /// What was broken.
    pub broken: Vec<Failure>,
    /// How long it took.
    pub seconds: f64,
}

/// Kills the program at every one of these points, `<boundary>.before` and `<boundary>.after`.
pub async fn prove_points(settings: Settings, stop: impl Future<Output = ()>) -> Result<PointsReport, Error> {
    let began = Began::now();
    let settings = Arc::new(settings);
    // Dealt like cards: the points of one boundary are dear or cheap together.
    let points = settings.failpoints.as_ref().map(|failpoints| failpoints.points.clone()).unwrap_or_default();
    let waiting = Arc::new(Mutex::new(points.clone()));
    let mut lanes = JoinSet::new();
    for number in 0..settings.lanes.max(1) {
        let (settings, waiting) = (Arc::clone(&settings), Arc::clone(&waiting));
        lanes.spawn(async move { visit(&settings, number as u64, &waiting).await });
    }
    let (mut reached, mut broken) = (Vec::new(), Vec::new());
    for (there, failure) in lanes::gather(&mut lanes, stop).await? {
        reached.extend(there);
        broken.extend(failure);
    }
    let unreached = points.into_iter().filter(|point| !reached.contains(point)).collect();
    Ok(PointsReport { reached, unreached, broken, seconds: began.elapsed().as_secs_f64() })
}

/// One lane's share: a few points a trial, until none is left.
async fn visit(
    settings: &Settings,
    number: u64,
    waiting: &Mutex<Vec<String>>,
) -> Result<(Vec<String>, Vec<Failure>), Error> {
    const A_TRIAL: usize = 8;
    let lane = Lane::open(settings).await?;
    let (mut all_reached, mut broken) = (Vec::new(), Vec::new());
    for trial in 0.. {
        let points: Vec<String> = {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let from = waiting.len().saturating_sub(A_TRIAL);
            waiting.split_off(from)
        };
        if points.is_empty() {
            break;
        }
        let mut history = History::draw(1_000 * number + trial, 0, settings);
        history.climate.instances = 1;
        // A throttled key is slowed down for hours, which nobody scales: what is left must do for a trial.
        history.climate.requests_per_5_minutes = 100_000;
        // A process dies at every turn, and the next one has to wait for its lease.
        history.climate.lease_life = Duration::from_secs(1);
        history.climate.settled = false;
        let traces = Traces::new(settings, &format!("points-{number}-{trial}"))?;
        let mut reached = Vec::new();
        let plot = Plot::Points { points: &points, reached: &mut reached };
        let verdict = trial::hold(settings, &history, &lane, traces.folder(), plot).await?;
        if !verdict.accusations.is_empty() {
            broken.push(Failure::new(&verdict.accusations, points, &history, traces.kept()));
        }
        all_reached.append(&mut reached);
    }
    Ok((all_reached, broken))
}

impl Trial<'_> {
    /// Starts the program for each point, and gives it occasions until it has died there.
    pub(crate) async fn die_everywhere(
        &mut self,
        points: &[String],
        reached: &mut Vec<String>,
    ) -> Result<(), Error> {
        for point in points {
            self.restarts[0] = None;
            self.stage.instances[0].signal(Signal::KILL);
            while self.stage.instances[0].ended().is_none() && self.stage.instances[0].is_up() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.prepare(point).await?;
            self.stage.instances[0].start(self.settings.armed(Some(point)))?;
            self.command_failpoint = Some(point.clone());
            let until = Instant::now() + PATIENCE;
            for occasion in 0.. {
                // Whatever else ends the program: it is started for the same point again.
                self.failpoints[0] = Some(point.clone());
                self.pass(OCCASION).await?;
                if self.was_reached(point) {
                    reached.push(point.clone());
                    break;
                }
                if Instant::now() > until {
                    break;
                }
                if occasion % 20 == 19 {
                    self.begin_again(point).await?;
                }
                self.give_occasion(point, occasion).await?;
            }
            self.command_failpoint = None;
            self.failpoints[0] = None;
        }
        Ok(())
    }

    /// What has to be otherwise before the program starts, if it is to come to the point at all.
    async fn prepare(&mut self, point: &str) -> Result<(), Error> {
        if point.starts_with("set_configuration") {
            self.stage.reconfigure()?;
        }
        if point.starts_with("save_metadata") {
            self.ask_of_postgres("delete from replicator.metadata").await?;
        }
        if point.starts_with("set_key_form") {
            self.ask_of_postgres("update replicator.resource set key_form = null").await?;
        }
        Ok(())
    }

    /// Ends the program, where a point is come to only then, or only at the next start.
    async fn begin_again(&mut self, point: &str) -> Result<(), Error> {
        if point.starts_with("release_lease") {
            self.stage.instances[0].signal(Signal::TERM);
        }
        if point.starts_with("set_configuration") {
            // What a kill kept from being noted, a second change has taken back.
            self.prepare(point).await?;
            self.stage.instances[0].signal(Signal::KILL);
        }
        Ok(())
    }

    async fn ask_of_postgres(&self, sentence: &'static str) -> Result<(), Error> {
        let mut connection = self.stage.connect().await?;
        // Where the program is at the same rows, the next occasion will do.
        let _ = raw_sql(sentence).execute(&mut connection).await;
        let _ = connection.close().await;
        Ok(())
    }

    fn was_reached(&self, point: &str) -> bool {
        let line = format!("failpoint {point} reached");
        self.stage.said().iter().any(|(_, text)| text.lines().any(|said| said == line))
    }

    /// Something that makes the program write in one of its many ways.
    async fn give_occasion(&mut self, point: &str, occasion: u64) -> Result<(), Error> {
        let draw = occasion.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let market = Deed::Market;
        let fault = |trouble| Deed::Feed(FeedDeed::Fault(Fault::new(trouble)));
        let deed = match occasion % 16 {
            0 | 8 => market(MarketDeed::Moves(5)),
            1 => market(MarketDeed::Flicker(Flicker::Photos, draw, Duration::from_millis(600))),
            2 => market(MarketDeed::Withdraw(Resource::Property, vec![draw, draw >> 3])),
            3 => market(MarketDeed::Rewind(draw)),
            // So many that those which leave again are more than the guard lets through.
            4 if point.starts_with("approve_plan") => {
                let world = self.stage.simulator.world().clone();
                (0..A_GUARD_MINDS).for_each(|_| drop(world.announce_open_house()));
                market(MarketDeed::List(3))
            }
            4 => market(MarketDeed::List(3)),
            // More than the guard lets through at once: a plan that waits for an approval.
            5 => market(MarketDeed::Withdraw(
                Resource::OpenHouse,
                (0..A_GUARD_MINDS).map(|n| draw.rotate_left(n)).collect(),
            )),
            6 => Deed::Operator(OperatorDeed::Pause(Duration::from_millis(300))),
            7 => Deed::Feed(FeedDeed::Refuse(Some(Duration::from_millis(1_500)))),
            9 => fault(Trouble::In(InTrouble::Refused)),
            10 => {
                let off = Fault::new(Trouble::d(400, 1_500)).on("Teams").times(3);
                Deed::Feed(FeedDeed::Fault(off))
            }
            11 => {
                let short = Fault::new(Trouble::NoLink).matching("$select").unless("$filter");
                Deed::Feed(FeedDeed::Fault(short))
            }
            12 => fault(Trouble::throttle(None)),
            13 => Deed::Operator(OperatorDeed::Resync),
            14 => {
                self.approve().await?;
                return self.ask_of_postgres(UPGRADE).await;
            }
            // What shows once no update asks for its time any more is missed by a sweep alone.
            15 if point.starts_with("add_rereads") => match occasion / 16 % 4 {
                0 => market(MarketDeed::HoldBack),
                3 => market(MarketDeed::Release),
                _ => return Ok(()),
            },
            15 if point.contains("_expansion") => {
                let refused = Trouble::d(400, 1_505);
                Deed::Feed(FeedDeed::Fault(Fault::new(refused).on("Property").matching("$expand").times(3)))
            }
            // A record that changes and cannot be delivered, on its page or alone.
            15 if point.starts_with("put_away") => {
                let world = self.stage.simulator.world().clone();
                let Some(key) = pick(&world, Resource::Property, draw) else { return Ok(()) };
                let bad = Fault::new(Trouble::BadRecord(key)).on("Property").unless("$select=ListingKey");
                self.stage.simulator.faults().push(bad.times(20));
                market(MarketDeed::HiddenField(draw))
            }
            _ => Deed::Feed(FeedDeed::StepClock { forward: draw.is_multiple_of(2) }),
        };
        self.act(&deed).await
    }

    /// Approves what waits, as a person would.
    async fn approve(&mut self) -> Result<(), Error> {
        let mut connection = self.stage.connect().await?;
        let refused = refused_plans(&mut connection, DateTime::UNIX_EPOCH).await?;
        let _ = connection.close().await;
        match refused.first() {
            Some(plan) => self.command(&["purge", "approve", &plan.to_string(), "--feed", FEED]),
            None => Ok(()),
        }
    }
}
