//! `[feeds.NAME.webhook]`: how a feed's deliveries prove that the feed sent them.

use super::super::section::{Secret, Section};
use super::super::units;

/// The proofs that are asked for: each that is set must be there.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    /// The key of the signature.
    pub(crate) secret: Option<Secret>,
    /// The token after `Authorization: Bearer`.
    pub(crate) bearer: Option<Secret>,
    /// How the signature is written.
    pub(crate) signature: Encoding,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Either way.
    Any,
    /// As hexadecimal digits.
    Hex,
    /// As base64.
    Base64,
}

const ENCODINGS: &[(&str, Encoding)] =
    &[("any", Encoding::Any), ("hex", Encoding::Hex), ("base64", Encoding::Base64)];

impl Webhook {
    /// The table; none if it is absent.
    pub(super) fn read(feed: &mut Section<'_>) -> Option<Self> {
        let is_set = feed.names().iter().any(|(name, _)| name == "webhook");
        let mut section = feed.table("webhook");
        let secret = section.secret("secret");
        let bearer = section.secret("bearer");
        let signature = section.optional("signature", units::word(ENCODINGS));
        section.finish(&["secret", "secret_file", "bearer", "bearer_file", "signature"]);
        is_set.then(|| Self { secret, bearer, signature: signature.unwrap_or(Encoding::Any) })
    }
}
