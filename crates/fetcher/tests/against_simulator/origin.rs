//! The token stays at home.

use spark_domain::walk::Position;
use spark_domain::{Query, Recovery, Resource};
use spark_fetcher::Error;
use spark_simulator::{Fault, Trap, Trouble};

use crate::Feed;

#[tokio::test]
async fn a_foreign_link_is_not_followed_and_never_sees_the_token() {
    let (feed, trap) = (Feed::of(30).await, Trap::start().await.unwrap());
    feed.fail(Fault::new(Trouble::ForeignLink(trap.origin())));
    let error = feed.client.refusal().await;
    assert!(matches!(&error, Error::ForeignLink { origin, .. } if *origin == trap.origin()), "{error:?}");
    assert_eq!(error.recovery(), Recovery::GiveUp);

    // Nor one that a checkpoint brings back.
    let query = Query::collection(Resource::Property);
    let link = Position::Link(format!("{}/Property?$top=10", trap.origin()));
    assert!(matches!(feed.client.page(&query, &link, 10).await, Err(Error::ForeignLink { .. })));
    assert!(trap.journal().requests().is_empty(), "the other origin was asked");
    assert_eq!(feed.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (feed, trap) = (Feed::of(3).await, Trap::start().await.unwrap());
    feed.fail(Fault::new(Trouble::Redirect(format!("{}/elsewhere?token=1", trap.origin()))));
    let error = feed.client.refusal().await;
    assert!(matches!(&error, Error::Redirected { origin, .. } if *origin == trap.origin()), "{error:?}");
    assert!(trap.journal().requests().is_empty(), "the redirect was followed");
    assert_eq!(feed.requests().len(), 1, "a redirect was asked for again");
}

#[tokio::test]
async fn no_error_shows_the_token_or_an_address() {
    let feed = Feed::of(3).await;
    let token = feed.simulator.token();
    let body = format!(r#"{{"error":{{"code":403,"message":"token {token} is restricted"}}}}"#);
    feed.fail(Fault::new(Trouble::Answer { status: 403, content_type: "application/json", body }));
    let refused = feed.client.refusal().await;
    feed.fail(Fault::new(Trouble::Reset).forever());
    let broken = feed.client.refusal().await;
    for error in [refused, broken] {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&token) && !shown.contains("127.0.0.1"), "{shown}");
        assert!(shown.contains("beaches"), "{shown}");
    }
}
