//! `[database]`: which Postgres holds the rows.

use secrecy::ExposeSecret;
use url::Url;

use super::section::{Secret, Section};
use super::shown::{ESCAPES, is_misread, without_password};
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
            if let Err(message) = check_url(text.expose_secret()) {
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
pub(crate) fn check_url(text: &str) -> Result<(), String> {
    let form = "write it like postgres://user@host:5432/database";
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "postgres" | "postgresql") => {
            Err(format!("a URL of Postgres begins with postgres://; {form}"))
        }
        Ok(url) if is_misread(&url) => Err(format!("it has an @ behind its host; {ESCAPES}")),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it is no URL ({error}); {form}")),
    }
}
