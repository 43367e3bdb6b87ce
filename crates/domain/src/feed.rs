//! The name of a feed: the key of its table in the configuration, its label in every metric, log line and row.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A feed's name: 1 to 63 of `a-z 0-9 _ -`, beginning with a letter or digit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedName(Arc<str>);

/// The text is no feed name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "feed name {0:?} must be 1 to 63 characters of a-z, 0-9, '_' and '-', beginning with a letter or a digit"
)]
pub struct BadFeedName(String);

impl FeedName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FeedName {
    type Err = BadFeedName;

    fn from_str(text: &str) -> Result<Self, BadFeedName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = (1..=63).contains(&text.len())
            && text.bytes().all(|b| plain(b) || b == b'_' || b == b'-')
            && text.bytes().next().is_some_and(plain);
        if fits { Ok(Self(text.into())) } else { Err(BadFeedName(text.to_owned())) }
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_name_is_safe_as_a_label_and_a_table_key() {
        for good in ["beaches", "mls-2", "0_a"] {
            assert_eq!(good.parse::<FeedName>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "Beaches", "-a", "a b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<FeedName>().is_err(), "{bad:?} was taken");
        }
    }
}
