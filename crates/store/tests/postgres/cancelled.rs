//! A unit of work that is dropped half way costs its connection, and nothing else: whatever the method and
//! wherever it stood, its rows are all there or none is, no lock and no slot of the pool is lost, and the next
//! call is committed for all to see.

mod calls;
mod migrating;
mod stage;
mod waiting;

use std::collections::BTreeSet;
use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;

use calls::{Call, READS, WRITES};
use stage::{Rows, Stage};

/// Polls a future so many times and then gives it up; what it came to, if it came to its end before.
async fn give_up<F: Future + ?Sized>(
    mut work: Pin<Box<F>>,
    mut polls: u32,
    answered: bool,
) -> Option<F::Output> {
    poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Dropped with its question sent, before there is an answer; or woken by the answer and not polled.
            Poll::Pending if polls == 0 && !answered => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops the call at every poll, before or after that poll's answer came, and holds each time that the rows are
/// those before it or those after it.
async fn dropped_at_every_poll(stage: &Stage, call: &Call, before: &Rows, after: &Rows, answered: &[bool]) {
    for answered in answered.iter().copied() {
        let mut polls = 1;
        loop {
            let place = format!("{} dropped at poll {polls} (answered: {answered})", call.method);
            let store = stage.store();
            let end = give_up((call.on)(&store, stage), polls, answered).await;
            stage.serves_on(&store, &place).await;
            let rows = stage.rows().await;
            assert!(rows == *before || rows == *after, "{place}: half of its rows are written: {rows:#?}");
            if let Some(end) = end {
                end.unwrap_or_else(|error| panic!("{place}: {error:?}"));
                assert_eq!(rows, *after, "{place}");
                stage.put_back().await;
                break;
            }
            if rows != *before {
                stage.put_back().await;
            }
            polls += 1;
            assert!(polls < 400, "{} never comes to its end", call.method);
        }
    }
}

/// The rows after a call that was left alone.
async fn left_alone(stage: &Stage, call: &Call) -> Rows {
    let store = stage.store();
    (call.on)(&store, stage).await.unwrap_or_else(|error| panic!("{}: {error:?}", call.method));
    stage.serves_on(&store, call.method).await;
    let rows = stage.rows().await;
    stage.put_back().await;
    rows
}

async fn all_dropped(calls: &[Call]) {
    let stage = Stage::set().await;
    let before = stage.rows().await;
    for call in calls {
        let after = left_alone(&stage, call).await;
        assert_eq!(stage.rows().await, before, "the stage is not put back");
        assert_ne!(after, before, "{} writes nothing on this stage", call.method);
        dropped_at_every_poll(&stage, call, &before, &after, &[false, true]).await;
    }
}

#[tokio::test]
async fn a_read_dropped_at_any_poll_leaves_nothing_behind() {
    let stage = Stage::set().await;
    let before = stage.rows().await;
    for call in READS {
        assert_eq!(left_alone(&stage, call).await, before, "{} writes", call.method);
        dropped_at_every_poll(&stage, call, &before, &before, &[true]).await;
    }
}

#[tokio::test]
async fn a_write_dropped_at_any_poll_happened_whole_or_not_at_all() {
    all_dropped(&WRITES[..WRITES.len() / 2]).await;
}

#[tokio::test]
async fn so_did_the_other_half_of_the_writes() {
    all_dropped(&WRITES[WRITES.len() / 2..]).await;
}

#[test]
fn every_public_async_method_of_the_store_is_dropped_somewhere_here() {
    /// These have tests of their own.
    const ELSEWHERE: [&str; 2] = ["migrate", "close"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut methods = BTreeSet::new();
    async_methods(&source, &mut methods);
    let dropped: BTreeSet<String> = READS
        .iter()
        .chain(WRITES)
        .map(|call| call.method.trim_end_matches("_of"))
        .chain(ELSEWHERE)
        .map(str::to_owned)
        .collect();
    assert_eq!(methods, dropped);
}

/// The names after `pub async fn` in a folder.
fn async_methods(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            async_methods(&path, found);
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let methods = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub async fn "));
        found.extend(methods.filter_map(|rest| Some(rest.split_once(['(', '<'])?.0.to_owned())));
    }
}
