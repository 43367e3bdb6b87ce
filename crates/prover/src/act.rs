//! Does what a history says.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use rustix::process::Signal;
use spark_simulator::{Fault, Resource, Trouble, Weather, World};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::time::Instant;

use crate::{
    Error,
    history::{Deed, FeedDeed, MarketDeed, OperatorDeed, PostgresDeed, ProcessDeed},
    settings::{CLOCK_STEP, FEED, Failpoints, TOKEN},
    sql,
    stage::Lane,
    trial::{Ending, Trial},
};

/// What changed in a way that no stamp tells.
type Irregular = BTreeSet<(Resource, String)>;

impl Trial<'_> {
    /// Does one deed; what lasts ends later, by [`Trial::pass`].
    pub(crate) async fn act(&mut self, deed: &Deed) -> Result<(), Error> {
        match deed {
            Deed::Market(deed) => self.trade(deed).await,
            Deed::Feed(deed) => self.disturb_feed(deed),
            Deed::Postgres(deed) => self.disturb_postgres(deed).await,
            Deed::Process(deed) => self.disturb_process(deed).await,
            Deed::Operator(deed) => self.operate(*deed),
        }
    }

    async fn trade(&mut self, deed: &MarketDeed) -> Result<(), Error> {
        let world = self.stage.simulator.world().clone();
        self.look(&world, Irregular::new());
        if let MarketDeed::Flicker(what, draw, patience) = deed {
            return self.flicker(*what, *draw, *patience).await;
        }
        if let MarketDeed::Rewind(draw) = deed {
            // What nobody has touched for days is looked at by the audit alone: first it changes, then it goes back.
            let Some(key) = pick(&world, Resource::Property, *draw) else { return Ok(()) };
            world.edit(Resource::Property, &key, "PublicRemarks", format!("To be taken back: {draw:x}"));
            self.look(&world, Irregular::new());
            self.pass(CLOCK_STEP).await?;
            self.look(&world, Irregular::new());
            world.rewind(&key);
            self.look(&world, Irregular::from([(Resource::Property, key)]));
            return Ok(());
        }
        let irregular = self.change_market(&world, deed);
        self.look(&world, irregular);
        Ok(())
    }

    /// Notes what is true now; what of it changed in a way that no stamp tells is named.
    pub(crate) fn look(&mut self, world: &World, mut irregular: Irregular) {
        // What nobody sees yet shows under no stamp at all, whatever happens to it.
        irregular.extend(self.held_back.iter().map(|key| (Resource::Property, key.clone())));
        self.chronicle.look(world, &irregular);
    }

    fn change_market(&mut self, world: &World, deed: &MarketDeed) -> Irregular {
        let mut irregular = Irregular::new();
        match deed {
            MarketDeed::Moves(many) => drop(self.stage.simulator.market().step(*many)),
            MarketDeed::Restamp(resource) => world.mass_restamp(*resource),
            MarketDeed::NewField(draw) => {
                let name = format!("X_Added{}", draw % 5);
                edit(world, *draw, |key| world.edit(Resource::Property, key, &name, format!("{draw:x}")));
            }
            MarketDeed::HiddenField(draw) => {
                edit(world, *draw, |key| world.hide_field(Resource::Property, key, "PublicRemarks"));
            }
            MarketDeed::VanishedField(draw) => {
                edit(world, *draw, |key| world.leave_out_field(Resource::Property, key, "YearBuilt"));
            }
            MarketDeed::Rooms(draw) => edit(world, *draw, |key| {
                let rooms = (0..draw % 4).map(|room| {
                    serde_json::json!({
                        "RoomKey": format!("{key}-{room}"),
                        "RoomType": "Bedroom",
                        "RoomLength": (draw >> 8) % 50,
                    })
                });
                world.set_relation(Resource::Property, key, "Room", &rooms.collect::<Vec<_>>())
            }),
            MarketDeed::LookupValue => drop(world.insert(Resource::Lookup)),
            MarketDeed::LookupGone(draw) => {
                if let Some(key) = pick(world, Resource::Lookup, *draw) {
                    world.remove(Resource::Lookup, &key);
                }
            }
            MarketDeed::Withdraw(resource, draws) => {
                for draw in draws {
                    if let Some(key) = pick(world, *resource, *draw) {
                        world.remove(*resource, &key);
                    }
                }
            }
            MarketDeed::List(many) => (0..*many).for_each(|_| drop(world.insert_listing())),
            MarketDeed::LeaveRole(resource, draw) => {
                if let Some(key) = pick(world, *resource, *draw) {
                    world.leave_role(*resource, &key);
                    self.outside.push((*resource, key));
                }
            }
            MarketDeed::EnterRole => {
                for (resource, key) in self.outside.drain(..) {
                    world.enter_role(resource, &key);
                    irregular.insert((resource, key));
                }
            }
            MarketDeed::SurfaceLate(draw, late) => {
                if let Some(key) = pick(world, Resource::Property, *draw) {
                    let stamp = world.clock().now() - TimeDelta::from_std(*late).unwrap_or_default();
                    world.surface_late(&key, stamp);
                    irregular.insert((Resource::Property, key));
                }
            }
            MarketDeed::HoldBack => {
                let key = world.insert_listing();
                world.hold_back(Resource::Property, &key);
                irregular.insert((Resource::Property, key.clone()));
                self.held_back.push(key);
            }
            MarketDeed::Release => self.release(world),
            // Both take time.
            MarketDeed::Rewind(_) | MarketDeed::Flicker(..) => {}
        }
        irregular
    }

    /// Shows what was held back.
    pub(crate) fn release(&mut self, world: &World) {
        for key in self.held_back.drain(..) {
            world.release(Resource::Property, &key);
        }
    }

    fn disturb_feed(&mut self, deed: &FeedDeed) -> Result<(), Error> {
        let faults = self.stage.simulator.faults();
        match deed {
            FeedDeed::Fault(fault) => faults.push(fault.clone()),
            FeedDeed::KeyListFault(swept, fault) => {
                faults.push(fault.clone());
                self.operate(OperatorDeed::Sweep(*swept))?;
            }
            FeedDeed::ForeignLink(resource) => {
                let origin = self.stage.trap.origin();
                faults.push(Fault::new(Trouble::ForeignLink(origin)).on(resource.as_str()));
            }
            FeedDeed::Redirect(resource) => {
                let to = format!("{}/elsewhere", self.stage.trap.origin());
                faults.push(Fault::new(Trouble::Redirect(to)).on(resource.as_str()));
            }
            FeedDeed::Weather(weather, time) => {
                self.stage.feed.set(*weather);
                self.later(*time, Ending::FeedClears);
            }
            FeedDeed::Cut => self.stage.feed.cut(),
            FeedDeed::CutAfter(bytes) => self.stage.feed.cut_after(*bytes),
            FeedDeed::Refuse(time) => {
                self.stage.simulator.set_token("another-token");
                if let Some(time) = time {
                    self.later(*time, Ending::TokenWorks);
                }
            }
            FeedDeed::NewToken(draw) => {
                self.token = format!("{TOKEN}-{draw:x}");
                self.stage.issue_token(&self.token)?;
            }
            FeedDeed::StepClock { forward } => {
                let clock = self.stage.simulator.clock();
                let step = TimeDelta::from_std(CLOCK_STEP).unwrap_or_default();
                clock.set(if *forward { clock.now() + step } else { clock.now() - step });
            }
        }
        Ok(())
    }

    async fn disturb_postgres(&mut self, deed: &PostgresDeed) -> Result<(), Error> {
        match deed {
            PostgresDeed::Restart => self.with_server(|lane| Ok(lane.server().restart()?)).await?,
            PostgresDeed::Kill => {
                let kill = |lane: &Lane| {
                    lane.server().kill();
                    Ok(lane.server().start_again()?)
                };
                self.with_server(kill).await?;
            }
            PostgresDeed::Away(time) => {
                self.with_server(|lane| {
                    lane.server().stop();
                    Ok(())
                })
                .await?;
                self.pass(*time).await?;
                self.with_server(|lane| Ok(lane.server().start_again()?)).await?;
            }
            PostgresDeed::Full(time) => {
                let url = format!(
                    "postgres://{}@{}/{}?sslmode=disable",
                    Lane::idle_role(),
                    self.stage.lane.address(),
                    self.stage.database
                );
                let mut taken = Vec::new();
                // Until the server has no more to give, or is away anyway.
                while let Ok(connection) = PgConnection::connect(&url).await {
                    taken.push(connection);
                }
                self.later(*time, Ending::LetGo(taken));
            }
            PostgresDeed::Lock(table, time) => {
                let mut connection = self.stage.connect().await?;
                let lock = format!("set lock_timeout = '1s'; begin; lock table {table}");
                // Without it in time the deed is left undone: others wait for the same lock.
                if raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.is_ok() {
                    self.later(*time, Ending::LetGo(vec![connection]));
                }
            }
            PostgresDeed::Terminate => {
                let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                           where usename like 'instance_%' and datname = current_database()";
                let mut connection = self.stage.connect().await?;
                raw_sql(end).execute(&mut connection).await.map_err(sql("end sessions"))?;
            }
            PostgresDeed::AtCommit(instance, trouble) => self.stage.postgres[*instance].at_commit(*trouble),
            PostgresDeed::Weather(instance, weather, time) => {
                self.stage.postgres[*instance].set(*weather);
                self.later(*time, Ending::PostgresClears(*instance));
            }
            PostgresDeed::Cut(instance) => self.stage.postgres[*instance].cut(),
            PostgresDeed::CutOffLeader(time) => {
                let (leader, _) = self.stage.leader().await?;
                self.stage.postgres[leader].set(Weather::Silent);
                self.until_over(*time, Ending::PostgresClears(leader));
            }
        }
        Ok(())
    }

    /// Starting and stopping a server blocks.
    async fn with_server(
        &self,
        work: impl FnOnce(&Lane) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let lane = std::sync::Arc::clone(&self.stage.lane);
        tokio::task::spawn_blocking(move || work(&lane)).await?
    }

    async fn disturb_process(&mut self, deed: &ProcessDeed) -> Result<(), Error> {
        match deed {
            ProcessDeed::Kill(number) => self.stage.instances[*number].signal(Signal::KILL),
            ProcessDeed::Terminate(number) => self.stage.instances[*number].signal(Signal::TERM),
            ProcessDeed::FreezeLeader(time) => {
                let (leader, _) = self.stage.leader().await?;
                self.stage.instances[leader].signal(Signal::STOP);
                self.until_over(*time, Ending::Wakes(leader));
            }
            ProcessDeed::FailAt { instance, point, pass } => {
                let Some(Failpoints { points, .. }) = &self.settings.failpoints else { return Ok(()) };
                let place = usize::try_from(*point).unwrap_or_default() % points.len().max(1);
                let Some(name) = points.get(place) else { return Ok(()) };
                self.stage.instances[*instance].signal(Signal::KILL);
                self.failpoints[*instance] = Some(format!("{name}@{pass}"));
            }
        }
        Ok(())
    }

    pub(crate) fn operate(&mut self, deed: OperatorDeed) -> Result<(), Error> {
        match deed {
            OperatorDeed::Resync => self.command(&["resync", FEED]),
            OperatorDeed::Lookback => self.command(&["once", "lookback", "--feed", FEED]),
            OperatorDeed::Sweep(resource) => {
                self.command(&["once", "purge", "--feed", FEED, "--resource", resource.as_str()])
            }
            OperatorDeed::Pause(time) => {
                self.command(&["pause", FEED])?;
                self.later(time, Ending::Resumes);
                Ok(())
            }
        }
    }

    fn later(&mut self, time: Duration, ending: Ending) {
        self.endings.push((Instant::now() + time, ending));
    }

    /// The same for what has come about only when its time is over: healing waits for it.
    fn until_over(&mut self, time: Duration, ending: Ending) {
        self.awaited = self.awaited.max(Instant::now() + time);
        self.later(time, ending);
    }

    /// Ends something that lasted.
    pub(crate) async fn end(&mut self, ending: Ending) -> Result<(), Error> {
        match ending {
            Ending::FeedClears => self.stage.feed.set(Weather::Clear),
            Ending::PostgresClears(instance) => self.stage.postgres[instance].set(Weather::Clear),
            Ending::TokenWorks => self.stage.simulator.set_token(&self.token),
            Ending::Wakes(instance) => self.stage.instances[instance].signal(Signal::CONT),
            Ending::Resumes => self.command(&["resume", FEED])?,
            Ending::LetGo(connections) => {
                for connection in connections {
                    // One that is broken has let go already.
                    let _ = connection.close().await;
                }
            }
        }
        Ok(())
    }
}

fn edit(world: &World, draw: u64, edit: impl FnOnce(&str) -> bool) {
    if let Some(key) = pick(world, Resource::Property, draw) {
        edit(&key);
    }
}

pub(crate) fn pick(world: &World, resource: Resource, draw: u64) -> Option<String> {
    let mut keys = world.keys(resource);
    let place = usize::try_from(draw % (keys.len().max(1) as u64)).unwrap_or_default();
    (place < keys.len()).then(|| keys.swap_remove(place))
}
