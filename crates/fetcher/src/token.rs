//! The access token: where it comes from, and the forms in which it may leave this module.
//!
//! Rule: the text goes into one header, marked sensitive, into one hash, and into what is never to be quoted.
//! Nothing else sees it.

use std::fs;
use std::path::Path;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::quote::Forms;
use crate::settings::{Authorization, SettingsError, TokenSource};

/// Separates this hash from any other made of the same token.
const BUDGET_CONTEXT: &str = "spark-replicator 2026-11 request budget of one access token";

pub(crate) struct Token {
    header: HeaderValue,
    budget_key: [u8; 32],
    forms: Forms,
}

impl Token {
    pub(crate) fn load(source: &TokenSource, scheme: Authorization) -> Result<Self, SettingsError> {
        match source {
            TokenSource::Text(text) => {
                Self::new(text.expose_secret(), scheme, || "the configuration".to_owned())
            }
            TokenSource::File(path) => {
                let text = SecretString::from(read(path)?);
                Self::new(text.expose_secret(), scheme, || format!("token_file {}", path.display()))
            }
        }
    }

    fn new(text: &str, scheme: Authorization, place: impl Fn() -> String) -> Result<Self, SettingsError> {
        let text = text.trim();
        let unusable = |problem| SettingsError::Token { place: place(), problem };
        if text.is_empty() {
            return Err(unusable("is empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable(
                "holds a space, a line break or a character beyond ASCII; give the token alone",
            ));
        }
        let value = match scheme {
            Authorization::Bearer => format!("Bearer {text}"),
            Authorization::OAuth => format!("OAuth {text}"),
        };
        let mut header =
            HeaderValue::from_str(&value).map_err(|_| unusable("holds a character that no header may"))?;
        header.set_sensitive(true);
        Ok(Self {
            header,
            budget_key: blake3::derive_key(BUDGET_CONTEXT, text.as_bytes()),
            forms: Forms::of(text),
        })
    }

    /// The whole `Authorization` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Equal for equal tokens, and not reversible.
    pub(crate) fn budget_key(&self) -> [u8; 32] {
        self.budget_key
    }

    /// What must be taken out of the words of others.
    pub(crate) fn forms(&self) -> &Forms {
        &self.forms
    }
}

fn read(path: &Path) -> Result<String, SettingsError> {
    fs::read_to_string(path).map_err(|source| SettingsError::TokenFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, SettingsError> {
        Token::load(&TokenSource::Text(text.into()), Authorization::Bearer)
    }

    #[test]
    fn the_line_break_at_a_files_end_is_not_part_of_the_token() {
        assert_eq!(token("abc\n").unwrap().header(), "Bearer abc");
        assert_eq!(token("abc").unwrap().budget_key(), token(" abc \r\n").unwrap().budget_key());
    }

    #[test]
    fn two_tokens_have_two_budgets_in_either_scheme() {
        let oauth = Token::load(&TokenSource::Text("abc".into()), Authorization::OAuth).unwrap();
        assert_eq!(oauth.header(), "OAuth abc");
        assert_eq!(oauth.budget_key(), token("abc").unwrap().budget_key());
        assert_ne!(token("abd").unwrap().budget_key(), token("abc").unwrap().budget_key());
    }

    #[test]
    fn a_token_that_is_none_is_refused_without_being_shown() {
        for bad in ["", " \n", "Bearer abc", "a\nb", "schlüssel"] {
            let refused = token(bad).err().unwrap().to_string();
            assert!(bad.trim().is_empty() || !refused.contains(bad), "{refused}");
        }
        assert!(!format!("{:?}", token("abc").unwrap().header()).contains("abc"));
    }
}
