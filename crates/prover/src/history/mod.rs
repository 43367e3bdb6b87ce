//! A history: what happens on a market, and what goes wrong around it.
//!
//! It follows from its seed alone and is drawn step by step, so the first n steps of a longer one are the
//! history of n steps: that is what a failure is shortened by.

mod draw;

use std::time::Duration;

use spark_simulator::{CommitTrouble, Fault, Resource, Weather};

use crate::settings::Climate;

/// One thing that happens, and the time that passes before it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) after: Duration,
    pub(crate) deed: Deed,
}

/// What happens. A draw picks one of the records that are there.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Market(MarketDeed),
    Feed(FeedDeed),
    Postgres(PostgresDeed),
    Process(ProcessDeed),
    Operator(OperatorDeed),
}

/// On the market, all of it lawful.
#[derive(Debug, Clone)]
pub(crate) enum MarketDeed {
    /// So many moves of an ordinary day.
    Moves(usize),
    /// Every record of a resource gets a new stamp and no new content.
    Restamp(Resource),
    NewField(u64),
    HiddenField(u64),
    VanishedField(u64),
    Rooms(u64),
    LookupValue,
    LookupGone(u64),
    Withdraw(Resource, Vec<u64>),
    List(usize),
    /// Out of what the key's role may see, or back into it under the old stamp.
    LeaveRole(Resource, u64),
    EnterRole,
    /// A change under a stamp of a while ago.
    SurfaceLate(u64, Duration),
    /// A new listing that stays invisible until it is released under its old stamp.
    HoldBack,
    Release,
    /// Older content under an older stamp.
    Rewind(u64),
    /// Changes are seen by the program, for which they wait this long, and then a stale cache shows the state
    /// before them for a while.
    Flicker(Flicker, u64, Duration),
}

/// What flickers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Flicker {
    NewListing,
    Edit,
    Photos,
}

/// On the feed's side of the wire, and on the wire.
#[derive(Debug, Clone)]
pub(crate) enum FeedDeed {
    Fault(Fault),
    /// One that lies in wait for the key list of a resource; a person orders a sweep, which meets it.
    KeyListFault(Resource, Fault),
    /// A link to, or a redirect to, an origin that must never be asked.
    ForeignLink(Resource),
    Redirect(Resource),
    Weather(Weather, Duration),
    Cut,
    CutAfter(u32),
    /// The token is refused for this long, or until all is healed.
    Refuse(Option<Duration>),
    /// A new token is issued and written into the token's file.
    NewToken(u64),
    StepClock {
        forward: bool,
    },
}

/// At Postgres, and on the way to it.
#[derive(Debug, Clone)]
pub(crate) enum PostgresDeed {
    Restart,
    Kill,
    Away(Duration),
    /// Every connection that the server has to give is taken.
    Full(Duration),
    Lock(&'static str, Duration),
    /// Sessions of the program are ended by an administrator.
    Terminate,
    AtCommit(usize, CommitTrouble),
    Weather(usize, Weather, Duration),
    Cut(usize),
    /// Nothing passes between the leader and Postgres until its lease is over, and then all that was under way.
    CutOffLeader(Duration),
}

/// To an instance.
#[derive(Debug, Clone)]
pub(crate) enum ProcessDeed {
    Kill(usize),
    Terminate(usize),
    /// The leader is stopped for longer than its lease lives, and woken again.
    FreezeLeader(Duration),
    /// Killed and started so that it kills itself at this point, passed for the nth time.
    FailAt {
        instance: usize,
        point: u64,
        pass: u32,
    },
}

/// By a person beside the daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OperatorDeed {
    Resync,
    Lookback,
    Sweep(Resource),
    Pause(Duration),
}

/// All that a seed stands for.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) seed: u64,
    pub(crate) climate: Climate,
    pub(crate) steps: Vec<Step>,
}

impl History {
    /// Whether the feed's clock is stepped in it.
    pub(crate) fn steps_clock(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.deed, Deed::Feed(FeedDeed::StepClock { .. })))
    }
}

impl Deed {
    /// The kind, for the count of what was tried.
    pub(crate) fn kind(&self) -> String {
        let (room, whole) = match self {
            Self::Market(deed) => ("market", format!("{deed:?}")),
            Self::Feed(FeedDeed::Fault(fault) | FeedDeed::KeyListFault(_, fault)) => {
                ("feed", fault.name().to_owned())
            }
            Self::Feed(deed) => ("feed", format!("{deed:?}")),
            Self::Postgres(deed) => ("postgres", format!("{deed:?}")),
            Self::Process(deed) => ("process", format!("{deed:?}")),
            Self::Operator(deed) => ("operator", format!("{deed:?}")),
        };
        let end = whole.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(whole.len());
        format!("{room}.{}", &whole[..end])
    }
}
