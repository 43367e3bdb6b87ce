//! The RESO surface: what a URL asks, and the JSON it gets.
//!
//! Written from Spark's documents and recorded pages alone. It is strict where Spark is known or expected to
//! be, so that a wrongly encoded request fails here as it would there.

mod filter;
mod metadata;
mod page;
mod query;

use std::fmt::Write as _;

pub(crate) use self::{
    metadata::edmx,
    page::{Context, answer},
};
use crate::{faults::ErrorShape, world::string};

/// The path below which the surface lives.
pub(crate) const PATH: &str = "/Version/3/Reso/OData";

/// An answer before delivery.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    pub(crate) records: usize,
}

impl Answer {
    pub(crate) fn json(body: String, records: usize) -> Self {
        Self { status: 200, content_type: "application/json;odata.metadata=minimal", body, records }
    }

    pub(crate) fn error(shape: ErrorShape, status: u16, code: i64, message: &str) -> Self {
        let mut body = String::new();
        match shape {
            ErrorShape::Error => {
                let _ = write!(body, "{{\"error\":{{\"code\":{code},\"message\":");
                string(&mut body, message);
                body.push_str("}}");
            }
            ErrorShape::D => {
                let _ = write!(body, "{{\"D\":{{\"Success\":false,\"Code\":{code},\"Message\":");
                string(&mut body, message);
                body.push_str("}}");
            }
        }
        Self { status, content_type: "application/json", body, records: 0 }
    }

    /// 400 for a query option, as OData says it; the code is Spark's.
    fn bad(target: &str, code: i64, message: &str) -> Self {
        let mut body = "{\"error\":{\"code\":\"400\",\"message\":".to_owned();
        string(&mut body, message);
        body.push_str(",\"target\":");
        string(&mut body, target);
        let _ = write!(body, ",\"details\":[{{\"code\":\"{code}\",\"message\":");
        string(&mut body, message);
        body.push_str("}]}}");
        Self { status: 400, content_type: "application/json", body, records: 0 }
    }
}

/// The entity set and the key that a decoded path names.
pub(crate) fn entity(path: &str) -> (Option<String>, Option<String>) {
    let rest = path.strip_prefix(PATH).unwrap_or(path).trim_start_matches('/');
    if let Some((name, key)) = rest.split_once('(') {
        let key = key.split(')').next().unwrap_or_default().trim_matches('\'').replace("''", "'");
        (Some(name.to_owned()), Some(key))
    } else {
        let name = rest.split('/').next().unwrap_or_default();
        ((!name.is_empty()).then(|| name.to_owned()), None)
    }
}

/// The options of a query, decoded, in order.
pub(crate) fn params(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Percent-decoding, and nothing else: a plus is a plus (RFC 3986), so a client that encodes forms fails here.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escape.unwrap_or(b'%'));
        rest = rest.get(at + if escape.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Encodes everything that is not unreserved, as Spark's links do.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
