//! Tokens that expire, and refresh tokens that rotate.

use std::time::Duration;

use reqwest::header;
use serde_json::{Value, json};
use spark_simulator::oauth::{AUTHORIZE, CLIENT_ID, CLIENT_SECRET, GRANT};
use spark_simulator::{Fault, Trouble};

use crate::Feed;

const HERE: &str = "http://127.0.0.1:1/back";

async fn grant(feed: &Feed, fields: Value) -> (u16, Value) {
    let mut body = json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": HERE });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = feed.client.post(feed.simulator.address_of(GRANT)).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn refresh(feed: &Feed, token: &Value) -> (u16, Value) {
    grant(feed, json!({ "grant_type": "refresh_token", "refresh_token": token })).await
}

async fn sign_in(feed: &Feed) -> Value {
    let code = feed.simulator.oauth().code(HERE);
    let (status, pair) = grant(feed, json!({ "grant_type": "authorization_code", "code": code })).await;
    assert_eq!(status, 200, "{pair}");
    pair
}

async fn ask_with(feed: &Feed, token: &Value) -> (u16, Value) {
    let authorization = format!("Bearer {}", token.as_str().unwrap());
    let request = feed.client.get(feed.url("Property?$top=1")).header(header::AUTHORIZATION, authorization);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_person_who_agrees_is_sent_back_with_a_code_that_is_good_once() {
    let feed = Feed::of(3).await;
    let page = feed.simulator.address_of(AUTHORIZE);
    let address = format!("{page}?response_type=code&client_id={CLIENT_ID}&redirect_uri={HERE}&state=a%20b");
    let answer = feed.client.get(address).send().await.unwrap();
    let back = answer.headers()[header::LOCATION].to_str().unwrap();
    assert!(answer.status() == 302 && back.starts_with(HERE) && back.ends_with("&state=a%20b"), "{back}");
    let code = feed.simulator.oauth().secrets()[0].clone();
    let fields = json!({ "grant_type": "authorization_code", "code": code });
    let (status, pair) = grant(&feed, fields.clone()).await;
    assert_eq!((status, &pair["expires_in"]), (200, &json!(86_400)));
    assert_eq!(ask_with(&feed, &pair["access_token"]).await.0, 200);
    let (status, refusal) = grant(&feed, fields).await;
    assert_eq!((status, &refusal["error"]), (400, &json!("invalid_grant")), "the code was good twice");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_even_if_the_answer_is_lost() {
    let feed = Feed::of(3).await;
    let first = sign_in(&feed).await;
    let (_, second) = refresh(&feed, &first["refresh_token"]).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(refresh(&feed, &first["refresh_token"]).await.1["error"], "invalid_grant");
    feed.simulator.faults().push(Fault::new(Trouble::Reset).matching(GRANT));
    let lost = json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "grant_type": "refresh_token", "refresh_token": second["refresh_token"],
    });
    assert!(feed.client.post(feed.simulator.address_of(GRANT)).json(&lost).send().await.is_err());
    assert_eq!(refresh(&feed, &second["refresh_token"]).await.1["error"], "invalid_grant");
    let outcomes: Vec<_> = feed.simulator.oauth().grants().iter().map(|grant| grant.refused).collect();
    assert_eq!(outcomes, [None, None, Some("invalid_grant"), None, Some("invalid_grant")]);
}

#[tokio::test]
async fn an_expired_access_token_is_refused_with_1020_and_an_unknown_one_without() {
    let feed = Feed::of(3).await;
    feed.simulator.oauth().set_life(Duration::from_hours(1));
    let pair = sign_in(&feed).await;
    feed.simulator.oauth().expire_access_tokens();
    let (status, body) = ask_with(&feed, &pair["access_token"]).await;
    assert_eq!((status, &body["D"]["Code"]), (401, &json!(1020)));
    let (status, body) = ask_with(&feed, &json!("who-is-this")).await;
    assert_eq!((status, &body["D"]), (401, &Value::Null));
}

#[tokio::test]
async fn a_refused_grant_rotates_nothing() {
    let feed = Feed::of(3).await;
    let pair = sign_in(&feed).await;
    feed.simulator.faults().push(Fault::new(Trouble::throttle(Some("1"))).matching(GRANT));
    assert_eq!(refresh(&feed, &pair["refresh_token"]).await.0, 429);
    let stranger = json!({ "client_secret": "no", "grant_type": "refresh_token" });
    assert_eq!(grant(&feed, stranger).await.1["error"], "invalid_client");
    assert_eq!(grant(&feed, json!({ "grant_type": "password" })).await.1["error"], "invalid_request");
    feed.simulator.oauth().answer_without_refresh_token();
    let (status, bare) = refresh(&feed, &pair["refresh_token"]).await;
    assert_eq!((status, bare.as_object().unwrap().len()), (200, 1), "{bare}");
    assert_eq!(refresh(&feed, &pair["refresh_token"]).await.0, 200, "it was voided without a successor");
}
