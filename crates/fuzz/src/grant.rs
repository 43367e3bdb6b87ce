//! An answer of the token endpoint: its status by the first byte, then its body.

use std::time::Duration;

use secrecy::ExposeSecret;
use spark_fetcher::bytes;
use spark_fetcher::grant::Pair;

use crate::is_a_line;

fn read(input: &[u8]) -> Option<Result<Pair, String>> {
    let (first, body) = input.split_first()?;
    let status = [200, 400, 401, 429, 503][usize::from(*first) % 5];
    Some(bytes::grant(status, body))
}

/// Reads it.
pub fn reads(input: &[u8]) {
    drop(read(input));
}

/// A pair can be sent in a header, and ends one day; everything else is one short line.
pub fn holds(input: &[u8]) {
    match read(input) {
        Some(Ok(Pair { access, refresh, life })) => {
            for token in [Some(access), refresh].into_iter().flatten() {
                let token = token.expose_secret();
                assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
            }
            assert!(life <= Duration::from_hours(24 * 366), "{life:?}");
        }
        Some(Err(words)) => is_a_line(&words),
        None => {}
    }
}
