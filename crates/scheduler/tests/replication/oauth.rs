//! Feeds whose tokens expire: refreshed in time and once, kept before they are used, and lost aloud.

use std::collections::BTreeSet;
use std::time::Duration;

use spark_domain::{Job, Resource};
use spark_fetcher::grant::OAuthClient;
use spark_fetcher::{Issued, KeeperError, TokenKeeper, TokenSource};
use spark_scheduler::metrics::{Build, Metrics};
use spark_scheduler::oauth::{OAuthSettings, SealKey, SignIn, keep_tokens};
use spark_scheduler::{FeedSettings, PAGE_ALLOWANCE, Replicator};
use spark_simulator::oauth::{AUTHORIZE, CLIENT_ID, CLIENT_SECRET, GRANT};
use spark_simulator::{Fault, Trouble};
use spark_store::{Settings as StoreSettings, Spent, Store};
use tokio_util::task::TaskTracker;

use crate::harness::{PATIENCE, World, small};

const HERE: &str = "http://127.0.0.1:1/back";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Makes fourteen hours pass for the pair.
const AGE: &str = "update replicator.oauth_token set obtained_at = obtained_at - interval '14 hours', \
                   expires_at = expires_at - interval '14 hours'";
const GENERATION: &str = "select generation from replicator.oauth_token";

/// A world that nobody has signed in to.
async fn signed_out(listings: usize) -> World {
    let mut world = World::start(small(listings)).await;
    world.settings.fetcher.token = TokenSource::Nowhere;
    // A busy machine must not make an answer of the endpoint look lost.
    world.settings.fetcher.timeouts.read = Duration::from_secs(20);
    world.settings.oauth = Some(OAuthSettings {
        client: OAuthClient {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.into(),
            redirect_uri: HERE.to_owned(),
            authorize_url: world.simulator.address_of(AUTHORIZE).parse().unwrap(),
            grant_url: world.simulator.address_of(GRANT).parse().unwrap(),
        },
        key: SealKey::parse(KEY).unwrap(),
    });
    world
}

async fn sign_in(world: &World) {
    let code = world.simulator.oauth().code(HERE);
    SignIn::begin(&world.settings, &world.store).unwrap().finish(&code.into()).await.unwrap();
}

async fn signed_in(listings: usize) -> World {
    let world = signed_out(listings).await;
    sign_in(&world).await;
    world
}

fn kept(settings: &FeedSettings, store: &Store) -> std::sync::Arc<dyn TokenKeeper> {
    let kept = keep_tokens(settings.clone(), store, "test", &TaskTracker::new()).unwrap();
    let TokenSource::Kept(keeper) = kept.fetcher.token else { panic!("nobody keeps the token") };
    keeper
}

async fn renew(world: &World, refused: i64) -> Result<Option<Issued>, KeeperError> {
    kept(&world.settings, &world.store).renew(refused).await
}

/// The refresh tokens that were brought to the endpoint, in order.
fn spent(world: &World) -> Vec<String> {
    let grants = world.simulator.oauth().grants();
    grants.into_iter().filter(|grant| grant.kind == "refresh_token").map(|grant| grant.brought).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_lives_through_many_expiries_with_two_instances_and_no_refresh_token_is_spent_twice() {
    let world = signed_out(40).await;
    world.simulator.oauth().set_life(Duration::from_secs(1));
    sign_in(&world).await;
    let store = Store::connect(&StoreSettings { url: world.url.clone(), max_connections: 8 }).unwrap();
    let metrics = Metrics::new(Build { version: "test", revision: "test" }).unwrap();
    let first = world.daemon();
    world.until("everything is downloaded", "select count(*) = 6 and bool_and(initial_download_completed_at is not null) from replicator.resource").await;
    let second = Replicator::start(vec![world.settings.clone()], &store, &metrics, PAGE_ALLOWANCE).unwrap();
    world.until("several tokens have expired", "select generation > 5 from replicator.oauth_token").await;
    world.simulator.world().insert_listing();
    world.until("the first replicates", "select count(*) = 41 from mls.property").await;
    first.stop_gently();
    first.stopped().await;
    world.until("the second refreshes too", "select generation > 9 from replicator.oauth_token").await;
    world.simulator.world().insert_listing();
    world.until("the second replicates", "select count(*) = 42 from mls.property").await;
    second.stop_gently();
    second.stopped().await;
    let grants = world.simulator.oauth().grants();
    assert!(grants.iter().all(|grant| grant.refused.is_none()), "{grants:?}");
    let spent = spent(&world);
    assert_eq!(spent.iter().collect::<BTreeSet<_>>().len(), spent.len(), "{spent:?}");
    let blocked: bool = world.ask("select blocked_at is not null from replicator.feed").await;
    assert!(!blocked);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_instances_that_meet_an_expired_token_one_refreshes_and_all_go_on() {
    let world = signed_in(0).await;
    world.execute(AGE).await;
    // Slow enough for all of them to come while the first one waits for its answer.
    world
        .simulator
        .faults()
        .push(Fault::new(Trouble::Stall(Duration::from_secs(2))).matching(GRANT).forever());
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store =
                Store::connect(&StoreSettings { url: world.url.clone(), max_connections: 2 }).unwrap();
            let keeper = kept(&world.settings, &store);
            tokio::spawn(async move { keeper.renew(1).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().unwrap().generation, 2);
    }
    assert_eq!(spent(&world).len(), 1);
}

#[tokio::test]
async fn an_expired_token_costs_one_refresh_and_the_run_does_not_notice() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    world.simulator.oauth().expire_access_tokens();
    world.succeed(Job::InitialDownload, Resource::Property).await;
    world.assert_equal(Resource::Property).await;
    assert_eq!(spent(&world).len(), 1);
    let keys: i64 = world.ask("select count(*) from replicator.request_budget").await;
    assert_eq!(keys, 1, "the new token has a budget of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_past_half_its_life_is_refreshed_before_anybody_is_refused() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    let daemon = world.daemon();
    world.until("the pair is refreshed", "select generation = 2 from replicator.oauth_token").await;
    world.simulator.world().insert_listing();
    world.until("the feed goes on", "select count(*) = 21 from mls.property").await;
    daemon.stop_gently();
    daemon.stopped().await;
    let newest = world.simulator.journal().of("Property").pop().and_then(|entry| entry.authorization);
    let access = world.simulator.oauth().secrets().into_iter().rfind(|secret| secret.starts_with("access"));
    assert_eq!(newest, access.map(|access| format!("Bearer {access}")), "the new token is not used");
    assert!(world.simulator.journal().requests().iter().all(|entry| entry.status != Some(401)));
    assert_eq!(spent(&world).len(), 1, "a fresh token was refreshed again");
}

#[tokio::test]
async fn a_token_that_is_refused_while_it_is_young_is_not_refreshed() {
    let world = signed_in(20).await;
    world.simulator.faults().push(Fault::new(Trouble::error(401, 401)).forever().on("Property"));
    let said = world.fail(Job::InitialDownload, Resource::Property).await;
    assert!(said.contains("HTTP 401") && spent(&world).is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pair_is_durable_before_any_request_uses_it() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    world.simulator.oauth().expire_access_tokens();
    world.simulator.journal().clear();
    // The endpoint takes its time, and meanwhile somebody locks the row.
    world.simulator.faults().push(Fault::new(Trouble::Stall(Duration::from_secs(1))).matching(GRANT));
    let running = async { world.succeed(Job::InitialDownload, Resource::Property).await };
    let watching = async {
        let asked = world.simulator.journal().wait_for(|entry| entry.path == GRANT, PATIENCE).await;
        assert!(asked.is_some(), "no refresh");
        let mut beside = world.connection().await;
        sqlx::raw_sql("begin; select from replicator.oauth_token for update")
            .execute(&mut beside)
            .await
            .unwrap();
        let waits = "select count(*) > 0 from pg_stat_activity where datname = current_database() \
                     and wait_event_type = 'Lock' and query like '%generation = generation + 1%'";
        world.until("the new pair waits to be written", waits).await;
        let used = world.simulator.journal().of("Property").iter().any(|entry| entry.token_right);
        assert!(!used, "a request used the new token before it was kept");
        sqlx::raw_sql("rollback").execute(&mut beside).await.unwrap();
    };
    tokio::join!(running, watching);
    assert_eq!(world.ask::<i64>(GENERATION).await, 2);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more_and_then_the_feed_stops_and_says_what_was_lost() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    world.simulator.oauth().expire_access_tokens();
    world.simulator.faults().push(Fault::new(Trouble::Reset).matching(GRANT));
    let said = world.fail(Job::InitialDownload, Resource::Property).await;
    assert!(said.contains("probably rotated and lost"), "{said}");
    assert!(said.contains("run `spark-replicator auth login beaches`"), "{said}");
    let tokens = spent(&world);
    assert!(tokens.len() == 2 && tokens[0] == tokens[1], "{tokens:?}");
    let reason: Option<String> = world.ask("select blocked_reason from replicator.feed").await;
    assert!(
        reason.unwrap_or_default().contains("probably rotated and lost"),
        "the feed is not blocked at once"
    );
    world.fail(Job::InitialDownload, Resource::Property).await;
    assert_eq!(spent(&world).len(), 2, "a pair that is lost was tried again");
    sign_in(&world).await;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    assert!(!world.ask::<bool>("select blocked_at is not null from replicator.feed").await);
}

#[tokio::test]
async fn a_lost_answer_that_rotated_nothing_is_mended_by_the_second_try() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    let gateway = Trouble::Answer { status: 502, content_type: "text/html", body: "<html>".to_owned() };
    world.simulator.faults().push(Fault::new(gateway).matching(GRANT));
    assert_eq!(renew(&world, 1).await.unwrap().unwrap().generation, 2);
}

#[tokio::test]
async fn whoever_comes_after_a_refresher_that_was_killed_knows_what_was_lost() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    let feed = world.feed();
    let claim = world.store.claim_oauth_refresh(feed, 1, "killed", Duration::ZERO).await.unwrap();
    assert_eq!(claim, Some(Spent::No));
    // What the killed one sent was carried out.
    world.simulator.oauth().revoke_refresh_tokens();
    let Err(KeeperError::SignedOut(said)) = renew(&world, 1).await else { panic!("it went on") };
    assert!(said.contains("probably rotated and lost"), "{said}");
}

#[tokio::test]
async fn a_refresh_token_that_is_void_for_no_fault_of_ours_is_said_so() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    world.simulator.oauth().revoke_refresh_tokens();
    let Err(KeeperError::SignedOut(said)) = renew(&world, 1).await else { panic!("it went on") };
    assert!(said.contains("invalid_grant") && said.contains("auth login beaches"), "{said}");
    assert!(!said.contains("probably"), "{said}");
    // The access token has ten hours left, and is used for as long.
    world.succeed(Job::InitialDownload, Resource::Property).await;
    assert_eq!(spent(&world).len(), 1);
}

#[tokio::test]
async fn an_endpoint_over_its_limit_is_left_alone_as_long_as_it_wants() {
    let world = signed_in(20).await;
    world.execute(AGE).await;
    world.simulator.faults().push(Fault::new(Trouble::throttle(Some("120"))).matching(GRANT));
    for _ in 0..3 {
        let Err(KeeperError::Away { after: Some(after), .. }) = renew(&world, 1).await else {
            panic!("a throttled refresh did not fail")
        };
        assert!((100..=120).contains(&after.as_secs()), "{after:?}");
    }
    let asked = || world.simulator.journal().requests().iter().filter(|entry| entry.path == GRANT).count();
    assert_eq!(asked(), 2, "the sign-in and one refresh");
    world.execute("update replicator.oauth_token set free_at = clock_timestamp()").await;
    assert_eq!(renew(&world, 1).await.unwrap().unwrap().generation, 2);
}

#[tokio::test]
async fn a_refresh_token_that_has_no_successor_stays_good() {
    let world = signed_in(0).await;
    world.simulator.oauth().answer_without_refresh_token();
    for generation in 1..4 {
        world.execute(AGE).await;
        assert_eq!(renew(&world, generation).await.unwrap().unwrap().generation, generation + 1);
    }
    assert_eq!(spent(&world).iter().collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test]
async fn another_key_opens_nothing_and_breaks_nothing() {
    let mut world = signed_in(20).await;
    let right = world.settings.oauth.clone();
    if let Some(oauth) = &mut world.settings.oauth {
        oauth.key = SealKey::parse(&KEY.replace("AAEC", "BBEC")).unwrap();
    }
    let said = world.fail(Job::InitialDownload, Resource::Property).await;
    assert!(said.contains("another key than that of key_file"), "{said}");
    assert!(world.simulator.journal().of("Property").is_empty(), "it asked without a token");
    world.settings.oauth = right;
    world.succeed(Job::InitialDownload, Resource::Property).await;
    assert!(spent(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_nobody_signed_in_for_stands_blocked_and_begins_by_itself_after_the_sign_in() {
    let world = signed_out(20).await;
    let daemon = world.daemon();
    world
        .until(
            "the feed is blocked",
            "select count(*) = 1 from replicator.feed where blocked_reason like '%auth login beaches%'",
        )
        .await;
    sign_in(&world).await;
    world.until("all is downloaded", "select count(*) = 6 and bool_and(initial_download_completed_at is not null) from replicator.resource").await;
    daemon.stop_gently();
    daemon.stopped().await;
    assert!(!world.ask::<bool>("select blocked_at is not null from replicator.feed").await);
}

/// A feed that was signed in to once, and has a token in its configuration now.
async fn signed_in_once() -> World {
    let mut world = signed_in(5).await;
    world.settings.oauth = None;
    world.settings.fetcher.token = TokenSource::Text(world.simulator.token().into());
    world
}

#[tokio::test]
async fn the_tokens_of_a_feed_that_is_not_signed_in_to_any_more_go_when_they_are_good_for_nobody() {
    let world = signed_in_once().await;
    let daemon = world.daemon();
    world.until_downloaded(world.settings.resources.len()).await;
    daemon.stop_gently();
    daemon.stopped().await;
    // A second instance with the former configuration might need them.
    assert_eq!(world.ask::<i64>(GENERATION).await, 1);
    for _ in 0..4 {
        world.execute(AGE).await;
    }
    let daemon = world.daemon();
    world.until("the old pair is gone", "select count(*) = 0 from replicator.oauth_token").await;
    daemon.stop_gently();
    daemon.stopped().await;
}

#[tokio::test]
async fn only_feeds_that_are_signed_in_to_show_when_their_tokens_end() {
    let world = signed_in(5).await;
    // The row of a feed that left the configuration; it is read before that of ours.
    world
        .execute(
            "insert into replicator.oauth_token (feed, generation, sealed, obtained_at, expires_at) \
             select 'abandoned', generation, sealed, obtained_at, expires_at from replicator.oauth_token",
        )
        .await;
    let daemon = world.daemon();
    let shows = |feed: &str| {
        let series = format!("spark_replicator_oauth_token_expiry_timestamp_seconds{{feed=\"{feed}\"}}");
        world.metrics.render().unwrap().contains(&series)
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    while !shows("beaches") {
        assert!(tokio::time::Instant::now() < end, "the end of the token is not shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!shows("abandoned"), "an alert about it would never end");
    daemon.stop_gently();
    daemon.stopped().await;
}
