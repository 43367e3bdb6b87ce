//! One history from its first step to its verdict.

use std::{collections::BTreeSet, path::Path, process::Child, sync::Arc, time::Duration};

use rustix::process::Signal;
use spark_simulator::{Resource, World};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use crate::{
    Error,
    chronicle::{self, Chronicle, Moment},
    history::History,
    judge::{self, Accusation},
    report::Figures,
    settings::{FEED, Settings, TOKEN},
    stage::{End, Lane, PATIENCE, Stage},
    system,
};

/// How often processes are looked after.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// How long after its end an instance is started again, as systemd would.
const RESTART: Duration = Duration::from_millis(300);

/// A history that is being lived through.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) history: &'a History,
    pub(crate) stage: Stage,
    pub(crate) chronicle: Chronicle,
    /// The token that is right unless it is refused for a while.
    pub(crate) token: String,
    /// What the key's role may not see.
    pub(crate) outside: Vec<(Resource, String)>,
    /// New listings that nobody sees yet.
    pub(crate) held_back: Vec<String>,
    /// What lasts, and until when.
    pub(crate) endings: Vec<(Instant, Ending)>,
    /// When the last of what must come to its own end does so.
    pub(crate) awaited: Instant,
    /// Where an instance's next start is to fail.
    pub(crate) failpoints: Vec<Option<String>>,
    /// Where commands beside the daemon are to fail.
    pub(crate) command_failpoint: Option<String>,
    pub(crate) restarts: Vec<Option<Instant>>,
    commands: Vec<Child>,
    accusations: Vec<Accusation>,
    pub(crate) figures: Figures,
}

/// The end of what lasts.
#[derive(Debug)]
pub(crate) enum Ending {
    FeedClears,
    PostgresClears(usize),
    TokenWorks,
    Wakes(usize),
    Resumes,
    LetGo(Vec<PgConnection>),
}

/// What a trial came to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) accusations: Vec<Accusation>,
    pub(crate) figures: Figures,
}

/// What is lived through.
#[derive(Debug)]
pub(crate) enum Plot<'a> {
    /// The steps of the history.
    Steps,
    /// A kill at each of these points, one after the other.
    Points { points: &'a [String], reached: &'a mut Vec<String> },
}

/// Lives through a history on a lane's server; what is said is kept in `folder`.
pub(crate) async fn hold(
    settings: &Settings,
    history: &History,
    lane: &Arc<Lane>,
    folder: &Path,
    plot: Plot<'_>,
) -> Result<Verdict, Error> {
    let stage = Stage::set(settings, history, Arc::clone(lane), folder).await?;
    let database = stage.database.clone();
    let mut trial = Trial {
        settings,
        history,
        stage,
        chronicle: Chronicle::default(),
        token: TOKEN.to_owned(),
        outside: Vec::new(),
        held_back: Vec::new(),
        endings: Vec::new(),
        awaited: Instant::now(),
        failpoints: vec![None; history.climate.instances],
        command_failpoint: None,
        restarts: vec![None; history.climate.instances],
        commands: Vec::new(),
        accusations: Vec::new(),
        figures: Figures::default(),
    };
    let lived = trial.live(plot).await;
    let Trial { accusations, figures, stage, .. } = trial;
    drop(stage);
    lived?;
    lane.drop_database(&database)?;
    Ok(Verdict { accusations, figures })
}

impl Trial<'_> {
    async fn live(&mut self, plot: Plot<'_>) -> Result<(), Error> {
        let began = Instant::now();
        self.look(&self.stage.simulator.world().clone(), BTreeSet::new());
        match plot {
            Plot::Points { points, reached } => self.die_everywhere(points, reached).await?,
            Plot::Steps => {
                for instance in &mut self.stage.instances {
                    instance.start(None)?;
                }
                if self.history.climate.settled {
                    self.download().await?;
                }
                for step in &self.history.steps {
                    self.pass(step.after).await?;
                    *self.figures.deeds.entry(step.deed.kind()).or_default() += 1;
                    self.act(&step.deed).await?;
                }
            }
        }
        let healed = self.heal().await?;
        self.figures.chaos_seconds = began.elapsed().as_secs_f64();
        if let Some(restless) = self.come_to_rest(healed).await? {
            self.accuse(judge::REST, restless);
        } else {
            self.succeed().await?;
        }
        self.figures.rest_seconds = began.elapsed().as_secs_f64() - self.figures.chaos_seconds;
        self.stop().await?;
        // An open house ends by the clock, also while the market stands still; one that was over comes back for a
        // moment when the clock steps back.
        self.look(&self.stage.simulator.world().clone(), BTreeSet::new());
        let mut verdict = judge::judge(&self.stage, &self.chronicle, &mut self.figures).await?;
        self.accusations.append(&mut verdict);
        if !self.accusations.is_empty() {
            self.stage.keep_requests()?;
        }
        Ok(())
    }

    pub(crate) fn accuse(&mut self, promise: &'static str, what: String) {
        self.accusations.push(Accusation { promise, what });
    }

    /// Lets time pass: processes that ended are started again, and what lasts comes to its end.
    pub(crate) async fn pass(&mut self, time: Duration) -> Result<(), Error> {
        let until = Instant::now() + time;
        loop {
            Box::pin(self.tick()).await?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(TICK)).await;
        }
    }

    async fn tick(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        for number in 0..self.stage.instances.len() {
            match self.stage.instances[number].ended() {
                Some(Ok(end)) => {
                    let count = match end {
                        End::Killed => &mut self.figures.kills,
                        End::Terminated => &mut self.figures.terminations,
                    };
                    *count += 1;
                    self.restarts[number] = Some(now + RESTART);
                }
                Some(Err(how)) => {
                    self.accuse(judge::STAYS_UP, format!("instance {number}: {how}"));
                    self.restarts[number] = Some(now + RESTART);
                }
                None => {}
            }
            if self.restarts[number].is_some_and(|at| at <= now) {
                self.restarts[number] = None;
                let point = self.failpoints[number].take();
                self.stage.instances[number].start(self.settings.armed(point.as_deref()))?;
            }
        }
        let (over, lasting) = self.endings.drain(..).partition(|(at, _)| *at <= now);
        self.endings = lasting;
        for (_, ending) in over as Vec<(Instant, Ending)> {
            self.end(ending).await?;
        }
        self.commands.retain_mut(|command| !matches!(command.try_wait(), Ok(Some(_)) | Err(_)));
        Ok(())
    }

    /// Starts a command beside the daemons; nobody waits for it.
    pub(crate) fn command(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let mut command = self.stage.command(arguments).map_err(system("prepare a command"))?;
        command.envs(self.settings.armed(self.command_failpoint.as_deref()));
        self.commands.push(command.spawn().map_err(system("start a command"))?);
        Ok(())
    }

    /// Runs a command to its end; whether it ended well.
    pub(crate) async fn command_done(&mut self, arguments: &[&str]) -> Result<bool, Error> {
        let mut command = self.stage.command(arguments).map_err(system("prepare a command"))?;
        let mut child = command.spawn().map_err(system("start a command"))?;
        let until = Instant::now() + PATIENCE * 2;
        loop {
            if let Some(status) = child.try_wait().map_err(system("wait for a command"))? {
                return Ok(status.success());
            }
            if Instant::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(false);
            }
            self.pass(TICK).await?;
        }
    }

    /// Ends everything that goes wrong; from the answered moment on the market stands still.
    async fn heal(&mut self) -> Result<Moment, Error> {
        // A leader that is woken before its lease is over proves nothing of the next one.
        self.pass(self.awaited.saturating_duration_since(Instant::now())).await?;
        for (_, ending) in std::mem::take(&mut self.endings) {
            self.end(ending).await?;
        }
        self.stage.simulator.faults().clear();
        self.stage.simulator.set_token(&self.token);
        self.stage.feed.clear();
        for proxy in &self.stage.postgres {
            proxy.clear();
        }
        let world = self.stage.simulator.world().clone();
        self.release(&world);
        repopulate(&world);
        self.look(&world, BTreeSet::new());
        // A pause may have been asked for by a command that is still on its way.
        let until = Instant::now() + PATIENCE * 2;
        while !self.commands.is_empty() && Instant::now() < until {
            self.pass(TICK).await?;
        }
        self.command_done(&["resume", FEED]).await?;
        for number in 0..self.failpoints.len() {
            // One that waits for its failpoint for ever is killed here, and starts without it.
            self.failpoints[number] = None;
            if self.stage.instances[number].awaits_its_end() {
                self.stage.instances[number].signal(Signal::KILL);
            }
        }
        Ok(chronicle::now())
    }

    /// Ends all instances, in order.
    async fn stop(&mut self) -> Result<(), Error> {
        self.restarts.fill(None);
        for instance in &mut self.stage.instances {
            instance.signal(Signal::TERM);
        }
        let until = Instant::now() + PATIENCE + Duration::from_secs(5);
        for number in 0..self.stage.instances.len() {
            while self.stage.instances[number].is_up() {
                if let Some(Err(how)) = self.stage.instances[number].ended() {
                    self.accuse(judge::STAYS_UP, format!("instance {number} at SIGTERM: {how}"));
                }
                if Instant::now() > until {
                    self.accuse(
                        judge::STAYS_UP,
                        format!("instance {number} did not end within 35 s of SIGTERM"),
                    );
                    break;
                }
                sleep(TICK).await;
            }
        }
        Ok(())
    }
}

/// A feed that lists nothing at all is not believed without a person, however long it does.
fn repopulate(world: &World) {
    for resource in Resource::ALL {
        if world.count(resource) == 0 {
            if resource == Resource::OpenHouse {
                world.announce_open_house();
            } else {
                world.insert(resource);
            }
        }
    }
}
