//! A secret, and every form in which it could be seen.

use std::fmt::Write as _;

/// What must not be seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secret {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

/// Panics where a secret stands in the text, in whatever form.
pub(crate) fn assert_unseen(secrets: &[Secret], place: &str, text: &str) {
    for secret in secrets {
        for (form, needle) in forms(secret.text) {
            if let Some(at) = text.find(&needle) {
                let from = text.floor_char_boundary(at.saturating_sub(300));
                let to = text.ceil_char_boundary(at + needle.len() + 100);
                panic!("{place} shows the {}, {form}: …{}…", secret.name, &text[from..to]);
            }
        }
    }
}

/// How programs write a text down.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let json = inner(&serde_json::Value::from(secret).to_string());
    let bytes: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![
        ("as it is", secret.to_owned()),
        ("in lower case", secret.to_ascii_lowercase()),
        ("within JSON", json.clone()),
        ("within JSON within JSON", inner(&serde_json::Value::from(json).to_string())),
        ("as Rust shows it", inner(&format!("{secret:?}"))),
        ("as Rust shows bytes", secret.as_bytes().escape_ascii().to_string()),
        ("as numbers", bytes.join(", ")),
        ("as JSON's numbers", bytes.join(",")),
        (
            "in hexadecimal",
            secret
                .bytes()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .filter_map(|half| char::from_digit(half.into(), 16))
                .collect(),
        ),
        ("within HTML", html(secret)),
    ];
    for (form, spared) in [
        ("percent-encoded", "-._~"),
        ("percent-encoded, all of it", ""),
        ("percent-encoded within a query", "-._~!$'()*+,;=:@/?"),
        ("percent-encoded within a user", "-._~!$'()*+,;=%\\&"),
    ] {
        forms.push((form, percent(secret, spared, true)));
        forms.push((form, percent(secret, spared, false)));
    }
    // Whatever stands before it ("user:") shifts the letters.
    for before in 0..3 {
        let whole = base64(&[&vec![b'x'; before], secret.as_bytes()].concat());
        let core = whole[if before == 0 { 0 } else { 4 }..whole.len() / 4 * 4 - 4].to_owned();
        forms.push(("in base64 for URLs", core.replace('+', "-").replace('/', "_")));
        forms.push(("in base64", core));
    }
    forms
}

fn inner(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Every byte but letters, digits and those spared becomes `%XX`.
pub(crate) fn percent(text: &str, spared: &str, upper: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let kept = byte.is_ascii_alphanumeric() || spared.as_bytes().contains(&byte);
        // Writing to a String cannot fail.
        let _ = match (kept, upper) {
            (true, _) => write!(out, "{}", char::from(byte)),
            (false, true) => write!(out, "%{byte:02X}"),
            (false, false) => write!(out, "%{byte:02x}"),
        };
        out
    })
}

/// The standard alphabet, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |sum, at| sum << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = char::from(LETTERS[(number >> (18 - 6 * at)) as usize & 63]);
            out.push(if at <= group.len() { letter } else { '=' });
        }
    }
    out
}

#[test]
fn every_form_of_a_secret_is_recognised() {
    let text = "T0k\"e+/n&%s";
    let secret = [Secret { name: "token", text }];
    let found = |place: &str| std::panic::catch_unwind(|| assert_unseen(&secret, "a text", place)).is_err();
    assert_eq!(base64(b"Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    for shown in [
        text.to_owned(),
        format!("{text:?}"),
        serde_json::json!({ "a": text }).to_string(),
        serde_json::json!({ "a": serde_json::json!({ "b": text }).to_string() }).to_string(),
        format!("{:?}", text.as_bytes()),
        "<b>T0k&quot;e+/n&amp;%s</b>".to_owned(),
        "?a=T0k%22e%2B%2Fn%26%25s&b".to_owned(),
        "?a=T0k%22e%2b%2fn%26%25s&b".to_owned(),
        base64(text.as_bytes()),
        base64(format!("u:{text}").as_bytes()),
        base64(format!("us:{text}").as_bytes()),
        base64(format!("use:{text}").as_bytes()),
    ] {
        assert!(found(&shown), "{shown}");
    }
    assert!(!found("nothing of that kind, only T0k and e+/n"));
}
