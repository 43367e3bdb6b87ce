//! A market that moves: listings come, change, sell and go, as on an ordinary day.
//!
//! Every move follows from the seed, so a random history can be told again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use tokio::task::JoinHandle;

use crate::world::{PhotoChange, Resource, World};

/// How lively a market is.
#[derive(Debug, Clone, Copy)]
pub struct MarketSettings {
    /// Moves in a minute of real time, evenly spread.
    pub moves_per_minute: f64,
}

impl Default for MarketSettings {
    fn default() -> Self {
        Self { moves_per_minute: 60.0 }
    }
}

/// One move, and the key it happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// A field changed.
    Edited(String),
    /// A new price.
    Priced(String),
    /// A new status, also a sale.
    Status(String),
    /// Other photos.
    Photos(String),
    /// Another virtual tour, or none.
    Toured(String),
    /// A new listing.
    Listed(String),
    /// A listing left without a trace.
    Withdrawn(String),
    /// A listing came back under this new key.
    Relisted(String),
    /// An open house was announced.
    Announced(String),
    /// An open house is over or cancelled.
    Ended(String),
    /// A member changed.
    Member(String),
    /// An office changed.
    Office(String),
}

/// What moves the market; stops when dropped.
#[derive(Debug)]
pub struct Market {
    world: World,
    chance: Arc<Mutex<Rng>>,
    task: Option<JoinHandle<()>>,
}

impl Market {
    pub(crate) fn start(world: World, seed: u64, settings: Option<MarketSettings>) -> Self {
        let chance = Arc::new(Mutex::new(Rng::with_seed(seed ^ 0x4D61_726B)));
        let task = settings.filter(|settings| settings.moves_per_minute > 0.0).map(|settings| {
            let (world, chance) = (world.clone(), Arc::clone(&chance));
            tokio::spawn(async move {
                let pause = Duration::from_secs_f64((60.0 / settings.moves_per_minute).max(0.000_1));
                let mut turns = tokio::time::interval(pause);
                loop {
                    turns.tick().await;
                    step(&world, &chance);
                }
            })
        });
        Self { world, chance, task }
    }

    /// Moves the market that many times at once.
    pub fn step(&self, times: usize) -> Vec<Move> {
        (0..times).filter_map(|_| step(&self.world, &self.chance)).collect()
    }

    /// Ends the moves that happen by themselves.
    pub fn pause(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        self.pause();
    }
}

/// One move; `None` if there was nothing to do it to.
fn step(world: &World, chance: &Mutex<Rng>) -> Option<Move> {
    let mut chance = chance.lock().unwrap_or_else(PoisonError::into_inner);
    let chance = &mut *chance;
    let kind = chance.u32(..100);
    let resource = match kind {
        0..78 => Resource::Property,
        88..93 => Resource::OpenHouse,
        93..97 => Resource::Member,
        97.. => Resource::Office,
        78..88 => {
            return if kind < 84 {
                Some(Move::Listed(world.insert_listing()))
            } else {
                world.announce_open_house().map(Move::Announced)
            };
        }
    };
    let key = world.any_key(resource, chance.u64(..))?;
    match kind {
        0..28 => {
            let remarks = format!("Seen by {} visitors.", chance.u32(2..900));
            world.edit(resource, &key, "PublicRemarks", remarks);
            Some(Move::Edited(key))
        }
        28..42 => {
            let (price, _) = world.price_and_status(&key)?;
            let factor = if chance.u32(..5) == 0 { 1.02 } else { 0.97 };
            world.set_price(&key, (price * factor / 100.0).round() * 100.0);
            Some(Move::Priced(key))
        }
        42..54 => {
            let (_, status) = world.price_and_status(&key)?;
            let next = match status.as_str() {
                "Active" => "Active Under Contract",
                "Active Under Contract" => "Pending",
                "Pending" if chance.u32(..4) > 0 => "Closed",
                _ => "Active",
            };
            world.set_status(&key, next);
            Some(Move::Status(key))
        }
        54..56 => {
            let url = format!("https://tours.example.test/{:x}", chance.u64(..));
            world.change_tour(&key, Some(&*url).filter(|_| chance.u32(..4) > 0));
            Some(Move::Toured(key))
        }
        56..68 => {
            let hows = [
                PhotoChange::Add,
                PhotoChange::Add,
                PhotoChange::Remove,
                PhotoChange::Replace,
                PhotoChange::Reverse,
            ];
            world.change_photos(&key, hows[chance.usize(..hows.len())]);
            Some(Move::Photos(key))
        }
        68..74 => {
            world.remove(resource, &key);
            Some(Move::Withdrawn(key))
        }
        74..78 => world.relist(&key).map(Move::Relisted),
        88..93 => {
            if chance.bool() {
                world.open_house_end(&key);
            } else {
                world.remove(resource, &key);
            }
            Some(Move::Ended(key))
        }
        93..97 => {
            world.edit(resource, &key, "MemberDirectPhone", format!("701-555-{:04}", chance.u32(..10_000)));
            Some(Move::Member(key))
        }
        _ => {
            world.edit(resource, &key, "OfficePhone", format!("701-555-{:04}", chance.u32(..10_000)));
            Some(Move::Office(key))
        }
    }
}
