//! The words that stand for domain values in columns, and back. A word that this version does not know was
//! written by a newer one: that is said, not guessed around.

use std::time::Duration;

use spark_domain::walk::Paging;
use spark_domain::{Expansion, FeedName, Hash, Job, KeyListForm, RecordKey, Relation, Resource};

use crate::error::Error;

/// A duration in whole microseconds, which is Postgres' own grain.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A count as Postgres holds it.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count as we hold it; a column that counts is never below zero.
pub(crate) fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Feed names of column `feed`.
pub(crate) fn feed(text: &str) -> Result<FeedName, Error> {
    text.parse().map_err(|_| unknown("feed", text))
}

/// Entity sets of column `resource`.
pub(crate) fn resource(text: &str) -> Result<Resource, Error> {
    text.parse().map_err(|_| unknown("resource", text))
}

/// Jobs of column `job`.
pub(crate) fn job(text: &str) -> Result<Job, Error> {
    text.parse().map_err(|_| unknown("job", text))
}

/// Navigation properties of column `relation`.
pub(crate) fn relation(text: &str) -> Result<Relation, Error> {
    text.parse().map_err(|_| unknown("relation", text))
}

/// Expansions of column `relation`, where a part of one may stand.
pub(crate) fn expansion(text: &str) -> Result<Expansion, Error> {
    text.parse().map_err(|_| unknown("relation", text))
}

/// Keys of column `key`.
pub(crate) fn key(text: &str) -> Result<RecordKey, Error> {
    RecordKey::new(text).map_err(|_| unknown("key", text))
}

/// The word for a way of paging.
pub(crate) const fn paging_word(paging: Paging) -> &'static str {
    match paging {
        Paging::NextLink => "next_link",
        Paging::Key => "key",
    }
}

/// The way of paging of a word.
pub(crate) fn paging(text: &str) -> Result<Paging, Error> {
    [Paging::NextLink, Paging::Key]
        .into_iter()
        .find(|paging| paging_word(*paging) == text)
        .ok_or_else(|| unknown("paging", text))
}

/// The word for a spelling of key lists.
pub(crate) const fn key_form_word(form: KeyListForm) -> &'static str {
    match form {
        KeyListForm::In => "in",
        KeyListForm::EqOr => "eq_or",
        KeyListForm::Single => "single",
    }
}

/// The spelling of key lists of a word.
pub(crate) fn key_form(text: &str) -> Result<KeyListForm, Error> {
    [KeyListForm::In, KeyListForm::EqOr, KeyListForm::Single]
        .into_iter()
        .find(|form| key_form_word(*form) == text)
        .ok_or_else(|| unknown("key_form", text))
}

/// The complaint about a word that stands in a column.
pub(crate) fn unknown(column: &str, text: &str) -> Error {
    Error::inconsistent(format!(
        "column {column} holds {text:?}, which this version does not know; a newer one wrote it: update this program"
    ))
}

/// The hash in a row.
pub(crate) fn hash(bytes: &[u8]) -> Result<Hash, Error> {
    let hash = bytes.try_into().map_err(|_| {
        Error::inconsistent(format!(
            "a hash in mls has {} bytes instead of 16; the row was not written by us",
            bytes.len()
        ))
    })?;
    Ok(Hash(hash))
}
