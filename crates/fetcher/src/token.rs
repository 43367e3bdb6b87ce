//! The access token: where it comes from, and the forms in which it may leave this module.
//!
//! Rule: the text goes into one header, marked sensitive, into one hash, and into what is never to be quoted.
//! Nothing else sees it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::keeper::Issued;
use crate::quote::Forms;
use crate::settings::{Authorization, SettingsError, TokenSource};

/// Separates this hash from any other made of the same token.
const BUDGET_CONTEXT: &str = "spark-replicator 2026-11 request budget of one access token";

pub(crate) struct Token {
    header: HeaderValue,
    print: [u8; 32],
    /// Zero where nobody counts.
    generation: i64,
    forms: Arc<Forms>,
}

impl Token {
    /// The token of a source that can be read at once; none if it is kept outside.
    pub(crate) fn load(source: &TokenSource, scheme: Authorization) -> Result<Option<Self>, SettingsError> {
        let token = match source {
            TokenSource::Text(text) => {
                Self::new(text.expose_secret(), scheme, || "the configuration".to_owned())?
            }
            TokenSource::File(path) => {
                let text = SecretString::from(read(path)?);
                Self::new(text.expose_secret(), scheme, || format!("token_file {}", path.display()))?
            }
            TokenSource::Kept(_) | TokenSource::Nowhere => return Ok(None),
        };
        Ok(Some(token))
    }

    /// A token that was kept for us.
    pub(crate) fn issued(issued: &Issued, scheme: Authorization) -> Result<Self, SettingsError> {
        let place = || "the token endpoint's answer".to_owned();
        let token = Self::new(issued.access.expose_secret(), scheme, place)?;
        Ok(Self { generation: issued.generation, ..token })
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
            print: blake3::derive_key(BUDGET_CONTEXT, text.as_bytes()),
            generation: 0,
            forms: Arc::new(Forms::of(text)),
        })
    }

    /// The whole `Authorization` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Equal for equal tokens, and not reversible.
    pub(crate) fn print(&self) -> [u8; 32] {
        self.print
    }

    /// Which of its keeper's tokens it is.
    pub(crate) fn generation(&self) -> i64 {
        self.generation
    }

    /// What must be taken out of the words of others.
    pub(crate) fn forms(&self) -> &Arc<Forms> {
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
        Token::load(&TokenSource::Text(text.into()), Authorization::Bearer).map(Option::unwrap)
    }

    #[test]
    fn the_line_break_at_a_files_end_is_not_part_of_the_token() {
        assert_eq!(token("abc\n").unwrap().header(), "Bearer abc");
        assert_eq!(token("abc").unwrap().print(), token(" abc \r\n").unwrap().print());
    }

    #[test]
    fn two_tokens_have_two_budgets_in_either_scheme() {
        let oauth = Token::load(&TokenSource::Text("abc".into()), Authorization::OAuth).unwrap().unwrap();
        assert_eq!(oauth.header(), "OAuth abc");
        assert_eq!(oauth.print(), token("abc").unwrap().print());
        assert_ne!(token("abd").unwrap().print(), token("abc").unwrap().print());
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
