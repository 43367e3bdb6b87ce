//! Reads what an error's body says, in either of the shapes that arrive on the RESO path.
//!
//! FBS's own client looks for Spark's `D` envelope first, also behind OData addresses, then for `error`.

use serde_json::Value;

/// What a body says went wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Spark's code, or an HTTP status in its place.
    pub(crate) code: Option<i64>,
    /// The feed's own words, which are not to be repeated before they are quoted.
    pub(crate) message: Option<String>,
}

impl Said {
    /// The code, unless it merely repeats an HTTP status.
    pub(crate) fn own_code(&self) -> Option<i64> {
        self.code.filter(|code| !is_status(*code))
    }

    /// The status that the body names in place of a code.
    pub(crate) fn status(&self) -> Option<u16> {
        self.code.filter(|code| is_status(*code)).and_then(|code| u16::try_from(code).ok())
    }
}

/// What the body says; nothing if it is no JSON, or JSON that names no failure.
pub(crate) fn read(body: &[u8]) -> Option<Said> {
    let body: Value = serde_json::from_slice(body).ok()?;
    if let Some(envelope) = body.get("D").filter(|d| d.is_object()) {
        let code = number(&envelope["Code"]);
        let failed = code.is_some() || envelope["Success"] == Value::Bool(false);
        let fields = named(&envelope["SparkQLErrors"], "Token", "Message");
        return failed.then(|| Said { code, message: joined(text(&envelope["Message"]), fields) });
    }
    match body.get("error") {
        Some(word) if word.is_string() => {
            Some(Said { code: None, message: text(&body["error_description"]).or_else(|| text(word)) })
        }
        Some(error) if error.is_object() => {
            let details = error["details"].as_array().into_iter().flatten();
            // Where `error.code` repeats the status, a detail may carry Spark's code.
            let code = std::iter::once(&error["code"])
                .chain(details.map(|detail| &detail["code"]))
                .filter_map(number)
                .reduce(|first, next| if is_status(first) { next } else { first });
            let fields = named(&error["details"], "target", "message");
            Some(Said { code, message: joined(text(&error["message"]), fields) })
        }
        _ => number(&body["Code"]).map(|code| Said { code: Some(code), message: text(&body["Message"]) }),
    }
}

/// What a list of complaints names: the field that the feed does not know (any more), and what is wrong with it.
fn named(complaints: &Value, what: &str, why: &str) -> Vec<String> {
    let one = |complaint: &Value| match (text(&complaint[what]), text(&complaint[why])) {
        (Some(what), Some(why)) => Some(format!("{what}: {why}")),
        (what, why) => what.or(why),
    };
    complaints.as_array().into_iter().flatten().filter_map(one).collect()
}

fn joined(message: Option<String>, mut complaints: Vec<String>) -> Option<String> {
    complaints.splice(..0, message);
    (!complaints.is_empty()).then(|| complaints.join("; "))
}

fn is_status(code: i64) -> bool {
    (100..600).contains(&code)
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_known_is_named_in_either_shape() {
        for body in [
            r#"{"D":{"Success":false,"Code":1040,"Message":"Invalid","SparkQLErrors":[{"Token":"Gone","Message":"Unknown field"}]}}"#,
            r#"{"error":{"code":"400","message":"Invalid","details":[{"code":"1040","target":"Gone","message":"Unknown field"}]}}"#,
        ] {
            let said = read(body.as_bytes()).unwrap();
            assert_eq!(
                (said.code, said.message.as_deref()),
                (Some(1040), Some("Invalid; Gone: Unknown field"))
            );
        }
    }

    fn code(body: &str) -> Option<i64> {
        read(body.as_bytes()).and_then(|said| said.code)
    }

    #[test]
    fn sparks_envelope_goes_before_odatas() {
        let both = r#"{"error":{"code":401,"message":"b"},"D":{"Success":false,"Code":1020,"Message":"a"}}"#;
        let said = read(both.as_bytes()).unwrap();
        assert_eq!((said.code, said.message.as_deref()), (Some(1020), Some("a")));
    }

    #[test]
    fn a_code_may_be_a_number_or_a_text() {
        assert_eq!(code(r#"{"D":{"Code":"1550"}}"#), Some(1550));
        assert_eq!(code(r#"{"error":{"code":"1550"}}"#), Some(1550));
        assert_eq!(code(r#"{"error":{"code":1550}}"#), Some(1550));
        assert_eq!(code(r#"{"Success":false,"Code":1000}"#), Some(1000));
    }

    #[test]
    fn a_code_that_repeats_the_status_gives_way_to_a_detail() {
        assert_eq!(code(r#"{"error":{"code":"400","details":[{"code":"1040"}]}}"#), Some(1040));
        let plain = read(br#"{"error":{"code":401,"message":"no"}}"#).unwrap();
        assert_eq!((plain.own_code(), plain.status()), (None, Some(401)));
    }

    #[test]
    fn a_page_that_failed_without_a_code_still_failed() {
        assert_eq!(read(br#"{"D":{"Success":false}}"#), Some(Said::default()));
        assert_eq!(read(br#"{"D":{"Success":true,"Results":[]}}"#), None);
        assert_eq!(read(br#"{"value":[]}"#), None);
        assert_eq!(read(br#"{"error":" "}"#), Some(Said::default()));
        assert_eq!(read(b"<html>"), None);
    }
}
