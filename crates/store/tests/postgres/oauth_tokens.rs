//! A pair of tokens is refreshed by one at a time, and never lost to a slow or a second writer.

use std::time::Duration;

use spark_store::{Spent, StoredToken};

use crate::harness::{Database, LONG, connect, feed, until};

const DAY: Duration = Duration::from_hours(24);

async fn signed_in() -> Database {
    let database = Database::migrated().await;
    database.store.sign_in(&feed("beaches"), b"first", DAY).await.unwrap();
    database
}

async fn pair(database: &Database) -> StoredToken {
    database.store.oauth_token(&feed("beaches")).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_pair_is_there_from_the_sign_in_on_and_lives_as_long_as_was_said() {
    let database = Database::migrated().await;
    assert_eq!(database.store.oauth_token(&feed("beaches")).await.unwrap(), None);
    let expires_at = database.store.sign_in(&feed("beaches"), b"first", DAY).await.unwrap();
    let stored = pair(&database).await;
    assert_eq!(
        (stored.generation, stored.sealed.as_slice(), stored.expires_at),
        (1, &b"first"[..], expires_at)
    );
    let life = stored.expires_at - stored.obtained_at;
    assert!((DAY.as_secs()..=DAY.as_secs() + 1).contains(&life.num_seconds().unsigned_abs()), "{life}");
    let lives = database.store.oauth_token_lives().await.unwrap();
    assert_eq!((lives.len(), &lives[0].feed, lives[0].expires_at), (1, &feed("beaches"), expires_at));
}

#[tokio::test]
async fn of_many_that_want_to_refresh_a_generation_one_may() {
    let database = signed_in().await;
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let store = connect(&database.url);
            tokio::spawn(async move {
                let claimant = format!("instance {number}");
                let claim = store.claim_oauth_refresh(&feed("beaches"), 1, &claimant, LONG).await.unwrap();
                store.close().await;
                claim
            })
        })
        .collect();
    let mut granted = Vec::new();
    for task in tasks {
        granted.extend(task.await.unwrap());
    }
    assert_eq!(granted, [Spent::No]);
    let store = &database.store;
    assert_eq!(store.rotate_oauth_token(&feed("beaches"), 1, b"second", DAY).await.unwrap(), Some(2));
    let late = store.claim_oauth_refresh(&feed("beaches"), 1, "late", LONG).await.unwrap();
    assert_eq!(late, None, "a generation that is gone was refreshed again");
    assert_eq!(pair(&database).await.sealed, b"second");
}

#[tokio::test]
async fn a_claim_that_was_never_given_back_leaves_a_doubt_to_its_successors() {
    let database = signed_in().await;
    let (store, beaches) = (&database.store, feed("beaches"));
    let claim = async |who: &str, hold| store.claim_oauth_refresh(&beaches, 1, who, hold).await.unwrap();
    assert_eq!(claim("killed", Duration::from_millis(50)).await, Some(Spent::No));
    until("the claim has run out", async || claim("next", LONG).await == Some(Spent::Perhaps)).await;
    store.release_oauth_refresh(&beaches, 1, "killed", LONG, Spent::No).await.unwrap();
    assert_eq!(claim("third", LONG).await, None, "somebody gave back what was another's");
    store.release_oauth_refresh(&beaches, 1, "next", Duration::ZERO, Spent::No).await.unwrap();
    assert_eq!(claim("third", LONG).await, Some(Spent::Perhaps), "the first one's doubt was forgotten");
    store.sign_in(&beaches, b"anew", DAY).await.unwrap();
    assert_eq!(store.claim_oauth_refresh(&beaches, 2, "fourth", LONG).await.unwrap(), Some(Spent::No));
}

#[tokio::test]
async fn a_refresh_that_was_answered_leaves_no_doubt_and_rests_as_long_as_it_must() {
    let database = signed_in().await;
    let (store, beaches) = (&database.store, feed("beaches"));
    assert_eq!(store.claim_oauth_refresh(&beaches, 1, "us", LONG).await.unwrap(), Some(Spent::No));
    store.release_oauth_refresh(&beaches, 1, "us", LONG, Spent::No).await.unwrap();
    assert_eq!(store.claim_oauth_refresh(&beaches, 1, "us", LONG).await.unwrap(), None);
    let stored = pair(&database).await;
    assert!(stored.free_at.unwrap() - stored.now > chrono::TimeDelta::minutes(9), "{stored:?}");
    database.run("update replicator.oauth_token set free_at = now()").await;
    assert_eq!(store.claim_oauth_refresh(&beaches, 1, "us", LONG).await.unwrap(), Some(Spent::No));
}

#[tokio::test]
async fn a_refused_generation_is_not_tried_again_until_somebody_signs_in() {
    let database = signed_in().await;
    let (store, beaches) = (&database.store, feed("beaches"));
    store.refuse_oauth_token(&beaches, 1, "invalid_grant").await.unwrap();
    assert_eq!(pair(&database).await.refused.as_deref(), Some("invalid_grant"));
    assert_eq!(store.claim_oauth_refresh(&beaches, 1, "us", LONG).await.unwrap(), None);
    store.sign_in(&beaches, b"anew", DAY).await.unwrap();
    let stored = pair(&database).await;
    assert_eq!((stored.generation, stored.refused), (2, None));
}

#[tokio::test]
async fn a_pair_that_comes_after_a_new_sign_in_does_not_replace_it() {
    let database = signed_in().await;
    let (store, beaches) = (&database.store, feed("beaches"));
    store.claim_oauth_refresh(&beaches, 1, "slow", LONG).await.unwrap();
    store.sign_in(&beaches, b"anew", DAY).await.unwrap();
    assert_eq!(store.rotate_oauth_token(&beaches, 1, b"late", DAY).await.unwrap(), None);
    store.refuse_oauth_token(&beaches, 1, "invalid_grant").await.unwrap();
    let stored = pair(&database).await;
    assert_eq!((stored.sealed.as_slice(), stored.refused), (&b"anew"[..], None));
}

#[tokio::test]
async fn a_pair_is_forgotten_only_by_the_leader_and_when_it_is_good_for_nobody() {
    let database = signed_in().await;
    let (store, lease) = (&database.store, database.feed("beaches").await);
    assert!(!store.forget_oauth_token(&lease).await.unwrap(), "its access token still works");
    database.run("update replicator.oauth_token set expires_at = now() - interval '25 hours'").await;
    store.claim_oauth_refresh(lease.feed(), 1, "somebody", LONG).await.unwrap();
    assert!(!store.forget_oauth_token(&lease).await.unwrap(), "somebody refreshes it right now");
    store.release_oauth_refresh(lease.feed(), 1, "somebody", Duration::ZERO, Spent::No).await.unwrap();
    assert!(store.forget_oauth_token(&lease).await.unwrap());
    assert!(!store.forget_oauth_token(&lease).await.unwrap(), "there is nothing left");

    store.sign_in(lease.feed(), b"anew", DAY).await.unwrap();
    store.refuse_oauth_token(lease.feed(), 1, "invalid_grant").await.unwrap();
    store.release_lease(&lease).await.unwrap();
    assert!(store.forget_oauth_token(&lease).await.unwrap_err().is_lease_lost());
}
