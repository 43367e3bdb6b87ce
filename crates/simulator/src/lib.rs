//! A second, independent Spark, and a throw-away Postgres.
//!
//! Tests and the demo need a feed that misbehaves on demand and a database that leaves nothing behind.
//! The rule: this room imports none of ours. What it serves it knows from Spark's documents alone, so a
//! misunderstanding in the fetcher cannot hide by being made twice.

pub mod postgres;

mod clock;
mod dialect;
mod faults;
mod http;
mod journal;
mod literal;
mod manners;
mod market;
pub mod oauth;
mod odata;
mod proxy;
mod question;
mod replay;
mod server;
mod spark;
mod trap;
pub mod webhooks;
mod world;

pub use self::{
    clock::Clock,
    dialect::Dialect,
    faults::{ErrorShape, Fault, Faults, InTrouble, Trouble},
    journal::{Entry, Journal},
    manners::{Count, Manners},
    market::{Market, MarketSettings, Move},
    proxy::{CommitTrouble, Proxy, Weather},
    replay::{Extent, Recording, Replay, ReplayError},
    server::{Settings, Simulator},
    spark::ListEnd,
    trap::Trap,
    world::{PhotoChange, Resource, Shape, World},
};
