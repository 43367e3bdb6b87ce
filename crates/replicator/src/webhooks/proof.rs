//! Whether a delivery comes from whom it says: a signature over its body, a token, or both.
//!
//! Rule: nothing is compared but keyed hashes, by a function that takes as long for a near miss as for a wild one;
//! and a delivery to a feed that we do not have is held against a decoy, so that no answer, early or late, tells
//! which feeds there are.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::hmac::{self, HMAC_SHA256, Key, Tag};
use ring::rand::SystemRandom;

use crate::config::feed::Encoding;

/// The header with the signature.
const SIGNATURE: &str = "signature";

/// What may stand before a signature.
const PREFIX: &str = "sha256=";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("this system gives no random numbers")]
pub(super) struct NoRandomness;

/// The proofs that a feed's deliveries must bring. Both are tried of every delivery, in the same time whichever is
/// asked for: what is not is held against a key that nobody has.
pub(super) struct Proofs {
    signature: Key,
    encoding: Encoding,
    must_sign: bool,
    /// The token is kept as its hash under a key of this process.
    bearer: (Key, Tag),
    must_bear: bool,
}

impl Proofs {
    /// Fails only where the system has no randomness.
    pub(super) fn new(
        secret: Option<&str>,
        encoding: Encoding,
        bearer: Option<&str>,
    ) -> Result<Self, NoRandomness> {
        // An empty one would be satisfied by nothing at all.
        let [secret, bearer] =
            [secret, bearer].map(|text| text.map(str::trim).filter(|text| !text.is_empty()));
        let signature = match secret {
            Some(secret) => Key::new(HMAC_SHA256, secret.as_bytes()),
            None => random_key()?,
        };
        let key = random_key()?;
        let tag = hmac::sign(&key, bearer.unwrap_or_default().as_bytes());
        let (must_sign, must_bear) = (secret.is_some(), bearer.is_some());
        Ok(Self { signature, encoding, must_sign, bearer: (key, tag), must_bear })
    }

    /// What nothing satisfies.
    pub(super) fn decoy() -> Result<Self, NoRandomness> {
        Self::new(None, Encoding::Any, None)
    }

    /// Whether the delivery brings all that it must; where it need bring nothing, nobody is believed.
    pub(super) fn hold(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let tag = only(headers, SIGNATURE).and_then(|text| decoded(text, self.encoding));
        let signed = hmac::verify(&self.signature, body, tag.as_deref().unwrap_or_default()).is_ok();
        let token = only(headers, header::AUTHORIZATION.as_str()).and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let (key, known) = &self.bearer;
        let borne = hmac::verify(key, token.unwrap_or_default().as_bytes(), known.as_ref()).is_ok();
        (signed || !self.must_sign) && (borne || !self.must_bear) && (self.must_sign || self.must_bear)
    }
}

fn random_key() -> Result<Key, NoRandomness> {
    Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandomness)
}

/// The one header of a name; none if there are several, of which somebody else may have read another.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim),
        _ => None,
    }
}

fn decoded(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    let is_prefixed = text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let text = if is_prefixed { &text[PREFIX.len()..] } else { text };
    let hex = || unhex(text.as_bytes());
    let base64 = || BASE64.decode(text).ok();
    match encoding {
        Encoding::Hex => hex(),
        // As base64, 64 digits would be longer than any signature.
        Encoding::Any if text.len() == 64 => hex(),
        Encoding::Any | Encoding::Base64 => base64(),
    }
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use spark_simulator::webhooks::{Encoding as Written, sign};

    use super::*;

    const BODY: &[u8] = b"{\"value\":[]}";

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn is_taken(proofs: &Proofs, lines: &[(&str, &str)]) -> bool {
        proofs.hold(&headers(lines), BODY)
    }

    /// As another program makes it, with another library.
    fn signature() -> (String, String) {
        (sign("a secret", BODY, Written::Hex), sign("a secret", BODY, Written::Base64))
    }

    #[test]
    fn a_signature_is_taken_in_every_form_unless_the_configuration_names_one() {
        let (hex, base64) = signature();
        let of_hex = [hex.clone(), hex.to_uppercase(), format!("sha256={hex}"), format!("SHA256={hex}")];
        let of_base64 = [base64.clone(), base64.trim_end_matches('=').to_owned(), format!("sha256={base64}")];
        for (encoding, takes_hex, takes_base64) in
            [(Encoding::Any, true, true), (Encoding::Hex, true, false), (Encoding::Base64, false, true)]
        {
            let proofs = Proofs::new(Some("a secret\n"), encoding, None).unwrap();
            for (forms, expected) in [(&of_hex[..], takes_hex), (&of_base64[..], takes_base64)] {
                for form in forms {
                    assert_eq!(is_taken(&proofs, &[("signature", form)]), expected, "{encoding:?}: {form}");
                }
            }
        }
    }

    #[test]
    fn nothing_else_is_a_signature() {
        let proofs = Proofs::new(Some("a secret"), Encoding::Any, None).unwrap();
        let (hex, base64) = signature();
        let near = format!("{}{}", &hex[..63], if hex.ends_with('0') { '1' } else { '0' });
        for wrong in
            ["", "sha256=", "0", &near, &hex[..62], &format!("{hex}00"), &base64[1..], "sha1=00", "ü"]
        {
            let Ok(value) = axum::http::HeaderValue::from_bytes(wrong.as_bytes()) else { continue };
            let mut headers = HeaderMap::new();
            headers.insert("signature", value);
            assert!(!proofs.hold(&headers, BODY), "{wrong:?}");
        }
        assert!(!is_taken(&proofs, &[]), "without any");
        assert!(!is_taken(&proofs, &[("signature", &hex), ("signature", &hex)]), "twice");
        assert!(!proofs.hold(&headers(&[("signature", &hex)]), b"{\"value\":[1]}"), "of another body");
        let other = Proofs::new(Some("another"), Encoding::Any, None).unwrap();
        assert!(!is_taken(&other, &[("signature", &hex)]), "of another key");
    }

    #[test]
    fn every_proof_that_is_configured_must_be_there() {
        let (hex, _) = signature();
        let both = Proofs::new(Some("a secret"), Encoding::Any, Some("a token")).unwrap();
        let bearer = ("authorization", "Bearer a token");
        assert!(is_taken(&both, &[("signature", &hex), bearer]));
        assert!(!is_taken(&both, &[("signature", &hex)]) && !is_taken(&both, &[bearer]));
        let alone = Proofs::new(None, Encoding::Any, Some("a token")).unwrap();
        assert!(is_taken(&alone, &[("authorization", "bearer a token")]));
        for wrong in ["Bearer a toke", "Bearer ", "Bearer", "Basic a token", "a token", "Bearer a token2"] {
            assert!(!is_taken(&alone, &[("authorization", wrong)]), "{wrong}");
        }
        for nothing in [None, Some(""), Some(" \n")] {
            assert!(!is_taken(&Proofs::new(nothing, Encoding::Any, nothing).unwrap(), &[]), "{nothing:?}");
        }
        assert!(!is_taken(&Proofs::decoy().unwrap(), &[("signature", &hex), bearer]));
    }
}
