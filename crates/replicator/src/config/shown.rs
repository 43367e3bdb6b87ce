//! Addresses as people may see them.

use url::Url;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// An address with its password masked, also one that is given as a parameter. What does not read as its
/// writer meant it, as where a `/` or `#` of the password was not escaped, is masked as a whole.
pub(super) fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    if is_misread(&url) || url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if url.query().is_some() {
        let shown = url.query_pairs().map(|(name, value)| {
            let value = if is_secret(&name) { MASK.to_owned() } else { value.into_owned() };
            format!("{name}={value}")
        });
        let shown = shown.collect::<Vec<_>>().join("&");
        url.set_query(Some(&shown));
    }
    url.into()
}

/// Whether an address reads as something else than its writer meant. It would be told to a name server, or to
/// whoever reads that it cannot be reached.
pub(crate) fn is_misread(url: &Url) -> bool {
    let behind_host = [Some(url.path()), url.query(), url.fragment()];
    url.cannot_be_a_base() || behind_host.iter().flatten().any(|part| part.contains('@'))
}

/// How such an address is written so that it is not misread.
pub(super) const ESCAPES: &str = "write %2F, %3F, %23 and %40 for / ? # and @ within a password";

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "token", "secret", "key"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_everything_but_the_password() {
        for (text, shown) in [
            ("postgres://replicator@localhost/mls", "postgres://replicator@localhost/mls"),
            ("postgres:///mls?host=/run/postgresql", "postgres:///mls?host=/run/postgresql"),
            ("postgres://r:hush@db:5433/mls", "postgres://r:***@db:5433/mls"),
            (
                "postgres://db/mls?password=hush&sslmode=require",
                "postgres://db/mls?password=***&sslmode=require",
            ),
            ("http://guard:hush@proxy:3128", "http://guard:***@proxy:3128/"),
            ("https://mls.example/?access_token=hush", "https://mls.example/?access_token=***"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn an_address_that_means_something_else_than_its_writer_did_is_not_shown() {
        for text in [
            "no url: hush",
            "guard:hush@proxy:3128",
            "postgres://r:1/hush@db/mls",
            "postgres://r:1?hush@db/mls",
            "postgres://r:1#hush@db/mls",
        ] {
            assert_eq!(without_password(text), MASK, "{text}");
        }
    }
}
