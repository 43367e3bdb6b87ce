//! What was true on the market, and when: the other side of every comparison.
//!
//! A deed takes place between two looks at the market, and so a version of a record has an earliest and a
//! latest moment at which it can have become the truth. Whoever accuses uses the one that excuses more.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use spark_simulator::{Resource, World};

/// Microseconds since 1970, by the machine's clock, which is Postgres' clock too.
pub(crate) type Moment = i64;

/// A record's state from some moment on.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) earliest: Moment,
    pub(crate) latest: Moment,
    /// Its `ModificationTimestamp` in seconds; none while the feed does not have it.
    pub(crate) stamp: Option<i64>,
    /// Whether it shows under a stamp of its own time, as the protocol has it.
    pub(crate) regular: bool,
}

/// All versions of all records, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    /// Records of which a cache may have shown an older version.
    stale: BTreeSet<(Resource, String)>,
    versions: BTreeMap<(Resource, String), Vec<Version>>,
    looked: Moment,
}

/// Now, by the machine's clock.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Chronicle {
    /// Notes what is true now. What differs from the last look has come about since then; the keys named
    /// changed in a way that no stamp tells.
    pub(crate) fn look(&mut self, world: &World, irregular: &BTreeSet<(Resource, String)>) {
        let (earliest, mut seen) = (self.looked, BTreeSet::new());
        let mut news = Vec::new();
        for resource in Resource::ALL {
            for (key, stamp) in world.stamps(resource) {
                let id = (resource, key);
                let known = self.versions.get(&id).and_then(|versions| versions.last());
                if known.is_none_or(|known| known.stamp != Some(stamp)) || irregular.contains(&id) {
                    news.push((id.clone(), Some(stamp)));
                }
                seen.insert(id);
            }
        }
        let gone = self.versions.iter().filter(|(id, versions)| {
            !seen.contains(*id) && versions.last().is_some_and(|last| last.stamp.is_some())
        });
        news.extend(gone.map(|(id, _)| (id.clone(), None)));
        let latest = now();
        for (id, stamp) in news {
            let regular = !irregular.contains(&id);
            let version = Version { earliest, latest, stamp, regular };
            self.versions.entry(id).or_default().push(version);
        }
        self.looked = latest;
    }

    /// Notes that a cache shows an older version of a record for a while.
    pub(crate) fn hide(&mut self, resource: Resource, key: &str) {
        self.stale.insert((resource, key.to_owned()));
    }

    /// Whether a cache has ever shown an older version of a record, but for what the simulator does by chance.
    pub(crate) fn was_hidden(&self, resource: Resource, key: &str) -> bool {
        self.stale.contains(&(resource, key.to_owned()))
    }

    /// The versions of a record; none if there never was one.
    pub(crate) fn of(&self, resource: Resource, key: &str) -> &[Version] {
        self.versions.get(&(resource, key.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Every record that there ever was.
    pub(crate) fn records(&self, resource: Resource) -> impl Iterator<Item = (&str, &[Version])> {
        let all = self.versions.iter().filter(move |((of, _), _)| *of == resource);
        all.map(|((_, key), versions)| (key.as_str(), versions.as_slice()))
    }
}

/// Whether a record was certainly there all the time from one moment to another.
pub(crate) fn present_throughout(versions: &[Version], from: Moment, to: Moment) -> bool {
    let Some(first) = versions.iter().rposition(|version| version.latest <= from) else { return false };
    versions[first..]
        .iter()
        .take_while(|version| version.earliest <= to)
        .all(|version| version.stamp.is_some())
}

/// Whether a record that came some time, and before the end, was certainly there ever since, or since the
/// beginning: what is not yet there cannot be missed.
pub(crate) fn present_since_it_came(versions: &[Version], from: Moment, to: Moment) -> bool {
    let came = versions.iter().find(|version| version.stamp.is_some());
    came.is_some_and(|came| came.latest <= to && present_throughout(versions, from.max(came.latest), to))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use spark_simulator::{Settings, Simulator};

    use super::*;

    fn version(at: Moment, stamp: Option<i64>) -> Version {
        Version { earliest: at - 10, latest: at, stamp, regular: true }
    }

    #[test]
    fn a_record_that_may_have_been_away_for_a_moment_is_not_called_present() {
        let versions = [version(100, Some(1)), version(200, None), version(300, Some(1))];
        assert!(present_throughout(&versions, 100, 189));
        assert!(!present_throughout(&versions, 100, 190), "it may have left at 190");
        assert!(!present_throughout(&versions, 299, 400), "it may have come back at 300");
        assert!(present_throughout(&versions, 300, 400));
        assert!(!present_throughout(&versions, 50, 150), "it was not there at 50");
        assert!(present_since_it_came(&versions, 50, 150), "it was there ever since it came");
        assert!(!present_since_it_came(&versions, 50, 90), "it may not have come yet");
        assert!(!present_since_it_came(&versions, 150, 400), "it had left");
    }

    #[tokio::test]
    async fn what_the_clock_ends_and_brings_back_is_noted_when_it_is_looked_at() {
        let simulator = Simulator::start(Settings { listings: 3, ..Settings::default() }).await.unwrap();
        let (world, clock) = (simulator.world(), simulator.clock());
        let listing = &world.keys(Resource::Property)[0];
        let began = clock.now();
        let (from, to) = (began.timestamp(), began.timestamp() + 60);
        let key = world.open_house_add(listing, from, to);
        let mut chronicle = Chronicle::default();
        for seconds in [0, 90, 30, 90] {
            clock.set(began + TimeDelta::seconds(seconds));
            chronicle.look(world, &BTreeSet::new());
        }
        let versions = chronicle.of(Resource::OpenHouse, &key);
        let there: Vec<bool> = versions.iter().map(|version| version.stamp.is_some()).collect();
        assert_eq!(there, [true, false, true, false]);
        assert!(
            versions.is_sorted_by(|one, next| one.latest == next.earliest),
            "each look begins where the last one ended"
        );
        assert!(!present_throughout(versions, versions[2].latest, now()), "it ended while nobody looked");
    }
}
