//! Tokens at rest: sealed with a key from a file, which the database never sees.
//!
//! A sealed pair is a version, the key's name, a nonce and the ciphertext (ChaCha20-Poly1305). The name is there so
//! that a wrong key is told from a damaged row; the feed's name is authenticated, so that a row which was copied
//! to another feed does not open.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use spark_domain::FeedName;

const VERSION: u8 = 1;
const NAME_LEN: usize = 8;
const NONCE_AT: usize = 1 + NAME_LEN;
const TEXT_AT: usize = NONCE_AT + NONCE_LEN;

/// Separates the key's name from whatever else is made of the key.
const NAME_CONTEXT: &[u8] = b"spark-replicator 2026-11 name of a key that seals tokens";

/// What parts the two tokens: neither may hold it.
const BETWEEN: char = '\n';

/// Seals and opens pairs of tokens.
#[derive(Clone)]
pub struct SealKey(Arc<Key>);

struct Key {
    cipher: LessSafeKey,
    name: [u8; NAME_LEN],
}

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it holds no key: 32 bytes in base64 or hex; `openssl rand -base64 32` makes one")]
pub struct NoKey;

/// A pair as it is sealed.
#[derive(Debug, Clone)]
pub(crate) struct OpenPair {
    pub(crate) access: SecretString,
    pub(crate) refresh: Option<SecretString>,
}

/// Why a sealed pair cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("its tokens are encrypted with another key than that of key_file; put that key back")]
    OtherKey,
    #[error("its encrypted tokens are damaged")]
    Damaged,
    #[error("its tokens were encrypted by a newer version; update this program")]
    Newer,
    #[error("the system gives no random numbers")]
    NoRandom,
}

impl SealKey {
    /// Reads a key: 32 bytes in base64 or hex.
    pub fn parse(text: &str) -> Result<Self, NoKey> {
        let text = text.trim();
        let plain = text.trim_end_matches('=');
        let decoded = from_hex(text)
            .or_else(|| STANDARD_NO_PAD.decode(plain).ok())
            .or_else(|| URL_SAFE_NO_PAD.decode(plain).ok());
        let bytes: [u8; 32] = decoded.and_then(|bytes| bytes.try_into().ok()).ok_or(NoKey)?;
        let cipher = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| NoKey)?);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), NAME_CONTEXT);
        let mut name = [0; NAME_LEN];
        name.copy_from_slice(&tag.as_ref()[..NAME_LEN]);
        Ok(Self(Arc::new(Key { cipher, name })))
    }

    pub(crate) fn seal(&self, feed: &FeedName, pair: &OpenPair) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::NoRandom)?;
        let refresh = pair.refresh.as_ref().map_or("", |refresh| refresh.expose_secret());
        let mut text = format!("{}{BETWEEN}{refresh}", pair.access.expose_secret()).into_bytes();
        let sealing =
            self.0.cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(feed), &mut text);
        sealing.map_err(|_| SealError::Damaged)?;
        Ok([&[VERSION], &self.0.name[..], &nonce, &text].concat())
    }

    pub(crate) fn open(&self, feed: &FeedName, sealed: &[u8]) -> Result<OpenPair, SealError> {
        if sealed.first().is_some_and(|version| *version > VERSION) {
            return Err(SealError::Newer);
        }
        if sealed.len() < TEXT_AT || sealed[0] != VERSION {
            return Err(SealError::Damaged);
        }
        if sealed[1..NONCE_AT] != self.0.name {
            return Err(SealError::OtherKey);
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed[NONCE_AT..TEXT_AT]);
        let mut text = sealed[TEXT_AT..].to_vec();
        let opened =
            self.0.cipher.open_in_place(nonce.map_err(|_| SealError::Damaged)?, aad(feed), &mut text);
        let opened = std::str::from_utf8(opened.map_err(|_| SealError::Damaged)?);
        let (access, refresh) =
            opened.ok().and_then(|text| text.split_once(BETWEEN)).ok_or(SealError::Damaged)?;
        let refresh = Some(refresh).filter(|refresh| !refresh.is_empty()).map(SecretString::from);
        Ok(OpenPair { access: access.into(), refresh })
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey([secret])")
    }
}

fn aad(feed: &FeedName) -> Aad<String> {
    Aad::from(format!("spark-replicator oauth_token {VERSION} {feed}"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|letter| letter.to_digit(16)).collect::<Option<_>>()?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair.get(1)?).ok();
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn key(text: &str) -> SealKey {
        SealKey::parse(text).unwrap()
    }

    fn pair(refresh: Option<&str>) -> OpenPair {
        OpenPair { access: "acc/ess+1".into(), refresh: refresh.map(SecretString::from) }
    }

    fn feed(name: &str) -> FeedName {
        name.parse().unwrap()
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_key_however_it_is_written() {
        let sealed = key(ONE).seal(&feed("beaches"), &pair(Some("refresh"))).unwrap();
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        for text in [ONE, ONE.trim_end_matches('='), hex, &format!(" {ONE}\n")] {
            let opened = key(text).open(&feed("beaches"), &sealed).unwrap();
            assert_eq!(opened.access.expose_secret(), "acc/ess+1");
            assert_eq!(opened.refresh.unwrap().expose_secret(), "refresh");
        }
        let bare = key(ONE).seal(&feed("beaches"), &pair(None)).unwrap();
        assert!(key(ONE).open(&feed("beaches"), &bare).unwrap().refresh.is_none());
    }

    #[test]
    fn nothing_of_the_tokens_is_seen_and_no_two_sealings_are_alike() {
        let seal = || key(ONE).seal(&feed("beaches"), &pair(Some("refresh"))).unwrap();
        let (one, two) = (seal(), seal());
        assert_ne!(one[NONCE_AT..TEXT_AT], two[NONCE_AT..TEXT_AT], "a nonce was used twice");
        assert_ne!(one[TEXT_AT..], two[TEXT_AT..]);
        let seen = String::from_utf8_lossy(&one);
        assert!(!seen.contains("acc/ess") && !seen.contains("refresh"), "{seen}");
        assert_eq!(format!("{:?}", key(ONE)), "SealKey([secret])");
    }

    #[test]
    fn another_key_another_feed_and_a_damaged_row_are_told_apart() {
        let beaches = feed("beaches");
        let sealed = key(ONE).seal(&beaches, &pair(Some("refresh"))).unwrap();
        let other = key(&ONE.replace("AAEC", "BBEC"));
        let problem = |key: &SealKey, feed: &FeedName, sealed: &[u8]| key.open(feed, sealed).unwrap_err();
        assert_eq!(problem(&other, &beaches, &sealed), SealError::OtherKey);
        assert_eq!(problem(&key(ONE), &feed("hills"), &sealed), SealError::Damaged);
        for at in [NONCE_AT, TEXT_AT, sealed.len() - 1] {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(problem(&key(ONE), &beaches, &damaged), SealError::Damaged, "byte {at}");
        }
        for length in 0..sealed.len() {
            assert_eq!(problem(&key(ONE), &beaches, &sealed[..length]), SealError::Damaged, "{length} bytes");
        }
        let newer = [&[VERSION + 1], &sealed[1..]].concat();
        assert_eq!(problem(&key(ONE), &beaches, &newer), SealError::Newer);
    }

    #[test]
    fn a_text_that_is_no_key_is_answered_with_how_to_make_one() {
        for bad in ["", "secret", &ONE[4..], &format!("{ONE}{ONE}"), "0001", "schlüssel"] {
            let said = SealKey::parse(bad).unwrap_err().to_string();
            assert!(said.contains("openssl rand -base64 32"), "{said}");
        }
    }
}
