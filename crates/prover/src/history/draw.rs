//! Draws a history from its seed.

use std::time::Duration;

use fastrand::Rng;
use spark_simulator::{CommitTrouble, Dialect, Fault, InTrouble, Resource, Trouble, Weather};

use super::{Deed, FeedDeed, Flicker, History, MarketDeed, OperatorDeed, PostgresDeed, ProcessDeed, Step};
use crate::settings::{CLOCK_SKEW, Climate, LEASE_LIFE, Settings};

/// What `in (...)` and collections are asked of.
const COLLECTIONS: [Resource; 5] =
    [Resource::Property, Resource::Member, Resource::Office, Resource::Teams, Resource::OpenHouse];

/// What sweeps are about: where a list is long enough to be cut.
const MOSTLY_LISTINGS: [Resource; 6] = [
    Resource::Property,
    Resource::Property,
    Resource::Member,
    Resource::Office,
    Resource::Teams,
    Resource::OpenHouse,
];

impl History {
    /// The history of a seed, as far as its first steps.
    pub(crate) fn draw(seed: u64, steps: usize, settings: &Settings) -> Self {
        let mut chance = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED);
        let climate = climate(&mut chance, settings);
        let with_failpoints = settings.failpoints.is_some();
        let steps = (0..steps)
            .map(|_| Step {
                after: milliseconds(&mut chance, 0, 450),
                deed: deed(&mut chance, &climate, with_failpoints),
            })
            .collect();
        Self { seed, climate, steps }
    }
}

fn climate(chance: &mut Rng, settings: &Settings) -> Climate {
    let skew = CLOCK_SKEW.as_secs().cast_signed();
    Climate {
        dialect: settings.dialect,
        listings: chance.usize(15..120),
        page_size: chance.usize(5..45),
        update_every_seconds: pick(chance, &[1, 3]),
        requests_per_5_minutes: pick(chance, &[12_000, 30_000, 90_000]),
        key_paging: chance.u32(..4) == 0 && settings.dialect == Dialect::Reso,
        sweep_timestamps: chance.u32(..4) == 0,
        stale_caches: chance.u32(..3) == 0,
        clock_skew_seconds: pick(chance, &[0, 0, 0, skew, -skew]),
        isolation: pick(chance, &["read committed", "read committed", "repeatable read", "serializable"]),
        // The larger of two draws: a lone instance has nobody to take its lease.
        instances: chance
            .usize(1..=settings.instances.max(1))
            .max(chance.usize(1..=settings.instances.max(1))),
        lease_life: pick(chance, &[LEASE_LIFE, LEASE_LIFE / 4]),
        settled: chance.u32(..3) > 0,
        // Drawn aside: every seed's steps stay those that they were.
        connections: pick(&mut chance.clone().fork(), &[2, 4, 10]),
    }
}

fn deed(chance: &mut Rng, climate: &Climate, with_failpoints: bool) -> Deed {
    let instance = chance.usize(..climate.instances);
    match chance.u32(..100) {
        0..52 => Deed::Market(market(chance)),
        52..81 => Deed::Feed(feed(chance, climate)),
        81..91 => Deed::Postgres(postgres(chance, climate, instance)),
        91..97 => Deed::Process(process(chance, climate, instance, with_failpoints)),
        _ => Deed::Operator(match chance.u32(..4) {
            0 => OperatorDeed::Resync,
            1 => OperatorDeed::Lookback,
            2 => OperatorDeed::Sweep(pick(chance, &MOSTLY_LISTINGS)),
            _ => OperatorDeed::Pause(milliseconds(chance, 200, 2_000)),
        }),
    }
}

fn market(chance: &mut Rng) -> MarketDeed {
    let draw = chance.u64(..);
    let resource = pick(chance, &COLLECTIONS);
    match chance.u32(..100) {
        0..40 => MarketDeed::Moves(chance.usize(1..8)),
        40..47 => MarketDeed::Restamp(resource),
        47..50 => MarketDeed::NewField(draw),
        50..53 => MarketDeed::HiddenField(draw),
        53..56 => MarketDeed::VanishedField(draw),
        56..60 => MarketDeed::Rooms(draw),
        60..62 => MarketDeed::LookupValue,
        62..64 => MarketDeed::LookupGone(draw),
        64..69 => MarketDeed::Withdraw(resource, (0..chance.usize(1..12)).map(|_| chance.u64(..)).collect()),
        69..72 => MarketDeed::List(chance.usize(1..25)),
        72..76 => MarketDeed::LeaveRole(resource, draw),
        76..79 => MarketDeed::EnterRole,
        79..82 => MarketDeed::SurfaceLate(draw, Duration::from_secs(chance.u64(5..7_200))),
        82..84 => MarketDeed::HoldBack,
        84..86 => MarketDeed::Release,
        86..88 => MarketDeed::Rewind(draw),
        _ => {
            let what =
                pick(chance, &[Flicker::NewListing, Flicker::NewListing, Flicker::Edit, Flicker::Photos]);
            let patience = match what {
                // No cache lies for longer about a set of photos than its window, counted from their stamp.
                Flicker::Photos => milliseconds(chance, 600, 2_000),
                Flicker::NewListing | Flicker::Edit => milliseconds(chance, 1_000, 6_000),
            };
            MarketDeed::Flicker(what, draw, patience)
        }
    }
}

fn feed(chance: &mut Rng, climate: &Climate) -> FeedDeed {
    match chance.u32(..100) {
        0..78 => fault(chance, climate.dialect),
        78..80 => FeedDeed::ForeignLink(pick(chance, &COLLECTIONS)),
        80..82 => FeedDeed::Redirect(pick(chance, &COLLECTIONS)),
        82..88 => FeedDeed::Weather(weather(chance), milliseconds(chance, 200, 3_000)),
        88..91 => FeedDeed::Cut,
        91..94 => FeedDeed::CutAfter(chance.u32(1..20_000)),
        94..96 => FeedDeed::Refuse(chance.bool().then(|| milliseconds(chance, 100, 2_000))),
        96..97 => FeedDeed::NewToken(chance.u64(..)),
        _ => FeedDeed::StepClock { forward: chance.bool() },
    }
}

fn fault(chance: &mut Rng, dialect: Dialect) -> FeedDeed {
    let resource = pick(chance, &COLLECTIONS);
    let trouble = trouble(chance);
    let (nth, times) = (chance.u64(1..4), chance.u64(1..4));
    let fault = Fault::new(trouble.clone()).nth(nth).times(times);
    FeedDeed::Fault(match trouble {
        // Nobody can tell that an update lacks something, or that a list does whose count lies as well. So
        // what leaves records out spares the updates, and counts lie to sweeps only.
        // To the native API an empty page is the end, as a missing link is to the other.
        Trouble::NoLink | Trouble::EmptyPage if trouble == Trouble::NoLink || dialect == Dialect::Spark => {
            let swept = pick(chance, &MOSTLY_LISTINGS);
            return FeedDeed::KeyListFault(swept, fault.on(swept.as_str()).unless("$filter"));
        }
        Trouble::LeavesOut(_) | Trouble::NoRecords | Trouble::CountOff(_) | Trouble::NoCount => {
            let swept = pick(chance, &MOSTLY_LISTINGS);
            let fault = fault.on(swept.as_str()).matching("$select").unless("$filter");
            return FeedDeed::KeyListFault(swept, fault);
        }
        // Listings have a count of photos that an empty set contradicts.
        Trouble::EmptyExpansion(_) => fault.on("Property"),
        // Left out three times in a row, a relation is taken to be none.
        Trouble::NoExpansion(_) => fault.times(1),
        _ if chance.u32(..4) == 0 => fault,
        _ => fault.on(resource.as_str()),
    })
}

fn trouble(chance: &mut Rng) -> Trouble {
    let after = chance.usize(1..9_000);
    match chance.u32(..46) {
        0 => Trouble::throttle(None),
        1 => Trouble::throttle(Some("1")),
        2 => Trouble::error(500, 500),
        3 => Trouble::error(502, 502),
        4 => Trouble::d(503, 1510),
        5 => Trouble::d(503, 1515),
        6 => Trouble::d(503, 1516),
        7 => Trouble::d(503, 1023),
        8 => Trouble::d(503, 1024),
        9 => Trouble::d(503, 1026),
        10 => Trouble::d(400, 1505),
        11 => Trouble::html(),
        12 => Trouble::empty(),
        13 => Trouble::CutShort { after },
        14 => Trouble::Truncate { after },
        15 => Trouble::Reset,
        16 => Trouble::ResetWithin { after },
        17 => Trouble::Stall(milliseconds(chance, 100, 3_000)),
        18 => Trouble::Drip { bytes: chance.usize(50..2_000), every: Duration::from_millis(20) },
        19 => Trouble::RepeatedLink,
        20 => Trouble::RelativeLink,
        21 | 38 | 39 => Trouble::NoLink,
        22 | 40..44 => Trouble::LeavesOut(chance.usize(1..10)),
        23 => Trouble::EmptyPage,
        24 => Trouble::ExpiredToken,
        25 => Trouble::CountOff(chance.i64(-40..40)),
        26 => Trouble::NoCount,
        27 => Trouble::In(pick(
            chance,
            &[InTrouble::Ignored, InTrouble::PageOfTen, InTrouble::Nothing, InTrouble::Refused],
        )),
        // Parts of it are expansions of their own natively.
        28 => Trouble::NoExpansion(pick(chance, &["Media", "Media", "Photos", "Videos", "Documents"])),
        29 => Trouble::EmptyExpansion("Media"),
        30 => Trouble::PartialExpansion("Media"),
        31 => Trouble::TooSlowAbove(chance.usize(2..30)),
        32 => Trouble::Reversed,
        33 => Trouble::Doubled,
        34 => Trouble::ShuffledMembers,
        35 => Trouble::IntegersAsFloats,
        36 => Trouble::OtherHost("https://other.example".to_owned()),
        // A list without a single key, under a count of none.
        _ => Trouble::NoRecords,
    }
}

fn postgres(chance: &mut Rng, climate: &Climate, instance: usize) -> PostgresDeed {
    match chance.u32(..100) {
        0..8 => PostgresDeed::Restart,
        8..16 => PostgresDeed::Kill,
        16..22 => PostgresDeed::Away(milliseconds(chance, 300, 4_000)),
        22..30 => PostgresDeed::Full(milliseconds(chance, 300, 3_000)),
        30..42 => {
            let table =
                pick(chance, &["mls.property", "mls.media", "replicator.checkpoint", "replicator.lease"]);
            PostgresDeed::Lock(table, milliseconds(chance, 200, 6_000))
        }
        42..50 => PostgresDeed::Terminate,
        50..80 => {
            let delay = milliseconds(chance, 50, 1_500);
            let troubles =
                [CommitTrouble::LostAfter, CommitTrouble::LostBefore, CommitTrouble::Delayed(delay)];
            PostgresDeed::AtCommit(instance, pick(chance, &troubles))
        }
        80..86 => PostgresDeed::CutOffLeader(beyond_the_lease(chance, climate)),
        86..94 => PostgresDeed::Weather(instance, weather(chance), milliseconds(chance, 200, 4_000)),
        _ => PostgresDeed::Cut(instance),
    }
}

fn process(chance: &mut Rng, climate: &Climate, instance: usize, with_failpoints: bool) -> ProcessDeed {
    match chance.u32(..100) {
        0..25 => ProcessDeed::Kill(instance),
        25..45 => ProcessDeed::Terminate(instance),
        45..70 => ProcessDeed::FreezeLeader(beyond_the_lease(chance, climate)),
        _ if with_failpoints => {
            ProcessDeed::FailAt { instance, point: chance.u64(..), pass: chance.u32(1..4) }
        }
        _ => ProcessDeed::Kill(instance),
    }
}

fn weather(chance: &mut Rng) -> Weather {
    match chance.u32(..4) {
        0 => Weather::Refusing,
        1 => Weather::Silent,
        2 => Weather::Slow(milliseconds(chance, 20, 400)),
        _ => Weather::Drip { bytes: chance.usize(20..500), every: Duration::from_millis(5) },
    }
}

/// Longer than a lease lives, and long enough for another instance to take it.
fn beyond_the_lease(chance: &mut Rng, climate: &Climate) -> Duration {
    climate.lease_life + milliseconds(chance, 500, 2_500)
}

fn milliseconds(chance: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(chance.u64(least..most))
}

fn pick<T: Clone>(chance: &mut Rng, choices: &[T]) -> T {
    choices[chance.usize(..choices.len())].clone()
}
