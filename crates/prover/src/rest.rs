//! Waits until nothing is left to do.
//!
//! Rest is asked of the replicator's own tables, as an operator would; whether it is the right rest is the
//! judge's affair.

use std::{collections::BTreeMap, time::Duration};

use spark_simulator::Resource;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use crate::{
    Error,
    chronicle::Moment,
    settings::{CACHE_WINDOW, FEED, followed},
    sql,
    trial::Trial,
};

/// How long a healed feed may take to come to rest.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(250);

/// What is not at rest, a line each; `$2` is when the last stale cache had become fresh, `$3` the cache window.
const RESTLESS: &str = "
    with wanted (resource, job) as (values
        ('Property', 'update'), ('Member', 'update'), ('Office', 'update'), ('Teams', 'update'), ('OpenHouse', 'update'),
        ('Property', 'lookback'), ('Member', 'lookback'), ('Office', 'lookback'), ('Teams', 'lookback'),
        ('OpenHouse', 'lookback'), ('Lookup', 'lookups')),
    written (resource, at) as (select 'Property', max(written_at) from mls.property
        union all select 'Member', max(written_at) from mls.member union all select 'Office', max(written_at) from mls.office
        union all select 'Teams', max(written_at) from mls.team union all select 'OpenHouse', max(written_at) from mls.open_house)
    select job || ' of ' || resource || ' has not succeeded' from wanted w
    where w.resource = any($4)
    and not exists (select from replicator.job_run r where r.feed = $1 and r.resource = w.resource and r.job = w.job
                      and r.outcome = 'success' and r.began_at > $2)
    -- A run may go on with a sweep that began before it, and a sweep spares what was written shortly before that.
    union all select 'no sweep of ' || resource || ' tells of all that was written' from written w
    where w.resource = any($4)
    and not exists (select from prover.sweep_completed s where s.resource = w.resource and s.began_at > $2
                      and s.began_at > coalesce(w.at, $2) + $3)
    union all select 'the media of ' || resource || ' was never filled' from (values ('Property'), ('Member'), ('Office')) r (resource)
        where r.resource = any($5)
        and not exists (select from replicator.checkpoint c where c.feed = $1 and c.resource = r.resource
                          and c.job = 'media_refresh' and c.walk_position = 'end')
    union all select format('%s of %s %s is due%s, wanted for %s, fetched for %s, after %s tries', relation, resource, key,
                            case when after_sweep then ' after the next sweep' end, wanted, fetched, tries)
        from replicator.relation_set where feed = $1 and (due_at is not null or after_sweep)
    union all select 'keys are to be read again: ' || string_agg(resource || ' ' || key || ' (' || reason || ')', ', ')
        from replicator.reread where feed = $1 having count(*) > 0
    union all select 'request ' || request || ' of an operator is open: ' || kind from replicator.operator_request
        where feed = $1 and finished_at is null
    union all select resource || ' is turned off: ' || off_reason from replicator.resource
        where feed = $1 and off_at is not null
    union all select relation || ' of ' || resource || ' is switched off: ' || off_reason from replicator.expansion
        where feed = $1
    union all select resource || ' was never downloaded' from replicator.resource
        where feed = $1 and initial_download_completed_at is null
    union all select 'the feed is blocked: ' || blocked_reason from replicator.feed
        where feed = $1 and blocked_at is not null
    union all select 'the feed is paused' from replicator.feed where feed = $1 and paused_at is not null
    union all select 'plan ' || plan || ' for ' || resource || ' waits' from replicator.purge_plan
        where feed = $1 and state = 'open' and cardinality(keys) > 0
    union all select 'quarantined: ' || resource || ' ' || identity || ': ' || message from replicator.quarantine
        where feed = $1";
/// Plans that a person has to approve: the trial approves them all, since nothing lies any more.
const REFUSED: &str = "select plan from replicator.purge_plan
    where feed = $1 and state = 'open' and refusal is not null and cardinality(keys) > 0
        and (approval_expires_at is null or approval_expires_at < clock_timestamp()) and created_at > $2";
const LOOKED_BACK: &str = "select count(distinct resource) >= $3 from replicator.job_run
    where feed = $1 and job = 'lookback' and outcome = 'success' and began_at > $2";

const DOWNLOADED: &str = "select count(*) >= $2 from replicator.resource
    where feed = $1 and initial_download_completed_at is not null";

impl Trial<'_> {
    /// Lets the daemons download everything, while nothing moves and nothing goes wrong.
    pub(crate) async fn download(&mut self) -> Result<(), Error> {
        let until = Instant::now() + PATIENCE;
        let mut connection = self.stage.connect().await?;
        while Instant::now() < until {
            let done = sqlx::query_scalar(DOWNLOADED)
                .bind(FEED)
                .bind(self.followed())
                .fetch_one(&mut connection)
                .await;
            if done.map_err(sql("ask for downloads"))? {
                break;
            }
            self.pass(LOOK).await?;
        }
        let _ = connection.close().await;
        Ok(())
    }

    /// How many resources are followed by updates.
    fn followed(&self) -> i64 {
        i64::try_from(followed(self.stage.climate.dialect).len()).unwrap_or(i64::MAX)
    }

    /// Lets the daemons work until nothing is due; otherwise what still is.
    pub(crate) async fn come_to_rest(&mut self, healed: Moment) -> Result<Option<String>, Error> {
        let window = i64::try_from(CACHE_WINDOW.as_micros()).unwrap_or(i64::MAX);
        let fresh = chrono::DateTime::from_timestamp_micros(healed + window).unwrap_or_default();
        let until = Instant::now() + PATIENCE;
        self.pass(CACHE_WINDOW + Duration::from_millis(100)).await?;
        let mut connection = self.stage.connect().await?;
        let mut asked = BTreeMap::new();
        let dialect = self.stage.climate.dialect;
        let named = |keep: &dyn Fn(&Resource) -> bool| -> Vec<&str> {
            Resource::ALL.iter().filter(|resource| keep(resource)).map(|resource| resource.as_str()).collect()
        };
        let offered = named(&|resource| dialect.offers(*resource));
        let pictured = named(&|resource| dialect.relations(*resource).contains(&"Media"));
        loop {
            let restless: Vec<String> = sqlx::query_scalar(RESTLESS)
                .bind(FEED)
                .bind(fresh)
                .bind(CACHE_WINDOW)
                .bind(&offered)
                .bind(&pictured)
                .fetch_all(&mut connection)
                .await
                .map_err(sql("ask what is due"))?;
            if restless.is_empty() {
                let _ = connection.close().await;
                return Ok(None);
            }
            if Instant::now() > until {
                return Ok(Some(restless.join("; ")));
            }
            self.push_on(&mut connection, fresh, &mut asked).await?;
            self.pass(LOOK).await?;
        }
    }

    /// Does what an operator would: orders a look-back, approves what waits for an approval. Each again after a
    /// while, for a command can be lost with the daemon that was to carry it out.
    async fn push_on(
        &mut self,
        connection: &mut PgConnection,
        fresh: chrono::DateTime<chrono::Utc>,
        asked: &mut BTreeMap<String, Instant>,
    ) -> Result<(), Error> {
        let mut orders: Vec<Vec<String>> = Vec::new();
        let done: bool = sqlx::query_scalar(LOOKED_BACK)
            .bind(FEED)
            .bind(fresh)
            .bind(self.followed())
            .fetch_one(&mut *connection)
            .await
            .map_err(sql("ask for look-backs"))?;
        if !done {
            orders.push(["once", "lookback", "--feed", FEED].map(str::to_owned).to_vec());
        }
        for plan in refused_plans(connection, fresh).await? {
            orders.push(["purge", "approve", &plan.to_string(), "--feed", FEED].map(str::to_owned).to_vec());
        }
        for order in orders {
            let words: Vec<&str> = order.iter().map(String::as_str).collect();
            let name = words.join(" ");
            let again = asked.get(&name).is_none_or(|at| at.elapsed() > Duration::from_secs(10));
            if again {
                asked.insert(name, Instant::now());
                self.command(&words)?;
            }
        }
        Ok(())
    }
}

/// The refused plans that were made since, and that nobody has approved.
pub(crate) async fn refused_plans(
    connection: &mut PgConnection,
    since: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<i64>, Error> {
    let refused = sqlx::query_scalar(REFUSED).bind(FEED).bind(since).fetch_all(connection).await;
    refused.map_err(sql("ask for refused plans"))
}
