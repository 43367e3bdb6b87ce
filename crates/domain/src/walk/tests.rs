use proptest::prelude::*;

use super::*;

fn page(next: Option<&str>, count: Option<u64>) -> PageHead {
    PageHead { next: next.map(str::to_owned), count, top: 25, ..PageHead::default() }
}

fn begun() -> Walk {
    Walk::begin(Timestamp::default(), None, 25)
}

fn keys(names: &[&str]) -> Vec<RecordKey> {
    names.iter().filter_map(|name| RecordKey::new(name).ok()).collect()
}

fn step(walk: Walk, head: &PageHead, names: &[&str], paging: Paging) -> Result<Walk, WalkFailed> {
    let keys = keys(names);
    walk.arrived(head, &keys.iter().collect::<Vec<_>>(), paging)
}

#[test]
fn only_a_page_without_a_link_ends_a_walk() {
    let walk = step(begun(), &page(Some("l1"), Some(3)), &["a"], Paging::NextLink).unwrap();
    assert_eq!(walk.next(), Some(&Position::Link("l1".to_owned())));
    let walk = step(walk, &page(Some("l2"), None), &[], Paging::NextLink).unwrap();
    assert!(!walk.is_finished(), "an empty page with a link is not the end");
    let walk = step(walk, &page(None, None), &["b", "c"], Paging::NextLink).unwrap();
    assert_eq!((walk.is_finished(), walk.records, walk.expected), (true, 3, Some(3)));
}

#[test]
fn a_link_that_comes_twice_fails_the_walk() {
    let walk = step(begun(), &page(Some("l1"), None), &["a"], Paging::NextLink).unwrap();
    let walk = step(walk, &page(Some("l2"), None), &["b"], Paging::NextLink).unwrap();
    let circle = step(walk, &page(Some("l1"), None), &["c"], Paging::NextLink);
    assert_eq!(circle, Err(WalkFailed::RepeatedLink { pages: 3 }));
}

#[test]
fn a_hundred_pages_without_a_record_fail_the_walk() {
    let mut walk = begun();
    for number in 0..99 {
        walk = step(walk, &page(Some(&format!("l{number}")), None), &[], Paging::NextLink).unwrap();
    }
    let last = step(walk, &page(Some("l99"), None), &[], Paging::NextLink);
    assert_eq!(last, Err(WalkFailed::EmptyPages));
}

#[test]
fn an_empty_page_that_says_there_is_more_does_not_end_a_walk_by_key() {
    let more = page(Some("l"), None);
    let walk = step(begun(), &more, &["a"], Paging::Key).unwrap();
    let again = step(walk, &more, &[], Paging::Key).unwrap();
    assert_eq!(again.next(), Some(&Position::After(keys(&["a"]).remove(0))));
    let walk = step(again, &more, &["b"], Paging::Key).unwrap();
    assert!(step(walk.clone(), &page(None, None), &[], Paging::Key).unwrap().is_finished());
    // A server that says so at every end is believed in the end.
    let ended = (0..5).try_fold(walk, |walk, _| step(walk, &more, &[], Paging::Key)).unwrap();
    assert!(ended.is_finished());
}

#[test]
fn a_list_that_nobody_counted_ends_all_the_same() {
    let walk = Walk { pages: MOST_PAGES - 1, ..begun() };
    let walk = step(walk, &page(Some("l1"), None), &["a"], Paging::NextLink).unwrap();
    let last = step(walk, &page(Some("l2"), None), &["b"], Paging::NextLink);
    assert_eq!(last, Err(WalkFailed::Endless));
}

#[test]
fn more_than_twice_the_pages_that_the_count_promised_fail_the_walk() {
    let mut walk = step(begun(), &page(Some("l"), Some(50)), &["k"], Paging::NextLink).unwrap();
    let failed = (0..100).find_map(|number| {
        match step(walk.clone(), &page(Some(&format!("l{number}")), None), &["k"], Paging::NextLink) {
            Ok(next) => {
                walk = next;
                None
            }
            Err(failed) => Some(failed),
        }
    });
    assert_eq!(failed, Some(WalkFailed::TooManyPages { pages: 25, expected: 50, promised: 24 }));
}

#[test]
fn paging_by_key_goes_on_behind_the_last_key_until_a_page_is_empty() {
    let walk = step(begun(), &page(None, None), &["a", "b"], Paging::Key).unwrap();
    assert_eq!(walk.next(), RecordKey::new("b").ok().map(Position::After).as_ref());
    let walk = step(walk, &page(None, None), &[], Paging::Key).unwrap();
    assert!(walk.is_finished());
}

#[test]
fn paging_by_key_fails_where_the_server_ignores_the_order() {
    let walk = step(begun(), &page(None, None), &["a", "c"], Paging::Key).unwrap();
    for unordered in [["b", "d"], ["e", "d"]] {
        let failed = step(walk.clone(), &page(None, None), &unordered, Paging::Key);
        assert!(matches!(failed, Err(WalkFailed::Unordered { .. })), "{unordered:?}: {failed:?}");
    }
}

#[test]
fn a_list_that_ends_short_of_its_count_is_no_success() {
    let ended = |records: usize, count| {
        let names: Vec<String> = (0..records).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        step(begun(), &page(None, count), &names, Paging::NextLink).and_then(|walk| walk.check_length())
    };
    assert_eq!(ended(90, Some(100)), Ok(()));
    assert_eq!(ended(89, Some(100)), Err(WalkFailed::Short { records: 89, expected: 100 }));
    assert_eq!(ended(0, None), Ok(()), "without a count there is nothing to hold it against");
}

proptest! {
    #[test]
    fn every_record_of_an_orderly_list_is_walked_once(sizes in prop::collection::vec(0usize..5, 1..60)) {
        let mut walk = begun();
        for (number, size) in sizes.iter().enumerate() {
            let next = (number + 1 < sizes.len()).then(|| format!("l{number}"));
            let names: Vec<String> = (0..*size).map(|n| format!("{number}-{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            walk = step(walk, &page(next.as_deref(), None), &names, Paging::NextLink).unwrap();
        }
        prop_assert!(walk.is_finished());
        prop_assert_eq!(walk.records, sizes.iter().sum::<usize>() as u64);
        prop_assert_eq!(walk.pages as usize, sizes.len());
    }
}
