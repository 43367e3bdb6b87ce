//! The simulator and the throw-away Postgres, asked from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod market;
mod native;
mod native_faults;
mod native_truth;
mod oauth;
mod postgres;
mod proxy;
mod replay;
mod surface;
mod third_party;

use reqwest::header;
use serde_json::Value;
use spark_simulator::{Settings, Simulator};

/// A simulator and a plain client with the right token.
struct Feed {
    simulator: Simulator,
    client: reqwest::Client,
}

impl Feed {
    async fn of(listings: usize) -> Self {
        Self::with(Settings { listings, ..Settings::default() }).await
    }

    async fn with(settings: Settings) -> Self {
        // Fails from the second test on, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(settings).await.unwrap();
        let client = reqwest::Client::builder()
            .user_agent("tests/1")
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { simulator, client }
    }

    /// The address of what is written as in the documents, with its spaces and dollars.
    fn url(&self, path: &str) -> String {
        format!("{}/{}", self.simulator.base_url(), path.replace(' ', "%20"))
    }

    fn request(&self, url: String) -> reqwest::RequestBuilder {
        let authorization = format!("Bearer {}", self.simulator.token());
        self.client.get(url).header(header::AUTHORIZATION, authorization)
    }

    /// Status and body; the body is null if it is not JSON.
    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.request(self.url(path)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    /// All records of a list, by following its links.
    async fn walk(&self, path: &str) -> Vec<Value> {
        let mut next = Some(self.url(path));
        let mut records = Vec::new();
        while let Some(url) = next {
            let page: Value = self.request(url).send().await.unwrap().json().await.unwrap();
            records.extend(page["value"].as_array().unwrap().clone());
            next = page["@odata.nextLink"].as_str().map(str::to_owned);
        }
        records
    }

    /// Status and envelope of an answer of the native surface.
    async fn ask(&self, path: &str) -> (u16, Value) {
        let url = format!("{}/{}", self.simulator.spark_base_url(), path.replace(' ', "%20"));
        let answer = self.request(url).send().await.unwrap();
        let status = answer.status().as_u16();
        let mut body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        (status, body["D"].take())
    }

    /// The records of a native answer.
    async fn results(&self, path: &str) -> Vec<Value> {
        let (status, mut envelope) = self.ask(path).await;
        assert!(status == 200 && envelope["Success"] == true, "{path}: {envelope}");
        serde_json::from_value(envelope["Results"].take()).unwrap()
    }

    /// All records of a native list: until a page has none, or no token, or the token that it was asked with.
    async fn follow(&self, path: &str) -> Vec<Value> {
        let mut token = String::new();
        let mut records = Vec::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let (status, envelope) = self.ask(&format!("{path}{joint}_skiptoken={token}")).await;
            assert_eq!(status, 200, "{envelope}");
            let page = envelope["Results"].as_array().unwrap();
            records.extend(page.clone());
            match envelope["SkipToken"].as_str() {
                Some(next) if !page.is_empty() && next != token => next.clone_into(&mut token),
                _ => return records,
            }
        }
    }

    async fn keys(&self, path: &str, field: &str) -> Vec<String> {
        let records = self.walk(path).await;
        records.iter().map(|record| record[field].as_str().unwrap().to_owned()).collect()
    }
}
