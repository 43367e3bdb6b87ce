//! The request budget of an API key (P11): the feed's limit is kept over restarts and over all instances.
//!
//! One row per key with the time of the next free request. A reservation moves it by `count` times `spacing`
//! in one statement, so two reservations can never hold the same slot, whoever makes them. Slots that are not
//! used are lost; that errs on the side of the limit.
//!
//! A key that was refused nevertheless is slowed down: its row holds the share of the pace that is left, and since
//! when, so that it climbs again without a write.

use std::time::Duration;

use chrono::TimeDelta;

use spark_domain::plan::budget::{CLIMB_PER_HOUR, LEAST_SHARE, SHARE_AFTER_REFUSAL};
use spark_domain::{FeedName, Timestamp};

use crate::boundary::{Boundary, durable};
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;
use crate::text::{self, micros};

sql! {
    // What the share has climbed to by now; a row that this statement makes is a little younger than the statement.
    RESERVE = "insert into replicator.request_budget as b (key, next_free_at, spent) \
        values ($1, clock_timestamp() + $2::bigint * $3::bigint * interval '1 microsecond', $3) on conflict (key) do update \
        set next_free_at = greatest(b.next_free_at, b.silent_until, clock_timestamp()) + interval '1 microsecond' \
                * round($2::bigint * $3::bigint / least(1, b.share + $4::float8 \
                    * greatest(0, extract(epoch from statement_timestamp() - b.share_at)::float8) / 3600)), \
            spent = $3::bigint + case when statement_timestamp() - b.spent_since < $5::bigint * interval '1 microsecond' \
                then b.spent else 0 end, \
            spent_before = case when statement_timestamp() - b.spent_since < $5::bigint * interval '1 microsecond' \
                    then b.spent_before \
                when statement_timestamp() - b.spent_since < 2 * $5::bigint * interval '1 microsecond' \
                    then b.spent else 0 end, \
            spent_since = case when statement_timestamp() - b.spent_since < $5::bigint * interval '1 microsecond' \
                then b.spent_since else statement_timestamp() end \
        returning clock_timestamp(), next_free_at, least(1, b.share + $4::float8 \
            * greatest(0, extract(epoch from statement_timestamp() - b.share_at)::float8) / 3600)";
    // One throttling is met by every request that is under way: the share is lowered once a silence.
    SILENCE = "insert into replicator.request_budget as b (key, next_free_at, silent_until, share, throttled_at, \
            throttled_spent) \
        values ($1, clock_timestamp(), clock_timestamp() + $2::bigint * interval '1 microsecond', $3::float8, \
            clock_timestamp(), 0) \
        on conflict (key) do update set \
            share = case when b.silent_until > clock_timestamp() then b.share else greatest($4::float8, $3::float8 \
                * least(1, b.share + $5::float8 \
                    * greatest(0, extract(epoch from statement_timestamp() - b.share_at)::float8) / 3600)) end, \
            share_at = case when b.silent_until > clock_timestamp() then b.share_at else clock_timestamp() end, \
            throttled_at = clock_timestamp(), \
            throttled_spent = b.spent + b.spent_before * greatest(0, \
                1 - extract(epoch from statement_timestamp() - b.spent_since)::float8 * 1000000 / $6::bigint), \
            silent_until = greatest(b.silent_until, excluded.silent_until) \
        returning silent_until, share, throttled_spent";
    NOTE = "update replicator.feed set request_key = $2, requests_per_5_minutes = $3 where feed = $1 \
        and (request_key is distinct from $2 or requests_per_5_minutes is distinct from $3)";
    STATE = "select least(1, b.share + $2::float8 * extract(epoch from clock_timestamp() - b.share_at)::float8 / 3600), \
            b.silent_until, b.throttled_at, b.throttled_spent, f.requests_per_5_minutes \
        from replicator.feed f join replicator.request_budget b on b.key = f.request_key where f.feed = $1";
    RIVALS = "select other.feed, l.holder, other.requests_per_5_minutes, coalesce(l.holder <> ours.holder, false) \
        from replicator.feed f \
        join replicator.feed other on other.request_key = f.request_key and other.feed <> f.feed \
        join replicator.lease l on l.feed = other.feed and l.expires_at > clock_timestamp() \
        left join replicator.lease ours on ours.feed = f.feed and ours.expires_at > clock_timestamp() \
        where f.feed = $1 \
            and (l.holder <> ours.holder or other.requests_per_5_minutes <> f.requests_per_5_minutes) \
        order by other.feed";
}

/// A block of requests that are ours to send: the `n`th at `first_at + n * spacing`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reservation {
    /// Postgres' clock at the reservation: what the other times are to be measured against.
    pub now: Timestamp,
    /// When the first of them may be sent.
    pub first_at: Timestamp,
    /// How many there are.
    pub count: u32,
    /// Between one and the next: as asked for, or longer where the key has been slowed down.
    pub spacing: Duration,
    /// The share of the pace that the key may use.
    pub share: f64,
}

/// A key that was refused for too many requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silenced {
    /// Until when it is silent.
    pub until: Timestamp,
    /// The share of its pace that it may use from then on.
    pub share: f64,
    /// Requests granted in the window before the refusal.
    pub spent: u64,
}

/// How the key of a feed stands.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetState {
    /// The share of its pace that it may use.
    pub share: f64,
    /// Until when it is silent, if it ever was.
    pub silent_until: Option<Timestamp>,
    /// When it was last refused, and how many requests had been granted in the window before.
    pub throttled: Option<(Timestamp, u64)>,
    /// The configured limit.
    pub limit: u32,
    /// Feeds of the same key that another process leads, or that have another limit.
    pub rivals: Vec<BudgetRival>,
}

/// A feed that shares the key and is another process' or has another idea of its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRival {
    /// Which.
    pub feed: FeedName,
    /// The instance that leads it.
    pub holder: String,
    /// Its limit.
    pub limit: u32,
    /// Whether that instance is another than the one that leads the feed asked about.
    pub elsewhere: bool,
}

type StateRow = (f64, Option<Timestamp>, Option<Timestamp>, Option<i64>, i32);

impl Store {
    /// Reserves the next `count` requests of a key, `spacing` apart (to the microsecond), or further where the key was
    /// slowed down. `key` is a keyed hash of the token, never the token; `window` that of the limit.
    pub async fn reserve_requests(
        &self,
        key: &[u8; 32],
        count: u32,
        spacing: Duration,
        window: Duration,
    ) -> Result<Reservation, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let reserve = sqlx::query_as(RESERVE)
                .bind(key.as_slice())
                .bind(micros(spacing))
                .bind(i64::from(count))
                .bind(CLIMB_PER_HOUR)
                .bind(micros(window));
            let (now, next_free_at, share): (Timestamp, Timestamp, f64) =
                durable(Boundary::ReserveRequests, reserve.fetch_one(unit.conn())).await?;
            unit.done();
            let spacing = spacing.div_f64(share);
            let block = TimeDelta::microseconds(micros(spacing * count));
            Ok(Reservation { now, first_at: next_free_at - block, count, spacing, share })
        })
        .await
    }

    /// Keeps a key silent for a while because the feed refused it, and slows it down afterwards. An earlier, longer
    /// silence stays. Blocks that are reserved already are for their owners to drop.
    pub async fn silence_requests(
        &self,
        key: &[u8; 32],
        silence: Duration,
        window: Duration,
    ) -> Result<Silenced, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let silence = sqlx::query_as(SILENCE)
                .bind(key.as_slice())
                .bind(micros(silence))
                .bind(SHARE_AFTER_REFUSAL)
                .bind(LEAST_SHARE)
                .bind(CLIMB_PER_HOUR)
                .bind(micros(window));
            let (until, share, spent): (Timestamp, f64, i64) =
                durable(Boundary::SilenceRequests, silence.fetch_one(unit.conn())).await?;
            unit.done();
            Ok(Silenced { until, share, spent: text::whole(spent) })
        })
        .await
    }

    /// Keeps which key a feed uses, and with which limit.
    pub async fn note_request_key(&self, lease: &Lease, key: &[u8; 32], limit: u32) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let note = sqlx::query(NOTE).bind(lease.feed().as_str()).bind(key.as_slice());
            note.bind(i32::try_from(limit).unwrap_or(i32::MAX)).execute(writing.conn()).await?;
            writing.commit(Boundary::NoteRequestKey).await
        })
        .await
    }

    /// How the key of a feed stands; none before its first request.
    pub async fn budget_state(&self, feed: &FeedName) -> Result<Option<BudgetState>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let state = sqlx::query_as(STATE).bind(feed.as_str()).bind(CLIMB_PER_HOUR);
            let state: Option<StateRow> = state.fetch_optional(unit.conn()).await?;
            let rivals: Vec<(String, String, i32, bool)> =
                sqlx::query_as(RIVALS).bind(feed.as_str()).fetch_all(unit.conn()).await?;
            unit.done();
            let Some((share, silent_until, throttled_at, spent, limit)) = state else { return Ok(None) };
            let rivals = rivals.into_iter().map(|(feed, holder, limit, elsewhere)| {
                Ok(BudgetRival { feed: text::feed(&feed)?, holder, limit: limit.cast_unsigned(), elsewhere })
            });
            Ok(Some(BudgetState {
                share,
                silent_until,
                throttled: throttled_at.zip(spent.map(text::whole)),
                limit: limit.cast_unsigned(),
                rivals: rivals.collect::<Result<_, Error>>()?,
            }))
        })
        .await
    }
}
