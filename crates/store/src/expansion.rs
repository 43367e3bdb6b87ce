//! Expansions that a feed has switched off, one by one: the resource and its other relations go on, and of `Media` in
//! the native dialect its other parts.

use spark_domain::{Expansion, FeedName, Relation, Resource, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::relations;
use crate::resource::Off;
use crate::text;

sql! {
    OFF = "select resource, relation, off_at, off_reason from replicator.expansion where feed = $1 \
        order by resource, relation";
    TURN_OFF = "insert into replicator.expansion (feed, resource, relation, off_reason) values ($1, $2, $3, $4) \
        on conflict (feed, resource, relation) do update set off_at = clock_timestamp(), off_reason = excluded.off_reason";
    TURN_ON = "delete from replicator.expansion where feed = $1 and resource = $2 and relation = $3";
}

/// An expansion that is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpansionOff {
    /// Of which resource.
    pub resource: Resource,
    /// Which.
    pub expansion: Expansion,
    /// When the feed last refused it, and how.
    pub off: Off,
}

impl Store {
    /// The expansions that a feed has switched off.
    pub async fn expansions_off(&self, feed: &FeedName) -> Result<Vec<ExpansionOff>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<(String, String, Timestamp, String)> =
                sqlx::query_as(OFF).bind(feed.as_str()).fetch_all(unit.conn()).await?;
            unit.done();
            rows.into_iter()
                .map(|(resource, relation, at, reason)| {
                    Ok(ExpansionOff {
                        resource: text::resource(&resource)?,
                        expansion: text::expansion(&relation)?,
                        off: Off { at, reason },
                    })
                })
                .collect()
        })
        .await
    }

    /// Stops asking for an expansion.
    pub async fn turn_off_expansion(
        &self,
        lease: &Lease,
        resource: Resource,
        expansion: Expansion,
        reason: &str,
    ) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let off = sqlx::query(TURN_OFF).bind(lease.feed().as_str()).bind(resource.as_str());
            off.bind(expansion.as_str()).bind(reason).execute(writing.conn()).await?;
            writing.commit(Boundary::TurnOffExpansion).await
        })
        .await
    }

    /// Asks for it again; whether it is to be called once more.
    ///
    /// Sets of `Media` that were fetched without the part that is back are due, some thousand a call; only when all of
    /// them are, it is on. So none is left without the part, wherever the process ends.
    pub async fn turn_on_expansion(
        &self,
        lease: &Lease,
        resource: Resource,
        expansion: Expansion,
    ) -> Result<bool, Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let more = match expansion {
                Expansion::Part(_) => {
                    relations::wake_fetched(writing.conn(), lease, resource, Relation::Media).await?
                }
                Expansion::Whole(_) => false,
            };
            if !more {
                let on = sqlx::query(TURN_ON).bind(lease.feed().as_str()).bind(resource.as_str());
                on.bind(expansion.as_str()).execute(writing.conn()).await?;
            }
            writing.commit(Boundary::TurnOnExpansion).await?;
            Ok(more)
        })
        .await
    }
}
