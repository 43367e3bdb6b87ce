//! What the token endpoint's answer says. Its status varies, so the body goes first.
//!
//! Spark's own clients take every member but `access_token` as optional, and a life of a day for granted.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::Pair;
use crate::error::body;
use crate::error::table::{Class, classify};

/// How long an access token lives that came without its life.
const USUAL_LIFE: Duration = Duration::from_hours(24);

/// A longer life is a slip of the server, and would overflow a date.
pub(super) const LONGEST_LIFE: Duration = Duration::from_hours(24 * 366);

/// An answer as it is to be taken; the words are the endpoint's, unquoted.
#[derive(Debug)]
pub(crate) enum Reading {
    Granted(Pair),
    Void(String),
    Misconfigured(String),
    Throttled(String),
    Refused(String),
    /// It may have granted something.
    Unclear(String),
}

/// Reads an answer of this status.
pub(crate) fn read(status: u16, body: &[u8]) -> Reading {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    if (200..300).contains(&status)
        && let Some(pair) = pair(&json)
    {
        return Reading::Granted(pair);
    }
    let said = body::read(body).unwrap_or_default();
    let (code, status) = (said.own_code(), said.status().unwrap_or(status));
    let error = json["error"].as_str().unwrap_or_default();
    let mut words: Vec<String> = [error.to_owned()].into_iter().filter(|word| !word.is_empty()).collect();
    words.extend(code.map(|code| format!("Spark code {code}")));
    words.extend(said.message.filter(|message| message != error));
    let words = words.join(", ");
    match error {
        "invalid_grant" => return Reading::Void(words),
        "invalid_client"
        | "invalid_request"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "redirect_uri_mismatch" => return Reading::Misconfigured(words),
        _ => {}
    }
    match classify(code, status) {
        Class::Throttled => Reading::Throttled(words),
        Class::Passing => Reading::Unclear(words),
        _ if (200..300).contains(&status) => Reading::Unclear(words),
        Class::Unauthorized | Class::Restricted if code.is_some() => Reading::Misconfigured(words),
        _ => Reading::Refused(words),
    }
}

fn pair(json: &Value) -> Option<Pair> {
    let token = |name: &str| {
        let text = json[name].as_str()?.trim();
        let usable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| SecretString::from(text))
    };
    let seconds = json["expires_in"].as_f64().or_else(|| json["expires_in"].as_str()?.trim().parse().ok());
    let life = seconds.filter(|seconds| *seconds > 0.0);
    let life = life.map(|seconds| Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64())));
    Some(Pair {
        access: token("access_token")?,
        refresh: token("refresh_token"),
        life: life.unwrap_or(USUAL_LIFE),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn granted(body: &str) -> (String, Option<String>, u64) {
        match read(200, body.as_bytes()) {
            Reading::Granted(Pair { access, refresh, life }) => (
                access.expose_secret().to_owned(),
                refresh.map(|refresh| refresh.expose_secret().to_owned()),
                life.as_secs(),
            ),
            other => panic!("{body} was read as {other:?}"),
        }
    }

    #[test]
    fn everything_but_the_access_token_is_optional() {
        let (access, refresh) = ("a".to_owned(), Some("r".to_owned()));
        let whole = r#"{"access_token":"a","refresh_token":"r","expires_in":86384,"token_type":"bearer"}"#;
        assert_eq!(granted(whole), (access.clone(), refresh.clone(), 86_384));
        let in_words = r#"{"access_token":"a","refresh_token":"r","expires_in":"3600"}"#;
        assert_eq!(granted(in_words), (access.clone(), refresh, 3_600));
        for bare in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","refresh_token":null,"expires_in":null}"#,
            r#"{"access_token":"a","refresh_token":"","expires_in":-1}"#,
            r#"{"access_token":"a","expires_in":"soon"}"#,
        ] {
            assert_eq!(granted(bare), (access.clone(), None, 86_400), "{bare}");
        }
        assert_eq!(granted(r#"{"access_token":"a","expires_in":1e300}"#).2, LONGEST_LIFE.as_secs());
    }

    #[test]
    fn a_refusal_is_known_by_its_word_under_any_status() {
        let refusal = br#"{"error":"invalid_grant","error_description":"expired"}"#;
        for status in [200, 400, 401, 500] {
            let Reading::Void(words) = read(status, refusal) else { panic!("{status} hides the word") };
            assert_eq!(words, "invalid_grant, expired");
        }
        for word in ["invalid_client", "invalid_request", "redirect_uri_mismatch"] {
            let body = format!(r#"{{"error":"{word}"}}"#);
            assert!(matches!(read(400, body.as_bytes()), Reading::Misconfigured(words) if words == word));
        }
    }

    #[test]
    fn sparks_own_codes_are_understood_here_too() {
        let d = |code: i64| format!(r#"{{"D":{{"Success":false,"Code":{code},"Message":"no"}}}}"#);
        assert!(
            matches!(read(503, d(1550).as_bytes()), Reading::Throttled(words) if words == "Spark code 1550, no")
        );
        assert!(matches!(read(401, d(1010).as_bytes()), Reading::Misconfigured(_)));
        assert!(matches!(read(429, b""), Reading::Throttled(_)));
    }

    #[test]
    fn what_may_have_granted_something_is_told_from_what_surely_did_not() {
        let page = b"<html>We will be back</html>";
        for status in [200, 204, 500, 502, 504] {
            assert!(matches!(read(status, page), Reading::Unclear(_)), "{status}");
        }
        for status in [302, 400, 403, 404, 405] {
            assert!(matches!(read(status, page), Reading::Refused(_)), "{status}");
        }
        assert!(matches!(read(200, br#"{"access_token":"a b"}"#), Reading::Unclear(_)));
    }
}
