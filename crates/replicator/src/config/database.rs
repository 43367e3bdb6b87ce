//! `[database]`: which Postgres holds the rows.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::section::{Secret, Section};
use super::units;

const KNOWN: &[&str] = &["url", "url_file", "embedded", "max_connections"];

/// The database's settings.
#[derive(Debug)]
pub(crate) struct Database {
    /// Where it is; none if nobody said, which only `demo` can live with.
    pub(crate) target: Option<Target>,
    /// Most connections we hold at a time.
    pub(crate) max_connections: u32,
}

/// Which Postgres.
#[derive(Debug)]
pub(crate) enum Target {
    /// The one at this URL.
    Url(Secret),
    /// One of our own that ends with us and takes its data along.
    Embedded,
}

impl Database {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let url = section.secret("url");
        if let Some(Secret::Text(text)) = &url {
            section.show_last_as(without_password(text.expose_secret()));
            if let Err(message) = check_url(text) {
                section.find_last(message);
            }
        }
        let embedded = section.value("embedded", "false", units::switch);
        let max_connections = section.value("max_connections", "10", units::small_number(2, 1_000));
        let target = match (url, embedded?) {
            (Some(_), true) => {
                section.find_last_of("embedded", "a url is set as well; keep one of the two".to_owned());
                None
            }
            (Some(url), false) => Some(Target::Url(url)),
            (None, true) => Some(Target::Embedded),
            (None, false) => None,
        };
        section.finish(KNOWN);
        Some(Self { target, max_connections: max_connections? })
    }
}

/// Whether the text is a Postgres URL; the answer never repeats it, since it may hold a password.
pub(crate) fn check_url(text: &SecretString) -> Result<(), String> {
    let form = "write it like postgres://user@host:5432/database";
    match Url::parse(text.expose_secret()) {
        Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(()),
        Ok(url) => {
            Err(format!("a URL of Postgres begins with postgres:// and not {}:; {form}", url.scheme()))
        }
        Err(error) => Err(format!("it is no URL ({error}); {form}")),
    }
}

/// An URL for people: its password, also one given as a parameter, is `***`.
pub(crate) fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return "***".to_owned() };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    if url.query().is_some() {
        let hidden = |name: &str| name.to_ascii_lowercase().contains("password");
        let shown = url.query_pairs().map(|(name, value)| {
            let value = if hidden(&name) { "***".to_owned() } else { value.into_owned() };
            format!("{name}={value}")
        });
        let shown = shown.collect::<Vec<_>>().join("&");
        url.set_query(Some(&shown));
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_keeps_everything_but_the_password() {
        for (text, shown) in [
            ("postgres://replicator@localhost/mls", "postgres://replicator@localhost/mls"),
            ("postgres://r:hush@db:5433/mls", "postgres://r:***@db:5433/mls"),
            (
                "postgres://db/mls?password=hush&sslmode=require",
                "postgres://db/mls?password=***&sslmode=require",
            ),
            ("no url: hush", "***"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
