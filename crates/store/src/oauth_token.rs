//! The tokens of feeds that are signed in to by OAuth2: sealed, counted by generation, refreshed by one at a time.
//!
//! A refresh token is good once, and whoever loses the answer to a refresh has lost the pair. So a refresh is
//! claimed before it is sent, in one statement of its own that holds for a while (no lock, which would need a
//! session), and what it brings replaces exactly the generation that was spent. No lease is asked: whoever was
//! given a new pair must keep it, also when the feed is another's by now.

use std::time::Duration;

use spark_domain::{FeedName, Timestamp};

use crate::boundary::{Boundary, durable};
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text::{self, micros};

sql! {
    READ = "select generation, sealed, obtained_at, expires_at, claimed_by is not null, free_at, refused_reason, clock_timestamp() \
        from replicator.oauth_token where feed = $1";
    LIVES = "select feed, obtained_at, expires_at, refused_reason from replicator.oauth_token order by feed";
    SIGN_IN = "insert into replicator.oauth_token as t (feed, generation, sealed, obtained_at, expires_at) \
        values ($1, 1, $2, clock_timestamp(), clock_timestamp() + $3 * interval '1 microsecond') \
        on conflict (feed) do update set generation = t.generation + 1, sealed = excluded.sealed, \
            obtained_at = excluded.obtained_at, expires_at = excluded.expires_at, \
            claimed_by = null, free_at = null, sent = 0, refused_at = null, refused_reason = null \
        returning expires_at";
    CLAIM = "update replicator.oauth_token set claimed_by = $3, sent = sent + 1, \
            free_at = clock_timestamp() + $4 * interval '1 microsecond' \
        where feed = $1 and generation = $2 and refused_at is null \
            and coalesce(free_at <= clock_timestamp(), true) \
        returning sent";
    RELEASE = "update replicator.oauth_token set free_at = clock_timestamp() + $4 * interval '1 microsecond', \
            claimed_by = null, sent = sent - $5 \
        where feed = $1 and generation = $2 and claimed_by = $3 and sent > 0";
    ROTATE = "update replicator.oauth_token set generation = generation + 1, sealed = $3, \
            obtained_at = clock_timestamp(), expires_at = clock_timestamp() + $4 * interval '1 microsecond', \
            claimed_by = null, free_at = null, sent = 0, refused_at = null, refused_reason = null \
        where feed = $1 and generation = $2 returning generation";
    REFUSE = "update replicator.oauth_token set refused_at = clock_timestamp(), refused_reason = $3, free_at = null \
        where feed = $1 and generation = $2 and refused_at is null";
    FORGET = "delete from replicator.oauth_token where feed = $1 \
        and (expires_at <= clock_timestamp() - interval '1 day' or refused_at is not null) \
        and coalesce(free_at <= clock_timestamp(), true)";
}

/// A feed's pair of tokens as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Which pair it is.
    pub generation: i64,
    /// The pair; only its key opens it.
    pub sealed: Vec<u8>,
    /// When it was kept.
    pub obtained_at: Timestamp,
    /// When its access token ends.
    pub expires_at: Timestamp,
    /// Whether somebody refreshes it, or was about to.
    pub claimed: bool,
    /// No refresh may be sent before.
    pub free_at: Option<Timestamp>,
    /// Why it can never be refreshed.
    pub refused: Option<String>,
    /// Postgres' clock at the reading: what the other times are to be measured against.
    pub now: Timestamp,
}

/// From when to when an access token lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLife {
    /// The feed.
    pub feed: FeedName,
    /// When the pair was kept.
    pub obtained_at: Timestamp,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// Why it can never be refreshed.
    pub refused: Option<String>,
}

/// What is known of a refresh that brought no pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was never sent, or was answered: the refresh token is as good as before.
    No,
    /// It may have been carried out.
    Perhaps,
}

/// Generation, sealed pair, obtained, expiry, claimed, free, refusal, now.
type Row = (i64, Vec<u8>, Timestamp, Timestamp, bool, Option<Timestamp>, Option<String>, Timestamp);

impl Store {
    /// A feed's pair of tokens, if somebody has signed in.
    pub async fn oauth_token(&self, feed: &FeedName) -> Result<Option<StoredToken>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let row: Option<Row> =
                sqlx::query_as(READ).bind(feed.as_str()).fetch_optional(unit.conn()).await?;
            unit.done();
            Ok(row.map(|row| {
                let (generation, sealed, obtained_at, expires_at, claimed, free_at, refused, now) = row;
                StoredToken { generation, sealed, obtained_at, expires_at, claimed, free_at, refused, now }
            }))
        })
        .await
    }

    /// How long the access tokens of all feeds live.
    pub async fn oauth_token_lives(&self) -> Result<Vec<TokenLife>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rows: Vec<(String, Timestamp, Timestamp, Option<String>)> =
                sqlx::query_as(LIVES).fetch_all(unit.conn()).await?;
            unit.done();
            let life = |(feed, obtained_at, expires_at, refused): (String, _, _, _)| {
                Ok(TokenLife { feed: text::feed(&feed)?, obtained_at, expires_at, refused })
            };
            rows.into_iter().map(life).collect()
        })
        .await
    }

    /// Keeps the pair of a new sign-in, whatever was there before; answers when its access token ends.
    pub async fn sign_in(&self, feed: &FeedName, sealed: &[u8], life: Duration) -> Result<Timestamp, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let keep = sqlx::query_scalar(SIGN_IN).bind(feed.as_str()).bind(sealed).bind(micros(life));
            let expires_at = durable(Boundary::SignIn, keep.fetch_one(unit.conn())).await?;
            unit.done();
            Ok(expires_at)
        })
        .await
    }

    /// Takes the right to refresh one generation, for a while. `None`: somebody else has it, or it rests, is
    /// refused, or is gone. The answer says whether an earlier refresh of it may have been carried out.
    pub async fn claim_oauth_refresh(
        &self,
        feed: &FeedName,
        generation: i64,
        claimant: &str,
        hold: Duration,
    ) -> Result<Option<Spent>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let claim = sqlx::query_scalar(CLAIM).bind(feed.as_str()).bind(generation);
            let claim = claim.bind(claimant).bind(micros(hold));
            let sent: Option<i32> =
                durable(Boundary::ClaimOauthRefresh, claim.fetch_optional(unit.conn())).await?;
            unit.done();
            Ok(sent.map(|sent| if sent > 1 { Spent::Perhaps } else { Spent::No }))
        })
        .await
    }

    /// Gives a claim back without a pair; nobody refreshes that generation for so long.
    pub async fn release_oauth_refresh(
        &self,
        feed: &FeedName,
        generation: i64,
        claimant: &str,
        rest: Duration,
        spent: Spent,
    ) -> Result<(), Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let release = sqlx::query(RELEASE).bind(feed.as_str()).bind(generation);
            let release = release.bind(claimant).bind(micros(rest)).bind(i32::from(spent == Spent::No));
            durable(Boundary::ReleaseOauthRefresh, release.execute(unit.conn())).await?;
            unit.done();
            Ok(())
        })
        .await
    }

    /// Replaces the generation that was spent by the pair that it brought, and answers the new one. `None`:
    /// somebody signed in anew meanwhile, and that pair stays.
    pub async fn rotate_oauth_token(
        &self,
        feed: &FeedName,
        generation: i64,
        sealed: &[u8],
        life: Duration,
    ) -> Result<Option<i64>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let rotate = sqlx::query_scalar(ROTATE).bind(feed.as_str()).bind(generation);
            let rotate = rotate.bind(sealed).bind(micros(life));
            let next = durable(Boundary::RotateOauthToken, rotate.fetch_optional(unit.conn())).await?;
            unit.done();
            Ok(next)
        })
        .await
    }

    /// Forgets the pair of a feed that has no use for it, a day after its access token's end or once it can have no
    /// successor; whether there was one. Until then an instance that does sign in may need it.
    pub async fn forget_oauth_token(&self, lease: &Lease) -> Result<bool, Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let forget = sqlx::query(FORGET).bind(lease.feed().as_str());
            let forgotten = forget.execute(writing.conn()).await?.rows_affected();
            writing.commit(Boundary::ForgetOauthToken).await?;
            Ok(forgotten > 0)
        })
        .await
    }

    /// Notes that a generation can never be refreshed. Its access token may live on.
    pub async fn refuse_oauth_token(
        &self,
        feed: &FeedName,
        generation: i64,
        reason: &str,
    ) -> Result<(), Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let refuse = sqlx::query(REFUSE).bind(feed.as_str()).bind(generation).bind(reason);
            durable(Boundary::RefuseOauthToken, refuse.execute(unit.conn())).await?;
            unit.done();
            Ok(())
        })
        .await
    }
}
