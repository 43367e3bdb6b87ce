//! The address of a proxy.

use url::Url;

use crate::config::shown::{ESCAPES, is_misread};

/// Reads it. The error says what to write instead, and nothing of the address but its scheme: it may hold a password.
pub(crate) fn read(text: &str) -> Result<Url, String> {
    const REMEDY: &str = "write a URL like http://proxy:3128";
    let url = Url::parse(text).map_err(|_| REMEDY.to_owned())?;
    if is_misread(&url) {
        return Err(format!("{REMEDY}; {ESCAPES}"));
    }
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other} is not spoken, only HTTP proxies are; {REMEDY}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_used_is_read() {
        for good in ["http://proxy:3128", "https://guard:p%40ss@proxy.example.com"] {
            assert!(read(good).is_ok(), "{good}");
        }
        for (bad, told) in [
            ("socks5://guard:hush@proxy:1080", "socks5 is not spoken"),
            ("socks4a://proxy", "socks4a is not spoken"),
            ("proxy:3128", "http://proxy:3128"),
            ("proxy.example.com", "http://proxy:3128"),
            ("http://guard:1/hush@proxy:3128", "%2F"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(told) && !error.contains("hu"), "{bad}: {error}");
        }
    }
}
