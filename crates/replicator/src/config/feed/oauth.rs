//! `[feeds.NAME.oauth]`: a feed whose tokens expire, and who we are to its token endpoint.

use std::path::PathBuf;

use url::Url;

use super::super::layers::Source;
use super::super::section::{Secret, Section};
use super::words;

const KNOWN: &[&str] = &[
    "client_id",
    "client_secret",
    "client_secret_file",
    "redirect_uri",
    "key_file",
    "authorize_url",
    "grant_url",
];

/// How a feed is signed in to.
#[derive(Debug)]
pub(crate) struct OAuth {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    /// As registered with the key, to the letter.
    pub(crate) redirect_uri: String,
    /// Holds the key that encrypts the tokens.
    pub(crate) key_file: PathBuf,
    pub(crate) authorize_url: Url,
    pub(crate) grant_url: Url,
}

impl OAuth {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let set: Vec<String> = section.names().into_iter().map(|(name, _)| name).collect();
        let client_id = section.optional("client_id", some_text);
        let client_secret = section.secret("client_secret");
        let redirect_uri = section.optional("redirect_uri", redirect_uri);
        let key_file = section.optional("key_file", |text| some_text(text).map(PathBuf::from));
        let authorize_url = section.address("authorize_url", "https://sparkplatform.com/oauth2", endpoint);
        let grant_url = section.address("grant_url", "https://sparkapi.com/v1/oauth2/grant", endpoint);
        for (name, file, remedy) in [
            ("client_id", "", "write the key's client id"),
            ("client_secret", "client_secret_file", "write client_secret_file = \"/path/to/the/secret\""),
            ("redirect_uri", "", "write the address that is registered with the key"),
            ("key_file", "", "`openssl rand -base64 32` makes the key; write key_file = \"/path/to/it\""),
        ] {
            if !set.iter().any(|set| set == name || set == file) {
                section.find(name, None, Source::Default, format!("it is missing; {remedy}"));
            }
        }
        section.finish(KNOWN);
        Some(Self {
            client_id: client_id?,
            client_secret: client_secret?,
            redirect_uri: redirect_uri?,
            key_file: key_file?,
            authorize_url: authorize_url?,
            grant_url: grant_url?,
        })
    }
}

fn some_text(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Sent as it is written: a slash too many is another address to the token endpoint.
fn redirect_uri(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if url.fragment().is_none() => Ok(text.to_owned()),
        _ => {
            Err("write the address that is registered with the key, like http://127.0.0.1:8910/back"
                .to_owned())
        }
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("{error}; write a URL that begins with https://"))?;
    words::base_url(text)
}
