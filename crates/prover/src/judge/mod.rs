//! What must hold: at every moment, and at rest.
//!
//! Each question is asked of the witness' tables and of the chronicle of the market, and never of the
//! replicator's code. An accusation names the promise and shows both sides.

mod equality;
mod moments;
mod requests;

use spark_simulator::Resource;

use crate::{Error, chronicle::Chronicle, report::Figures, settings::TOKEN, stage::Stage};

pub(crate) const REST: &str = "a healed feed comes to rest";
pub(crate) const STAYS_UP: &str = "the process stays up, and ends in order when asked";
pub(crate) const EQUAL: &str = "at rest every row equals the feed's";
pub(crate) const NOT_PURGED: &str = "no living record is purged";
pub(crate) const CLAIMS: &str = "no clock claims more than is true";
pub(crate) const FORWARD: &str = "an older copy never replaces a newer one";
pub(crate) const NO_EMPTY_WRITES: &str = "equal content is not written";
pub(crate) const ONE_WRITER: &str = "only the holder of the lease writes";
pub(crate) const SUCCESSION: &str = "another instance takes over in time";
pub(crate) const COMPLETE: &str = "only a complete key list is believed";
pub(crate) const BUDGET: &str = "the budget is never exceeded";
pub(crate) const ORIGIN: &str = "the token goes to its own origin only";
pub(crate) const NO_SECRET: &str = "the token is never shown";
pub(crate) const NO_PANIC: &str = "no part of the program panics";

/// A promise that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Accusation {
    pub(crate) promise: &'static str,
    pub(crate) what: String,
}

/// The most that is shown of one kind: the first ones tell it.
const SHOWN: usize = 5;

/// Asks everything, once the stage is at rest.
pub(crate) async fn judge(
    stage: &Stage,
    chronicle: &Chronicle,
    figures: &mut Figures,
) -> Result<Vec<Accusation>, Error> {
    let mut connection = stage.connect().await?;
    let mut found = Vec::new();
    for (promise, mut all) in [
        (EQUAL, equality::differences(stage, &mut connection, figures).await?),
        (NOT_PURGED, moments::wrong_purges(&mut connection, chronicle, figures).await?),
        (CLAIMS, moments::false_claims(&mut connection, chronicle, stage, figures).await?),
        (FORWARD, moments::steps_back(&mut connection, chronicle).await?),
        (NO_EMPTY_WRITES, moments::empty_writes(&mut connection).await?),
        (ONE_WRITER, moments::strangers(&mut connection, figures).await?),
        (COMPLETE, moments::short_lists(&mut connection, chronicle, stage, figures).await?),
        (BUDGET, requests::too_many(stage, figures)),
        (ORIGIN, requests::elsewhere(stage)),
        (NO_SECRET, said(stage, TOKEN)),
        (NO_PANIC, said(stage, "panicked at")),
    ] {
        let more = all.len().saturating_sub(SHOWN);
        all.truncate(SHOWN);
        if more > 0 {
            all.push(format!("and {more} more"));
        }
        found.extend(all.into_iter().map(|what| Accusation { promise, what }));
    }
    Ok(found)
}

/// Lines of logs and commands that have this in them.
fn said(stage: &Stage, part: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in stage.said() {
        let lines = text.lines().filter(|line| line.contains(part));
        found.extend(lines.map(|line| format!("{name}: {}", line.replace(TOKEN, "<the token>"))));
    }
    found
}

/// The table of a resource.
pub(crate) fn table(resource: Resource) -> &'static str {
    match resource {
        Resource::Property => "property",
        Resource::Member => "member",
        Resource::Office => "office",
        Resource::Teams => "team",
        Resource::OpenHouse => "open_house",
        Resource::Lookup => "lookup",
    }
}

/// The resource of a name or of a table.
pub(crate) fn resource_of(name: &str) -> Option<Resource> {
    Resource::ALL.into_iter().find(|resource| resource.as_str() == name || table(*resource) == name)
}
