use std::collections::BTreeSet;

use super::*;
use crate::{Record, Resource, Shape, record};

const WINDOW: TimeDelta = TimeDelta::minutes(20);

fn at(minutes: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
}

/// The answer for a listing whose photos changed at a minute: `media` is the expansion as served.
fn answer(photos_changed: i64, count: u32, media: &str) -> String {
    format!(
        r#"{{"ListingKey":"1","ModificationTimestamp":"{0}","PhotosChangeTimestamp":"{0}","PhotosCount":{count}{media}}}"#,
        at(photos_changed).format("%Y-%m-%dT%H:%M:%SZ")
    )
}

fn photos(count: usize) -> String {
    let members: Vec<String> =
        (0..count).map(|n| format!(r#"{{"MediaKey":"m{n}","MediaCategory":"Photo"}}"#)).collect();
    format!(r#","Media":[{}]"#, members.join(","))
}

fn read(json: &str) -> Record<'_> {
    record::read(json, &Shape::new(Resource::Property, &[], BTreeSet::new())).unwrap()
}

/// Known before: wanted for the state of one answer, fetched for that of another.
fn known(wanted: Option<&str>, fetched: Option<&str>, tries: i32) -> Known {
    let state = |json: &str| {
        let fingerprint = read(json).fingerprint;
        (fingerprint.text, fingerprint.newest)
    };
    Known { wanted: wanted.map(state), fetched: fetched.map(state), tries, parent: None }
}

fn judged(known: &Known, json: &str, now: i64) -> Verdict {
    let record = read(json);
    judge(known, &record.fingerprint, record.relation(Relation::Media), at(now), at(now), WINDOW)
}

#[test]
fn a_set_read_after_the_cache_window_is_settled() {
    let served = answer(0, 2, &photos(2));
    let verdict = judged(&known(Some(&served), None, 0), &served, 30);
    assert_eq!((verdict.replace, verdict.due), (true, Due::AtRest));
    assert_eq!(verdict.fetched, Some(verdict.wanted));
}

#[test]
fn a_set_read_within_the_cache_window_is_read_once_more_and_not_a_third_time() {
    let served = answer(0, 2, &photos(2));
    let first = judged(&known(Some(&served), None, 0), &served, 5);
    assert_eq!((first.replace, first.due, first.tries), (true, Due::At(at(20)), 1));
    let second = judged(&known(Some(&served), Some(&served), first.tries), &served, 19);
    assert_eq!((second.replace, second.due), (true, Due::AtRest));
}

#[test]
fn the_first_set_of_a_parent_older_than_ours_is_read_again() {
    let stale = answer(0, 1, &photos(1));
    let behind = Known { parent: Some((at(30), at(0))), ..Known::default() };
    let first = judged(&behind, &stale, 40);
    assert_eq!((first.replace, first.due, first.tries), (true, Due::At(at(60)), 1));
    let level = Known { parent: Some((at(0), at(0))), ..Known::default() };
    assert_eq!(judged(&level, &stale, 40).due, Due::AtRest);
}

#[test]
fn a_stamp_is_as_old_as_the_feed_s_clock_says() {
    let served = answer(0, 2, &photos(2));
    let record = read(&served);
    // The feed's clock is half an hour behind: by ours the stamp has long settled.
    let set = record.relation(Relation::Media);
    let verdict = judge(&known(Some(&served), None, 0), &record.fingerprint, set, at(5), at(35), WINDOW);
    assert_eq!((verdict.replace, verdict.due), (true, Due::At(at(50))));
}

#[test]
fn a_stamp_from_the_future_does_not_put_the_second_read_off() {
    let served = answer(100_000, 2, &photos(2));
    assert_eq!(judged(&known(Some(&served), None, 0), &served, 5).due, Due::At(at(25)));
}

#[test]
fn an_answer_older_than_the_wanted_state_is_asked_for_again() {
    let (wanted, stale) = (answer(10, 2, ""), answer(0, 1, &photos(1)));
    let verdict = judged(&known(Some(&wanted), None, 0), &stale, 11);
    assert_eq!(verdict.due, Due::At(at(31)));
    assert_eq!(verdict.wanted, known(Some(&wanted), None, 0).wanted.unwrap());
    let after_ours = judged(&known(Some(&wanted), Some(&wanted), 1), &stale, 31);
    assert!(!after_ours.replace, "a set older than ours never replaces it");
}

#[test]
fn a_set_of_a_parent_that_truly_went_back_replaces_a_newer_one() {
    let (ours, went_back) = (answer(10, 3, ""), answer(0, 2, &photos(2)));
    let verdict = judged(&known(Some(&went_back), Some(&ours), 0), &went_back, 60);
    assert_eq!((verdict.replace, verdict.due), (true, Due::AtRest));
    assert_eq!(verdict.fetched, Some(verdict.wanted));
}

#[test]
fn a_state_that_was_taken_back_before_we_held_it_is_not_wanted_for_ever() {
    let (seen, taken_back) = (answer(10, 3, ""), answer(0, 2, &photos(2)));
    let level = |tries| Known { parent: Some((at(0), at(0))), ..known(Some(&seen), Some(&seen), tries) };
    let second = judged(&level(1), &taken_back, 40);
    assert_eq!((second.replace, second.due), (false, Due::AfterSweep));
    let third = judged(&level(second.tries), &taken_back, 80);
    assert_eq!((third.replace, third.due), (true, Due::AtRest));
    assert_eq!(third.fetched, Some(third.wanted));
    let ahead = Known { parent: Some((at(10), at(0))), ..level(second.tries) };
    let stale = judged(&ahead, &taken_back, 80);
    assert_eq!((stale.replace, stale.due), (false, Due::AfterSweep), "our copy is of the newer state");
}

#[test]
fn an_expansion_is_not_taken_for_absent_because_its_parent_did_not_answer() {
    let served = answer(0, 2, "");
    let mut known = known(Some(&served), None, 0);
    for _ in 0..5 {
        known.tries = unanswered(&known).tries;
    }
    let record = read(&served);
    let verdict = judge(&known, &record.fingerprint, None, at(60), at(60), WINDOW);
    assert_eq!((verdict.fetched, verdict.due), (None, Due::At(at(80))));
}

#[test]
fn a_photo_that_changes_between_the_two_reads_becomes_the_wanted_state() {
    let (listed, changed) = (answer(0, 1, ""), answer(30, 2, &photos(2)));
    let verdict = judged(&known(Some(&listed), None, 1), &changed, 60);
    assert_eq!((verdict.replace, verdict.due), (true, Due::AtRest));
    assert_eq!(Some(verdict.wanted), verdict.fetched);
}

#[test]
fn an_absent_expansion_keeps_ours_and_counts_as_absent_after_three_reads() {
    let bare = answer(0, 2, "");
    let before = known(Some(&bare), Some(&answer(-9, 2, "")), 0);
    let first = judged(&before, &bare, 60);
    assert_eq!((first.replace, first.due, &first.fetched), (false, Due::At(at(80)), &before.fetched));
    let third = judged(&Known { tries: 2, ..before }, &bare, 60);
    assert_eq!((third.replace, third.due), (false, Due::AtRest));
    assert_eq!(third.fetched, Some(third.wanted));
}

#[test]
fn an_empty_set_against_the_photo_count_never_applies() {
    for tries in 0..5 {
        let hollow = answer(0, 2, r#","Media":[]"#);
        let verdict = judged(&known(Some(&hollow), None, tries), &hollow, 60);
        assert!(!verdict.replace && verdict.due != Due::AtRest, "after {tries} reads: {verdict:?}");
    }
    let truly_empty = answer(0, 0, r#","Media":[]"#);
    assert!(judged(&known(Some(&truly_empty), None, 0), &truly_empty, 60).replace);
}

#[test]
fn a_part_of_a_set_never_applies() {
    let part = answer(0, 2, &format!(r#"{},"Media@odata.nextLink":"more""#, photos(1)));
    assert!(!judged(&known(Some(&part), None, 0), &part, 60).replace);
}

#[test]
fn what_came_without_some_of_its_parts_applies_and_is_read_as_often_as_a_set_that_never_comes() {
    let part = answer(0, 1, &format!(r#"{},"Media@Spark.Absent":["FloPlans"]"#, photos(1)));
    let first = judged(&known(Some(&part), None, 0), &part, 60);
    assert_eq!((first.replace, first.due), (true, Due::At(at(80))));
    let second = judged(&known(Some(&part), Some(&part), 1), &part, 80);
    assert_eq!((second.replace, second.due), (true, Due::At(at(100))));
    let third = judged(&known(Some(&part), Some(&part), 2), &part, 100);
    assert_eq!((third.replace, third.due), (true, Due::AtRest));
    let omitted = answer(0, 1, &format!(r#"{},"Media@Spark.Omitted":["FloPlans"]"#, photos(1)));
    assert_eq!(judged(&known(Some(&omitted), None, 0), &omitted, 60).due, Due::AtRest, "nobody asked for it");
}

#[test]
fn an_answer_with_an_older_parent_is_never_at_rest_though_its_own_stamp_is_newer() {
    // The last tour is gone: nothing speaks but the photos' stamp, which is old.
    let gone = answer(0, 1, "");
    let stale = answer(10, 1, &photos(1));
    let behind = Known { parent: Some((at(30), at(10))), ..known(Some(&gone), None, 0) };
    let verdict = judged(&behind, &stale, 60);
    assert_eq!((verdict.due, &verdict.wanted), (Due::At(at(80)), &behind.wanted.clone().unwrap()));
    // The parent is ours, and a moment old: what came with it may be from before.
    let fresh = Known { parent: Some((at(59), at(59))), ..known(Some(&gone), None, 0) };
    assert_eq!(judged(&fresh, &answer(0, 1, &photos(1)), 60).due, Due::At(at(79)));
}

#[test]
fn media_without_their_photos_are_not_held_against_the_count_of_photos() {
    for annotation in ["Absent", "Omitted"] {
        let part = answer(0, 5, &format!(r#","Media":[],"Media@Spark.{annotation}":["Photos"]"#));
        assert!(judged(&known(Some(&part), None, 0), &part, 60).replace, "{annotation}");
    }
}

#[test]
fn fewer_photos_than_counted_apply_and_are_read_once_more() {
    let fewer = answer(0, 3, &photos(2));
    let first = judged(&known(Some(&fewer), None, 0), &fewer, 60);
    assert_eq!((first.replace, first.due), (true, Due::At(at(80))));
    let second = judged(&known(Some(&fewer), Some(&fewer), 1), &fewer, 80);
    assert_eq!((second.replace, second.due), (true, Due::AtRest));
}

#[test]
fn a_parent_that_does_not_answer_waits_for_the_next_sweep() {
    let wanted = answer(0, 1, "");
    let before = known(Some(&wanted), None, 0);
    let verdict = unanswered(&before);
    assert_eq!((verdict.replace, verdict.due, verdict.fetched), (false, Due::AfterSweep, None));
}
