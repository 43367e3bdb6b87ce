//! What holds of a question in either dialect, before it is spelled.

use spark_domain::walk::Position;
use spark_domain::{Filter, KeyListForm, Query, RecordKey};

/// Proxies and servers disagree about more than 8 KB; headers need some of that.
pub(crate) const LONGEST_URL: usize = 6 * 1024;

/// `SparkQL` takes 200 values in a list and 75 expressions in a filter (Spark 1041), some for the feed's own.
const MOST_IN_LIST: usize = 200;
const MOST_EXPRESSIONS: usize = 60;

/// The key that the page begins behind, if any. The error says why the question has no spelling.
pub(crate) fn checked<'p>(
    query: &Query,
    position: &'p Position,
) -> Result<Option<&'p RecordKey>, &'static str> {
    let after = match position {
        Position::Start => None,
        Position::After(key) => Some(key),
        Position::Link(_) => return Err("a link is followed, not spelled"),
        Position::End => return Err("the walk is at its end"),
    };
    match &query.filter {
        Filter::Keys(keys, _) if keys.is_empty() => Err("the list of keys is empty"),
        Filter::Keys(keys, KeyListForm::Single) if keys.len() > 1 => Err("the form Single takes one key"),
        Filter::Keys(..) | Filter::All | Filter::Modified { .. } => Ok(after),
    }
}

/// The key of a question that is answered by one record. A record's own address takes no condition, so a feed
/// that has a filter asks for the key by one: its filter must not be left out of any question.
pub(crate) fn single<'q>(query: &'q Query, filter: &str) -> Option<&'q RecordKey> {
    match &query.filter {
        Filter::Keys(keys, KeyListForm::Single) if filter.is_empty() => keys.first(),
        _ => None,
    }
}

/// How many leading keys one question holds, for the length of its address and the limits of its condition; at
/// least 1. `address` tells the length for a question, `literal` that of one key in it.
pub(crate) fn keys_that_fit(
    query: &Query,
    keys: &[RecordKey],
    address: impl Fn(&Query) -> usize,
    literal: impl Fn(&RecordKey) -> usize,
) -> usize {
    let Filter::Keys(_, form) = &query.filter else { return keys.len().clamp(1, MOST_IN_LIST) };
    let most = match form {
        KeyListForm::In => MOST_IN_LIST,
        KeyListForm::EqOr => MOST_EXPRESSIONS,
        KeyListForm::Single => return 1,
    };
    let Some((first, rest)) = keys.split_first() else { return 1 };
    let length =
        |keys: &[RecordKey]| address(&Query { filter: Filter::Keys(keys.to_vec(), *form), ..query.clone() });
    let mut so_far = length(std::slice::from_ref(first));
    // What each further key adds, besides the key: measured, so that it cannot drift from the spelling.
    let separator = length(&[first.clone(), first.clone()]) - so_far - literal(first);
    let fitting = rest
        .iter()
        .take_while(|key| {
            so_far += literal(key) + separator;
            so_far <= LONGEST_URL
        })
        .count();
    (1 + fitting).min(most)
}
