//! The request budget of an API key (P11): the feed's limit is kept over restarts and over all instances.
//!
//! One row per key with the time of the next free request. A reservation moves it by `count` times `spacing`
//! in one statement, so two reservations can never hold the same slot, whoever makes them. Slots that are not
//! used are lost; that errs on the side of the limit.

use std::time::Duration;

use chrono::TimeDelta;

use spark_domain::Timestamp;

use crate::boundary::{Boundary, durable};
use crate::connection::Store;
use crate::error::Error;
use crate::text::micros;

sql! {
    RESERVE = "insert into replicator.request_budget as b (key, next_free_at) \
        values ($1, clock_timestamp() + $2 * interval '1 microsecond') on conflict (key) do update \
        set next_free_at = greatest(b.next_free_at, b.silent_until, clock_timestamp()) \
            + $2 * interval '1 microsecond' \
        returning clock_timestamp(), next_free_at";
    SILENCE = "insert into replicator.request_budget as b (key, next_free_at, silent_until) \
        values ($1, clock_timestamp(), clock_timestamp() + $2 * interval '1 microsecond') on conflict (key) \
        do update set silent_until = greatest(b.silent_until, excluded.silent_until) returning silent_until";
}

/// A block of requests that are ours to send: the `n`th at `first_at + n * spacing`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Postgres' clock at the reservation: what the other times are to be measured against.
    pub now: Timestamp,
    /// When the first of them may be sent.
    pub first_at: Timestamp,
    /// How many there are.
    pub count: u32,
    /// Between one and the next.
    pub spacing: Duration,
}

impl Store {
    /// Reserves the next `count` requests of a key, `spacing` apart (to the microsecond). `key` is a keyed
    /// hash of the token, never the token.
    pub async fn reserve_requests(
        &self,
        key: &[u8; 32],
        count: u32,
        spacing: Duration,
    ) -> Result<Reservation, Error> {
        self.observed("state", async {
            let block = micros(spacing).saturating_mul(i64::from(count));
            let mut unit = self.unit().await?;
            let reserve = sqlx::query_as(RESERVE).bind(key.as_slice()).bind(block);
            let (now, next_free_at): (Timestamp, Timestamp) =
                durable(Boundary::ReserveRequests, reserve.fetch_one(unit.conn())).await?;
            unit.done();
            Ok(Reservation { now, first_at: next_free_at - TimeDelta::microseconds(block), count, spacing })
        })
        .await
    }

    /// Keeps a key silent for a while, and answers until when. An earlier, longer silence stays. Blocks that
    /// are reserved already are for their owners to drop.
    pub async fn silence_requests(&self, key: &[u8; 32], silence: Duration) -> Result<Timestamp, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let silence = sqlx::query_scalar(SILENCE).bind(key.as_slice()).bind(micros(silence));
            let until = durable(Boundary::SilenceRequests, silence.fetch_one(unit.conn())).await?;
            unit.done();
            Ok(until)
        })
        .await
    }
}
