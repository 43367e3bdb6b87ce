//! The link to the next page: the token goes where it leads.

use spark_fetcher::bytes;
use url::{Origin, Url};

use crate::is_a_line;

const BASE: &str = "https://replication.example:8443/Version/3/Reso/OData/";
const ASKED: &str = "https://replication.example:8443/Version/3/Reso/OData/Property?$top=100";

/// Keeps it and follows it.
pub fn reads(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (Ok(base), Ok(asked)) = (Url::parse(BASE), Url::parse(ASKED)) else { return };
    if let Ok(link) = bytes::keep_link(&base, &asked, &text) {
        let _ = bytes::follow_link(&base, &link, Some(7));
    }
}

/// A link that is kept leads to the feed's own origin, whatever page size is put into it, and without
/// credentials of its own; kept again, it is the same.
pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (Ok(base), Ok(asked)) = (Url::parse(BASE), Url::parse(ASKED)) else { return };
    let at_home = |url: &Url| {
        let home = Origin::Tuple("https".into(), url::Host::Domain("replication.example".into()), 8443);
        assert_eq!(url.origin(), home, "the token would go to {url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        assert_eq!(url.fragment(), None);
    };
    if let Ok(url) = bytes::follow_link(&base, &text, Some(7)) {
        at_home(&url);
    }
    let kept = match bytes::keep_link(&base, &asked, &text) {
        Ok(kept) => kept,
        Err(origin) => return is_a_line(&origin),
    };
    assert_eq!(bytes::keep_link(&base, &asked, &kept).as_ref(), Ok(&kept));
    for top in [None, Some(1), Some(1000)] {
        let followed = bytes::follow_link(&base, &kept, top);
        assert!(followed.is_ok(), "it was kept and leads nowhere: {kept:?}");
        let Ok(url) = followed else { return };
        at_home(&url);
        // The size can be lowered and raised again, wherever it was not hidden behind what an address drops.
        if !kept.contains(['\t', '\n', '\r']) {
            assert_eq!(bytes::follow_link(&base, url.as_str(), top), Ok(url));
        }
    }
}
