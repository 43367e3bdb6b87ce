//! Relations: what is due, and sets that are replaced whole or not at all (P5).

use std::collections::BTreeSet;

use spark_domain::plan::media::Due;
use spark_domain::record::{self, Record, RelationSet};
use spark_domain::{Checkpoint, Job, Relation, Resource, Shape, Timestamp};
use spark_store::{DueRelation, PageCommit, RelationAnswer, RelationCommit, RelationOutcome, RelationState};

use crate::fixtures::{Bench, key, listing_with};

const PLACES: &str = "select coalesce(string_agg(key || ctid::text || xmin::text || xmax::text, ',' order by key), '') from mls.media";

fn photos(keys: &[(&str, u32)]) -> String {
    let members: Vec<String> =
        keys.iter().map(|(key, order)| format!(r#"{{"MediaKey":"{key}","Order":{order}}}"#)).collect();
    format!(r#""Media":[{}]"#, members.join(","))
}

/// A listing with a stamp and a count of photos.
fn stamped(minute: u32, photos: u32, more: &str) -> String {
    listing_with(
        "a",
        minute,
        &format!(r#""PhotosChangeTimestamp":"2026-03-01T12:{minute:02}:00Z","PhotosCount":{photos}{more}"#),
    )
}

async fn due(bench: &Bench) -> Vec<DueRelation> {
    let due = bench
        .store()
        .due_relations(bench.lease.feed(), Resource::Property, &Relation::ALL, 10)
        .await
        .unwrap();
    due.into_iter().flat_map(|each| each.relations).collect()
}

fn without_rooms(page: &mut PageCommit<'_>) {
    page.relations = &[Relation::Media];
}

/// An answer for `a` that carries this record's media and is at rest for its state.
async fn answer(
    bench: &Bench,
    text: &str,
    asked_for: Option<&str>,
    due: Due,
    change: impl FnOnce(&mut RelationSet<'_>),
) -> RelationOutcome {
    let shape = Shape::new(Resource::Property, &[], BTreeSet::new());
    let record: Record<'_> = record::read(text, &shape).unwrap();
    let mut set = record.relation(Relation::Media).cloned();
    if let Some(set) = &mut set {
        change(set);
    }
    let fingerprint = &record.fingerprint;
    let state = RelationState {
        asked_for,
        wanted: &fingerprint.text,
        wanted_newest: fingerprint.newest,
        fetched: Some(&fingerprint.text),
        fetched_newest: fingerprint.newest,
        due,
        tries: 0,
    };
    let answers =
        [RelationAnswer { key: record.key.clone(), relation: Relation::Media, set: set.as_ref(), state }];
    let commit = RelationCommit {
        run: bench.run,
        resource: Resource::Property,
        job: Job::MediaRefresh,
        answers: &answers,
        checkpoint: Some(&Checkpoint::default()),
    };
    bench.store().commit_relations(&bench.lease, &commit).await.unwrap()
}

async fn media(bench: &Bench) -> Vec<String> {
    let members = bench
        .store()
        .relation_members(bench.lease.feed(), Resource::Property, &key("a"), Relation::Media)
        .await
        .unwrap();
    members.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn a_changed_stamp_makes_media_due_once_and_an_answer_puts_them_at_rest() {
    let bench = Bench::new().await;
    bench.commit(Resource::Property, &[&stamped(1, 2, "")], without_rooms).await;
    let first = due(&bench).await;
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].relation, first[0].fetched.clone()), (Relation::Media, None));

    let text = stamped(1, 2, &format!(",{}", photos(&[("m1", 1), ("m2", 2)])));
    let outcome = answer(&bench, &text, Some(&first[0].wanted), Due::AtRest, |_| {}).await;
    assert_eq!((outcome.sets_replaced, outcome.members_written), (1, 2));
    assert_eq!((due(&bench).await, media(&bench).await), (vec![], vec!["m1".to_owned(), "m2".to_owned()]));

    // A price moves, the stamps stay: nothing is due.
    bench.commit(Resource::Property, &[&stamped(1, 2, r#","ListPrice":7"#)], without_rooms).await;
    assert_eq!(due(&bench).await, []);
    bench.commit(Resource::Property, &[&stamped(2, 2, r#","ListPrice":7"#)], without_rooms).await;
    assert_eq!(due(&bench).await.len(), 1);
    let queue = bench.store().relation_queue(bench.lease.feed()).await.unwrap();
    let next = bench
        .store()
        .next_due_relation(bench.lease.feed(), Resource::Property, &Relation::ALL)
        .await
        .unwrap();
    assert_eq!((queue.due, queue.oldest_due_at), (1, next));
}

#[tokio::test]
async fn members_of_parts_that_a_set_says_nothing_of_stay_as_they_are() {
    let bench = Bench::new().await;
    bench.commit(Resource::Property, &[&stamped(1, 1, "")], without_rooms).await;
    let wanted = due(&bench).await.remove(0).wanted;
    let set = |members: &[(&str, &str)], more: &str| {
        let members: Vec<String> = members
            .iter()
            .map(|(key, category)| format!(r#"{{"MediaKey":"{key}","MediaCategory":"{category}"}}"#))
            .collect();
        stamped(1, 1, &format!(r#","Media":[{}]{more}"#, members.join(",")))
    };
    let all = [("d1", "Document"), ("f1", "Floor Plan"), ("p1", "Photo"), ("t1", "Branded Virtual Tour")];
    answer(&bench, &set(&all, ""), Some(&wanted), Due::AtRest, |_| {}).await;

    let silent = r#","Media@Spark.Absent":["VirtualTours"],"Media@Spark.Omitted":["FloPlans"]"#;
    let outcome = answer(&bench, &set(&[("p2", "Photo")], silent), Some(&wanted), Due::AtRest, |_| {}).await;
    assert_eq!((outcome.members_written, outcome.members_deleted), (1, 2));
    assert_eq!(media(&bench).await, ["f1", "p2", "t1"]);
    answer(&bench, &set(&[("p2", "Photo")], ""), Some(&wanted), Due::AtRest, |_| {}).await;
    assert_eq!(media(&bench).await, ["p2"]);
}

#[tokio::test]
async fn only_members_that_differ_are_written() {
    let bench = Bench::new().await;
    bench.commit(Resource::Property, &[&stamped(1, 3, "")], without_rooms).await;
    let wanted = due(&bench).await.remove(0).wanted;
    let text = stamped(1, 3, &format!(",{}", photos(&[("m1", 1), ("m2", 2), ("m3", 3)])));
    answer(&bench, &text, Some(&wanted), Due::AtRest, |_| {}).await;
    let before: String = bench.database.ask(PLACES).await;

    let same = answer(&bench, &text, Some(&wanted), Due::AtRest, |_| {}).await;
    assert_eq!((same.sets_unchanged, same.sets_replaced), (1, 0));
    assert_eq!(
        bench.database.ask::<String>(PLACES).await,
        before,
        "an unchanged member was locked or written"
    );

    let other = stamped(1, 3, &format!(",{}", photos(&[("m1", 1), ("m2", 9), ("m4", 4)])));
    let outcome = answer(&bench, &other, Some(&wanted), Due::AtRest, |_| {}).await;
    assert_eq!((outcome.members_written, outcome.members_deleted), (2, 1));
    let after: String = bench.database.ask(PLACES).await;
    let place = |places: &str| places.split(',').find(|place| place.starts_with("m1")).map(str::to_owned);
    assert_eq!(place(&before), place(&after), "the member that stayed as it was, was written");
    assert_eq!(media(&bench).await, ["m1", "m2", "m4"]);
}

#[tokio::test]
async fn an_absent_expansion_keeps_the_set_and_is_due() {
    let bench = Bench::new().await;
    let with = stamped(1, 1, &format!(",{}", photos(&[("m1", 1)])));
    bench.expanded(&[&with]).await;
    assert_eq!(media(&bench).await, ["m1"]);
    bench.expanded(&[&stamped(2, 1, "")]).await;
    assert_eq!(media(&bench).await, ["m1"]);
    let relations: Vec<Relation> = due(&bench).await.into_iter().map(|each| each.relation).collect();
    assert_eq!(relations, [Relation::Media, Relation::Room]);
}

#[tokio::test]
async fn a_set_that_comes_along_replaces_the_old_one_and_is_at_rest() {
    let bench = Bench::new().await;
    bench.expanded(&[&stamped(1, 1, &format!(r#",{},"Room":[]"#, photos(&[("m1", 1)])))]).await;
    bench.expanded(&[&stamped(2, 1, &format!(r#",{},"Room":[]"#, photos(&[("m2", 1)])))]).await;
    assert_eq!((media(&bench).await, due(&bench).await), (vec!["m2".to_owned()], vec![]));
    // Photos do go, once the count says so.
    bench.expanded(&[&stamped(3, 0, r#","Media":[],"Room":[]"#)]).await;
    assert_eq!(media(&bench).await, Vec::<String>::new());
}

#[tokio::test]
async fn no_media_though_there_are_photos_never_applies_and_is_asked_for_again() {
    let bench = Bench::new().await;
    bench.expanded(&[&stamped(1, 1, &format!(r#",{},"Room":[]"#, photos(&[("m1", 1)])))]).await;
    bench.expanded(&[&stamped(2, 4, r#","Media":[],"Room":[]"#)]).await;
    assert_eq!(media(&bench).await, ["m1"]);
    let later: bool = bench
        .database
        .ask("select due_at > clock_timestamp() + interval '19 minutes' from replicator.relation_set where relation = 'Media'")
        .await;
    assert!(later);
}

#[tokio::test]
async fn a_part_of_a_set_never_applies_and_is_never_at_rest() {
    let bench = Bench::new().await;
    bench.expanded(&[&stamped(1, 1, &format!(r#",{},"Room":[]"#, photos(&[("m1", 1)])))]).await;
    let part = stamped(2, 9, &format!(r#",{},"Media@odata.nextLink":"x","Room":[]"#, photos(&[("m7", 7)])));
    bench.expanded(&[&part]).await;
    assert_eq!(media(&bench).await, ["m1"]);

    let wanted: String =
        bench.database.ask("select wanted from replicator.relation_set where relation = 'Media'").await;
    let outcome = answer(&bench, &part, Some(&wanted), Due::AtRest, |_| {}).await;
    assert_eq!((outcome.sets_replaced, media(&bench).await), (0, vec!["m1".to_owned()]));
    let state = due(&bench).await;
    assert_eq!(state.len(), 1);
    assert_ne!(state[0].fetched.as_deref(), Some(wanted.as_str()));
}

#[tokio::test]
async fn a_parent_that_moved_on_stays_due_when_an_older_answer_comes() {
    let bench = Bench::new().await;
    bench.commit(Resource::Property, &[&stamped(1, 1, "")], without_rooms).await;
    let asked_for = due(&bench).await.remove(0).wanted;
    // While the feed is asked, a newer copy of the parent comes in.
    bench.commit(Resource::Property, &[&stamped(5, 2, "")], without_rooms).await;
    let text = stamped(1, 1, &format!(",{}", photos(&[("m1", 1)])));
    answer(&bench, &text, Some(&asked_for), Due::AtRest, |_| {}).await;
    let state = due(&bench).await;
    assert_eq!(state.len(), 1);
    assert!(state[0].wanted.contains("12:05"), "{}", state[0].wanted);
    assert_eq!(state[0].fetched.as_deref(), Some(asked_for.as_str()));
    assert_eq!(media(&bench).await, ["m1"]);

    // An answer that is as new as what is wanted by now does settle it.
    let text = stamped(5, 2, &format!(",{}", photos(&[("m1", 1), ("m2", 2)])));
    answer(&bench, &text, Some(&asked_for), Due::AtRest, |_| {}).await;
    assert_eq!(due(&bench).await, []);
}

#[tokio::test]
async fn an_answer_that_a_newer_set_overtook_does_not_replace_it() {
    let bench = Bench::new().await;
    bench.commit(Resource::Property, &[&stamped(1, 1, "")], without_rooms).await;
    let asked_for = due(&bench).await.remove(0).wanted;
    // While the feed is asked, a page brings a newer parent with its media.
    bench.expanded(&[&stamped(5, 1, &format!(r#",{},"Room":[]"#, photos(&[("new", 1)])))]).await;
    let text = stamped(1, 1, &format!(",{}", photos(&[("old", 1)])));
    answer(&bench, &text, Some(&asked_for), Due::AtRest, |_| {}).await;
    assert_eq!((media(&bench).await, due(&bench).await), (vec!["new".to_owned()], vec![]));
}

#[tokio::test]
async fn a_set_of_an_older_copy_does_not_replace_a_newer_set() {
    let bench = Bench::new().await;
    bench.commit(Resource::Property, &[&stamped(1, 1, "")], without_rooms).await;
    let asked_for = due(&bench).await.remove(0).wanted;
    let newer = stamped(5, 2, &format!(",{}", photos(&[("m1", 1), ("m2", 2)])));
    answer(&bench, &newer, Some(&asked_for), Due::AtRest, |_| {}).await;
    // The parent itself is still the old one, and a stale page repeats it with its old set.
    bench.expanded(&[&stamped(1, 1, &format!(",{}", photos(&[("m1", 1)])))]).await;
    assert_eq!(media(&bench).await, ["m1", "m2"]);
}

#[tokio::test]
async fn an_answer_for_a_purged_parent_writes_nothing() {
    let bench = Bench::new().await;
    let text = stamped(1, 1, &format!(",{}", photos(&[("m1", 1)])));
    let outcome = answer(&bench, &text, None, Due::AtRest, |_| {}).await;
    assert_eq!(outcome, RelationOutcome::default());
    let rows: i64 = bench
        .database
        .ask("select (select count(*) from mls.media) + (select count(*) from replicator.relation_set)")
        .await;
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_missing_parent_waits_for_the_end_of_a_sweep() {
    let bench = Bench::new().await;
    bench.commit(Resource::Property, &[&stamped(1, 1, "")], without_rooms).await;
    let wanted = due(&bench).await.remove(0).wanted;
    answer(&bench, &stamped(1, 1, ""), Some(&wanted), Due::AfterSweep, |_| {}).await;
    assert_eq!(due(&bench).await, []);
    bench.store().wake_relations_after_sweep(&bench.lease, Resource::Property).await.unwrap();
    assert_eq!(due(&bench).await.len(), 1);
    let later: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
    answer(&bench, &stamped(1, 1, ""), Some(&wanted), Due::At(later), |_| {}).await;
    let next = bench
        .store()
        .next_due_relation(bench.lease.feed(), Resource::Property, &Relation::ALL)
        .await
        .unwrap();
    assert_eq!((due(&bench).await, next), (vec![], Some(later)));
}

#[tokio::test]
async fn a_first_download_leaves_relations_to_the_walk_over_our_keys() {
    let bench = Bench::new().await;
    let texts: Vec<String> =
        ["a", "b", "c"].iter().map(|key| listing_with(key, 1, r#""PhotosCount":0"#)).collect();
    let page: Vec<&str> = texts.iter().map(String::as_str).collect();
    bench.commit(Resource::Property, &page, |page| page.mark_relations = false).await;
    let feed = bench.lease.feed();
    let both = [Relation::Media, Relation::Room];
    let unfetched = bench.store().unfetched_keys(feed, Resource::Property, &both, None, 2).await.unwrap();
    assert_eq!(lacking(&unfetched), [("a", both.as_slice()), ("b", both.as_slice())]);
    assert!(unfetched[0].modified_at.is_some(), "how new ours is, is not told");
    let rest = bench
        .store()
        .unfetched_keys(feed, Resource::Property, &both, Some(&unfetched[1].key), 2)
        .await
        .unwrap();
    assert_eq!(lacking(&rest), [("c", both.as_slice())]);
    let text = listing_with("a", 1, &format!(r#""PhotosCount":0,{}"#, photos(&[])));
    answer(&bench, &text, None, Due::AtRest, |_| {}).await;
    let media =
        bench.store().unfetched_keys(feed, Resource::Property, &[Relation::Media], None, 9).await.unwrap();
    let alone = [Relation::Media];
    assert_eq!(lacking(&media), [("b", alone.as_slice()), ("c", alone.as_slice())]);
    let either = bench.store().unfetched_keys(feed, Resource::Property, &both, None, 9).await.unwrap();
    assert_eq!(lacking(&either)[0].1, [Relation::Room], "only what is missing is asked for");
}

fn lacking(unfetched: &[spark_store::UnfetchedRelations]) -> Vec<(&str, &[Relation])> {
    unfetched.iter().map(|each| (each.key.as_str(), each.relations.as_slice())).collect()
}

#[tokio::test]
async fn a_set_with_a_poisoned_member_is_quarantined_whole_and_the_others_land() {
    let bench = Bench::new().await;
    bench.expanded(&[&stamped(1, 1, &format!(r#",{},"Room":[]"#, photos(&[("m1", 1)])))]).await;
    let poisoned =
        stamped(2, 2, r#","Media":[{"MediaKey":"m1","Order":2},{"MediaKey":"m2","Odd":1e200000}],"Room":[]"#);
    let fine = listing_with("b", 1, &format!(r#"{},"Room":[]"#, photos(&[("m9", 1)])));
    let outcome = bench.expanded(&[&poisoned, &fine]).await;
    assert_eq!((outcome.inserted, outcome.updated), (1, 1));
    let members: String = bench
        .database
        .ask("select string_agg(parent_key || ' ' || key || ' ' || \"order\", ',' order by 1) from mls.media")
        .await;
    assert_eq!(members, "a m1 1,b m9 1");
    let away = bench.store().quarantine(bench.lease.feed(), 9).await.unwrap();
    assert_eq!((away.len(), &away[0].key, away[0].relation), (1, &Some(key("a")), Some(Relation::Media)));
    bench.expanded(&[&stamped(3, 1, &format!(r#",{},"Room":[]"#, photos(&[("m1", 5)])))]).await;
    assert_eq!(bench.store().quarantine(bench.lease.feed(), 9).await.unwrap(), []);
}
