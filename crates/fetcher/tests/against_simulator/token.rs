//! Signing in.

use std::fs;
use std::path::Path;

use spark_domain::Recovery;
use spark_fetcher::{Authorization, Error, TokenSource, TokenStanding};
use spark_simulator::Fault;
use spark_simulator::Trouble;

use crate::Feed;

/// A feed whose token is in a file.
async fn feed_with_file(path: &Path) -> Feed {
    let feed = Feed::with(3, |settings| {
        fs::write(path, "simulator-token\n").unwrap();
        settings.token = TokenSource::File(path.to_owned());
    })
    .await;
    assert_eq!(feed.simulator.token(), "simulator-token");
    feed
}

#[tokio::test]
async fn the_token_goes_in_either_scheme_under_a_true_name() {
    for (scheme, word) in [(Authorization::Bearer, "Bearer"), (Authorization::OAuth, "OAuth")] {
        let feed = Feed::with(3, |settings| settings.authorization = scheme).await;
        feed.client.first().await.unwrap();
        let request = &feed.requests()[0];
        assert_eq!(request.authorization, Some(format!("{word} {}", feed.simulator.token())));
        assert!(request.user_agent.as_ref().unwrap().starts_with("spark-replicator/"));
        assert_eq!(request.accept_encoding.as_deref(), Some("gzip"));
    }
}

#[tokio::test]
async fn a_refused_token_is_read_again_and_the_new_one_used_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let feed = feed_with_file(&path).await;
    let old = feed.client.fetcher.budget_key();
    feed.simulator.set_token("second-token");
    fs::write(&path, "second-token\n").unwrap();
    feed.client.first().await.unwrap();
    assert_eq!(feed.client.reasons(), ["new_token"]);
    assert_ne!(feed.client.fetcher.budget_key(), old);
    assert_eq!(feed.client.fetcher.token_standing(), TokenStanding::NotRefused);
    assert_eq!(feed.requests().len(), 2);
}

#[tokio::test]
async fn a_refused_token_that_is_still_the_same_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let feed = feed_with_file(&path).await;
    feed.simulator.set_token("second-token");
    let error = feed.client.refusal().await;
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    assert_eq!((error.recovery(), error.reason()), (Recovery::SignIn, "auth"));
    assert_eq!(feed.requests().len(), 1, "a refused token was sent again");
    assert!(matches!(feed.client.fetcher.token_standing(), TokenStanding::Refused(_)));
    fs::remove_file(&path).unwrap();
    assert!(
        matches!(feed.client.refusal().await, Error::Unauthorized(_)),
        "a missing file hides the refusal"
    );
}

#[tokio::test]
async fn a_second_new_token_is_not_tried_within_one_question() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let feed = feed_with_file(&path).await;
    fs::write(&path, "wrong-too").unwrap();
    feed.fail(Fault::new(Trouble::d(401, 1020)).forever());
    assert!(matches!(feed.client.refusal().await, Error::Unauthorized(_)));
    assert_eq!(feed.requests().len(), 2);
    assert!(!feed.client.fetcher.reload_token().await.unwrap(), "the file holds what is in use");
    fs::write(&path, "simulator-token").unwrap();
    assert!(feed.client.fetcher.reload_token().await.unwrap());
}
