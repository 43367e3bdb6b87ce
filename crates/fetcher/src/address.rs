//! Addresses below a feed's root: made, and followed no further than its origin.
//!
//! Rules: a space is `%20` and never `+`; `$` stays plain; a link is followed as it was given, except for the
//! value of its page size, and never to another origin, because the token goes along.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use spark_domain::Timestamp;
use url::Url;

use crate::quote::one_line;

/// Characters that mean nothing in a query. The rest is encoded, also what some servers would take plain.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'(')
    .remove(b')')
    .remove(b',')
    .remove(b':');

/// The service root of a feed.
#[derive(Debug, Clone)]
pub(crate) struct Root(Url);

impl Root {
    pub(crate) fn new(base_url: &Url) -> Self {
        let mut root = base_url.clone();
        root.set_path(base_url.path().trim_end_matches('/'));
        Self(root)
    }

    /// The address of a path below the root.
    pub(crate) fn below(&self, path: &str, query: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }

    /// Where a stored link leads, with the value of `page_size` replaced if there is one.
    /// The error is the foreign origin.
    pub(crate) fn link(&self, link: &str, page_size: &str, top: Option<u32>) -> Result<Url, String> {
        let link = top.map_or_else(|| link.to_owned(), |top| with_value(link, page_size, &top.to_string()));
        let mut folder = self.0.clone();
        folder.set_path(&format!("{}/", self.0.path().trim_end_matches('/')));
        self.at_home(&folder, &link)
    }

    /// The link on a page, absolute; as it was given, unless it was relative to the address that was asked.
    pub(crate) fn next(&self, asked: &Url, link: &str) -> Result<String, String> {
        let url = self.at_home(asked, link)?;
        Ok(if Url::parse(link).is_ok() { link.to_owned() } else { url.into() })
    }

    fn at_home(&self, from: &Url, link: &str) -> Result<Url, String> {
        let mut url = from.join(link).map_err(|_| "an unreadable address".to_owned())?;
        let at_home = url.origin() == self.0.origin();
        if !at_home || !url.username().is_empty() || url.password().is_some() {
            return Err(origin_of(&url));
        }
        url.set_fragment(None);
        Ok(url)
    }
}

/// Scheme, host and port of an address, for a message.
pub(crate) fn origin_of(url: &Url) -> String {
    one_line(&url.origin().ascii_serialization())
}

/// A text as it may stand in a query or in one segment of a path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Fractions of a second and offsets are untested on Spark; an earlier lower bound costs only a few rows.
pub(crate) fn floor(moment: Timestamp) -> String {
    moment.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn ceil(moment: Timestamp) -> String {
    let whole = moment.timestamp_subsec_nanos() == 0;
    floor(if whole { moment } else { moment + chrono::TimeDelta::seconds(1) })
}

/// The link with another value of a parameter, if it names one; not a byte else is changed.
pub(crate) fn with_value(link: &str, parameter: &str, value: &str) -> String {
    let Some((path, query)) = link.split_once('?') else { return link.to_owned() };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if percent_decode_str(name).eq(parameter.bytes()) => format!("{name}={value}"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}
