//! Whether a feed's deliveries can be told from anybody else's.

use secrecy::ExposeSecret;

use super::{Findings, read_secret};
use crate::config::{Feed, Secret, Severity};

/// Whoever may guess as often as they like needs a secret that cannot be guessed.
const SHORTEST: usize = 16;

pub(super) fn check(findings: &mut Findings<'_>, feed: &Feed) {
    let Some(webhook) = &feed.webhook else { return };
    let key = |name: &str| format!("feeds.{}.webhook{name}", feed.name);
    if webhook.secret.is_none() && webhook.bearer.is_none() {
        let message = "anybody could deliver; write secret_file = \"/path/to/the/key\" for signed deliveries, \
                       or bearer_file, or both";
        findings.add(Severity::Error, &key(""), message.to_owned());
    }
    for (name, secret) in [("secret", &webhook.secret), ("bearer", &webhook.bearer)] {
        let text = match secret {
            None => continue,
            Some(Secret::Text(text)) => Ok((text.expose_secret().to_owned(), key(&format!(".{name}")))),
            Some(Secret::File(path)) => read_secret(path).map(|text| (text, key(&format!(".{name}_file")))),
        };
        match text {
            Err(message) => findings.add(Severity::Error, &key(&format!(".{name}_file")), message),
            Ok((text, key)) if text.trim().is_empty() => {
                findings.add(Severity::Error, &key, "it is empty".to_owned());
            }
            Ok((text, key)) if text.trim().len() < SHORTEST => {
                let message = format!("it has fewer than {SHORTEST} characters, so it could be guessed");
                findings.add(Severity::Warning, &key, message);
            }
            Ok(_) => {}
        }
    }
    if findings.loaded.config.webhooks.listen.is_none() {
        let message =
            "this instance does not listen for deliveries; write listen = \"127.0.0.1:9465\" into [webhooks]";
        findings.add(Severity::Warning, &key(""), message.to_owned());
    }
}
