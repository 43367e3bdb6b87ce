//! The body of an answer that is no success.

use spark_fetcher::bytes;

use crate::is_a_line;

/// Reads it.
pub fn reads(input: &[u8]) {
    drop(bytes::refusal(input));
}

/// The feed's words are one short line, and not an empty one.
pub fn holds(input: &[u8]) {
    if let Some((_, Some(message))) = bytes::refusal(input) {
        is_a_line(&message);
        assert_eq!(message.trim(), message);
        assert!(!message.is_empty(), "an empty message is none");
    }
}
