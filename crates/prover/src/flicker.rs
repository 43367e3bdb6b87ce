//! Changes that the program has seen, and that a stale cache then hides again.
//!
//! That is when a copy could grow older, a living record be missed by a sweep and by its confirmation, and an
//! old set of photos be taken for the new one. It takes the program to have seen the change: so the trial looks
//! at its tables, as any user would, and lets the cache lie from that moment on.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use spark_simulator::{PhotoChange, Resource, World};
use sqlx::{Connection, PgConnection, raw_sql};
use tokio::time::Instant;

use crate::{
    Error,
    act::pick,
    history::{Flicker, OperatorDeed},
    settings::STALE_FOR,
    trial::{TICK, Trial},
};

/// How many listings flicker at a time: fewer than any guard minds.
const A_FEW: u32 = 3;
/// The feed's stamps are.
const WHOLE_SECOND: Duration = Duration::from_secs(1);
/// Somebody may hold the table; then nothing can be seen for the moment.
const BRIEFLY: &str = "set statement_timeout = '200ms'";

impl Trial<'_> {
    pub(crate) async fn flicker(
        &mut self,
        what: Flicker,
        draw: u64,
        patience: Duration,
    ) -> Result<(), Error> {
        let world = self.stage.simulator.world().clone();
        let draws = (0..A_FEW).map(|nth| draw.rotate_left(nth * 7));
        if matches!(what, Flicker::Edit) {
            // An update comes upon an older copy only if that one is of its time as well.
            draws.clone().for_each(|draw| drop(change(&world, what, draw)));
            self.look(&world, BTreeSet::new());
            self.pass(WHOLE_SECOND).await?;
        }
        let changed_at = world.clock().now();
        let mut keys: BTreeSet<String> = draws.filter_map(|draw| change(&world, what, draw)).collect();
        // A cache that forgets what is held back would show it.
        keys.retain(|key| !self.held_back.contains(key));
        self.look(&world, BTreeSet::new());
        let held_for = self.pass_until_held(&world, &keys, patience).await?;
        // What nobody has seen is shown within its window: nobody promises to find it later. And of what was seen,
        // the first counts: whatever is promised is promised from the moment at which it was written.
        let since = held_for.map_or(changed_at, |held| (world.clock().now() - held).max(changed_at));
        let until = since + TimeDelta::from_std(STALE_FOR).unwrap_or_default();
        for key in keys {
            self.chronicle.hide(Resource::Property, &key);
            world.serve_stale(Resource::Property, &key, until);
        }
        match what {
            // Just then a person orders a sweep: by the clock it would meet that moment once in many histories.
            Flicker::NewListing => self.operate(OperatorDeed::Sweep(Resource::Property)),
            Flicker::Edit | Flicker::Photos => Ok(()),
        }
    }

    /// Lets time pass until the program holds these listings as they are now: for how long it has held the first
    /// of them by then; none if it did not come to that in time.
    async fn pass_until_held(
        &mut self,
        world: &World,
        keys: &BTreeSet<String>,
        patience: Duration,
    ) -> Result<Option<TimeDelta>, Error> {
        let until = Instant::now() + patience;
        let changed = world.stamps(Resource::Property).into_iter().filter(|(key, _)| keys.contains(key));
        let (keys, stamps): (Vec<String>, Vec<i64>) = changed.unzip();
        let mut connection = self.stage.connect().await?;
        // Whatever ails Postgres meanwhile is a deed of the history: then nothing is seen.
        let _ = raw_sql(BRIEFLY).execute(&mut connection).await;
        let mut held = None;
        while held.is_none() && Instant::now() < until {
            self.pass(TICK).await?;
            held = held_for(&mut connection, &keys, &stamps).await;
        }
        let _ = connection.close().await;
        Ok(held)
    }
}

/// Changes a listing so that a cache may show the state before; the listing's key.
fn change(world: &World, what: Flicker, draw: u64) -> Option<String> {
    match what {
        Flicker::NewListing => Some(world.insert_listing()),
        Flicker::Edit => {
            let key = pick(world, Resource::Property, draw)?;
            let remark = format!("Seen for a moment: {draw:x} at {}", world.clock().now());
            world.edit(Resource::Property, &key, "PublicRemarks", remark);
            Some(key)
        }
        Flicker::Photos => {
            let key = pick(world, Resource::Property, draw)?;
            world.change_photos(&key, PhotoChange::Replace);
            Some(key)
        }
    }
}

/// For how long the first of these has been held, if all are.
async fn held_for(connection: &mut PgConnection, keys: &[String], stamps: &[i64]) -> Option<TimeDelta> {
    let held = sqlx::query_scalar(
        "select (extract(epoch from clock_timestamp() - min(held.written_at)) * 1000)::bigint
         from unnest($1::text[], $2::bigint[]) as changed (key, stamp)
         left join mls.property as held on held.key = changed.key
             and extract(epoch from held.modified_at) >= changed.stamp
         having count(held.key) = count(*)",
    );
    let held: Option<i64> = held.bind(keys).bind(stamps).fetch_optional(connection).await.ok()??;
    TimeDelta::try_milliseconds(held?)
}
