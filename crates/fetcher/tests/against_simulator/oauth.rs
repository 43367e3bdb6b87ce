//! Tokens that expire: what the token endpoint is asked, what it may answer, and one replay with a new token.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use spark_domain::Recovery;
use spark_fetcher::grant::{GrantError, Grants, OAuthClient, Pair};
use spark_fetcher::{Error, Issued, KeeperError, Keeping, TokenKeeper, TokenSource};
use spark_simulator::oauth::{AUTHORIZE, CLIENT_ID, CLIENT_SECRET, GRANT};
use spark_simulator::{Fault, Trap, Trouble};

use crate::{Feed, settings};

const HERE: &str = "http://127.0.0.1:1/back";

fn client(feed: &Feed) -> OAuthClient {
    OAuthClient {
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.into(),
        redirect_uri: HERE.to_owned(),
        authorize_url: feed.simulator.address_of(AUTHORIZE).parse().unwrap(),
        grant_url: feed.simulator.address_of(GRANT).parse().unwrap(),
    }
}

fn grants(feed: &Feed) -> Grants {
    Grants::new(&settings(&feed.simulator.base_url(), "unused"), client(feed)).unwrap()
}

async fn first_pair(feed: &Feed) -> Pair {
    grants(feed).exchange(&feed.simulator.oauth().code(HERE).into()).await.unwrap()
}

/// Keeps a pair in memory, and counts.
#[derive(Debug)]
struct Pocket {
    grants: Grants,
    kept: Mutex<(Issued, SecretString)>,
    out_of_order: Mutex<Option<KeeperError>>,
}

impl Pocket {
    async fn of(feed: &Feed) -> Arc<Self> {
        let pair = first_pair(feed).await;
        let kept = (Issued { access: pair.access, generation: 1 }, pair.refresh.unwrap());
        Arc::new(Self { grants: grants(feed), kept: Mutex::new(kept), out_of_order: Mutex::default() })
    }
}

impl TokenKeeper for Pocket {
    fn read(&self) -> Keeping<'_, Issued> {
        Box::pin(async {
            match self.out_of_order.lock().unwrap().clone() {
                Some(error) => Err(error),
                None => Ok(self.kept.lock().unwrap().0.clone()),
            }
        })
    }

    fn renew(&self, refused: i64) -> Keeping<'_, Option<Issued>> {
        Box::pin(async move {
            if let Some(error) = self.out_of_order.lock().unwrap().clone() {
                return Err(error);
            }
            let (before, refresh) = self.kept.lock().unwrap().clone();
            assert_eq!(before.generation, refused);
            let pair = self.grants.refresh(&refresh).await.unwrap();
            let issued = Issued { access: pair.access, generation: refused + 1 };
            *self.kept.lock().unwrap() = (issued.clone(), pair.refresh.unwrap());
            Ok(Some(issued))
        })
    }

    fn budget_key(&self) -> [u8; 32] {
        self.grants.budget_key()
    }
}

/// A feed whose fetcher has its token from a pocket.
async fn kept_feed() -> (Feed, Arc<Pocket>) {
    let plain = Feed::of(3).await;
    let pocket = Pocket::of(&plain).await;
    let mut settings = settings(&plain.simulator.base_url(), "unused");
    settings.token = TokenSource::Kept(Arc::clone(&pocket) as Arc<dyn TokenKeeper>);
    let client = crate::Client::new(settings);
    (Feed { client, ..plain }, pocket)
}

#[tokio::test]
async fn a_code_is_good_for_a_pair_and_the_pair_for_the_next() {
    let feed = Feed::of(3).await;
    let pair = first_pair(&feed).await;
    assert_eq!(pair.life, Duration::from_hours(24));
    let next = grants(&feed).refresh(&pair.refresh.unwrap()).await.unwrap();
    assert_ne!(next.access.expose_secret(), pair.access.expose_secret());
    let kinds: Vec<_> = feed.simulator.oauth().grants().into_iter().map(|grant| grant.kind).collect();
    assert_eq!(kinds, ["authorization_code", "refresh_token"]);
    feed.simulator.oauth().answer_without_refresh_token();
    let bare = grants(&feed).refresh(&next.refresh.unwrap()).await.unwrap();
    assert!(bare.refresh.is_none() && bare.life == Duration::from_hours(24));
}

#[tokio::test]
async fn the_address_for_a_person_names_the_client_and_carries_the_state() {
    let feed = Feed::of(0).await;
    let address = grants(&feed).authorization_address("a&b=c").to_string();
    let query = "?response_type=code&client_id=simulator-client\
                 &redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fback&state=a%26b%3Dc";
    assert_eq!(address, feed.simulator.address_of(AUTHORIZE) + query);
}

#[tokio::test]
async fn each_failure_of_a_refresh_says_whether_the_refresh_token_may_be_spent() {
    let feed = Feed::of(0).await;
    let grants = grants(&feed);
    let page = |status| Trouble::Answer {
        status,
        content_type: "text/html",
        body: "<html>We will be back</html>".to_owned(),
    };
    for (trouble, answered) in [
        (Trouble::throttle(Some("7")), true),
        (Trouble::d(503, 1550), true),
        (page(403), true),
        (Trouble::Redirect("http://127.0.0.1:1/".to_owned()), true),
        (page(200), false),
        (page(502), false),
        (Trouble::empty(), false),
        (Trouble::Reset, false),
        (Trouble::Truncate { after: 3 }, false),
        (Trouble::CutShort { after: 3 }, false),
    ] {
        let refresh = first_pair(&feed).await.refresh.unwrap();
        let name = trouble.name();
        feed.simulator.faults().push(Fault::new(trouble).matching(GRANT));
        let error = grants.refresh(&refresh).await.unwrap_err();
        assert_eq!(error.is_answered(), answered, "{name}: {error}");
        if name == "refuse" {
            assert!(matches!(error, GrantError::Throttled { .. }), "{error:?}");
        }
    }
    let void = grants.refresh(&"never-issued".into()).await.unwrap_err();
    assert!(matches!(void, GrantError::Void(_)), "{void:?}");
    let stranger = OAuthClient { client_secret: "wrong".into(), ..client(&feed) };
    let stranger = Grants::new(&settings(&feed.simulator.base_url(), "unused"), stranger).unwrap();
    let unknown = stranger.refresh(&"any".into()).await.unwrap_err();
    assert!(matches!(unknown, GrantError::Misconfigured(_)) && unknown.is_answered(), "{unknown:?}");
    let nobody = OAuthClient { grant_url: "http://127.0.0.1:1/".parse().unwrap(), ..client(&feed) };
    let nobody = Grants::new(&settings(&feed.simulator.base_url(), "unused"), nobody).unwrap();
    let unsent = nobody.refresh(&"any".into()).await.unwrap_err();
    assert!(matches!(unsent, GrantError::Unsent(_)) && unsent.is_answered(), "{unsent:?}");
}

#[tokio::test]
async fn no_word_of_the_endpoint_shows_a_secret() {
    let feed = Feed::of(0).await;
    let refresh = first_pair(&feed).await.refresh.unwrap();
    let said = format!("{} with {CLIENT_SECRET} is unknown to {HERE}", refresh.expose_secret());
    let body = serde_json::json!({ "error": "invalid_grant", "error_description": said }).to_string();
    let careless = Trouble::Answer { status: 400, content_type: "application/json", body };
    feed.simulator.faults().push(Fault::new(careless).matching(GRANT));
    let grants = grants(&feed);
    let error = grants.refresh(&refresh).await.unwrap_err();
    let shown = format!("{error} {error:?} {grants:?} {:?}", client(&feed));
    assert!(!shown.contains(refresh.expose_secret()) && !shown.contains(CLIENT_SECRET), "{shown}");
    assert!(shown.contains("[secret] with [secret] is unknown to"), "{shown}");
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_and_the_question_asked_again() {
    let (feed, _) = kept_feed().await;
    feed.client.first().await.unwrap();
    let budget = feed.client.fetcher.budget_key();
    feed.simulator.oauth().expire_access_tokens();
    feed.client.first().await.unwrap();
    assert_eq!(feed.client.reasons(), ["new_token"]);
    assert_eq!(feed.client.fetcher.budget_key(), budget, "a new token has a budget of its own");
    let refused = Trouble::d(401, 1020);
    feed.fail(Fault::new(refused).forever().on("Property"));
    feed.simulator.journal().clear();
    let error = feed.client.refusal().await;
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    assert_eq!(feed.simulator.journal().of("Property").len(), 2, "it was replayed more than once");
}

#[tokio::test]
async fn a_disabled_key_is_not_refreshed() {
    let (feed, _) = kept_feed().await;
    feed.fail(Fault::new(Trouble::d(401, 1010)).on("Property"));
    assert!(matches!(feed.client.refusal().await, Error::Unauthorized(_)));
    assert_eq!(feed.simulator.oauth().grants().len(), 1, "only the sign-in");
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_keepers_words_are_repeated() {
    let (feed, pocket) = kept_feed().await;
    feed.simulator.journal().clear();
    let words = "run `auth login`".to_owned();
    *pocket.out_of_order.lock().unwrap() = Some(KeeperError::SignedOut(words.clone()));
    let error = feed.client.refusal().await;
    assert!(error.recovery() == Recovery::SignIn && error.to_string().contains(&words), "{error}");
    let after = Some(Duration::from_secs(9));
    *pocket.out_of_order.lock().unwrap() =
        Some(KeeperError::Away { problem: "Postgres is away".to_owned(), after });
    let error = feed.client.refusal().await;
    assert_eq!((error.recovery(), error.reason()), (Recovery::Retry { after }, "auth"));
    let unkept = Feed::with(3, |settings| settings.token = TokenSource::Nowhere).await;
    assert!(matches!(unkept.client.refusal().await, Error::SignedOut { .. }));
    assert!(feed.requests().is_empty() && unkept.requests().is_empty(), "something was sent");
}

#[tokio::test]
async fn the_feed_never_sees_the_secret_nor_the_endpoint_the_token_nor_anybody_else_either() {
    let (feed, trap) = (Feed::of(3).await, Trap::start().await.unwrap());
    let elsewhere = Trouble::Redirect(format!("{}/v1/oauth2/grant", trap.origin()));
    feed.simulator.faults().push(Fault::new(elsewhere).matching(GRANT));
    assert!(grants(&feed).refresh(&"any".into()).await.is_err());
    assert!(trap.journal().requests().is_empty(), "the redirect was followed with the secret");
    let asked = feed.simulator.journal().requests();
    assert!(
        asked.iter().all(|entry| entry.authorization.is_none() && entry.raw_query.is_empty()),
        "{asked:?}"
    );
    let open = OAuthClient { grant_url: "http://mls.example/".parse().unwrap(), ..client(&feed) };
    let refused = Grants::new(&settings(&feed.simulator.base_url(), "unused"), open).unwrap_err();
    assert!(refused.to_string().starts_with("grant_url \"http://mls.example/\""), "{refused}");
}
