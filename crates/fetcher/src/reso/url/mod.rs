//! Spells questions as OData addresses, and follows links.
//!
//! Rule: quotes within a literal are doubled, then encoded.

use spark_domain::walk::{Paging, Position};
use spark_domain::{Filter, KeyListForm, Query, RecordKey};
use url::Url;

use crate::address::{Root, ceil, encoded, floor};
use crate::question::{self, checked};

/// The service root of a feed and its standing filter.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    root: Root,
    filter: String,
}

impl Service {
    pub(crate) fn new(base_url: &Url, filter: &str) -> Self {
        Self { root: Root::new(base_url), filter: filter.trim().to_owned() }
    }

    pub(crate) fn metadata(&self) -> Url {
        self.root.below("$metadata", "")
    }

    /// The address of a page that no link leads to. The error says why the question has no spelling.
    pub(crate) fn page(
        &self,
        query: &Query,
        position: &Position,
        paging: Paging,
        top: u32,
    ) -> Result<Url, &'static str> {
        let after = checked(query, position)?;
        if let Some(key) = self.single(query) {
            let entity = format!("{}('{}')", query.resource, literal(key.as_str()));
            return Ok(self.root.below(&entity, &options(query, None).join("&")));
        }
        let mut parts = vec![format!("$top={top}")];
        if query.count && *position == Position::Start {
            parts.push("$count=true".to_owned());
        }
        parts.extend(options(query, self.filter(query, after).as_deref()));
        if paging == Paging::Key {
            parts.push(format!("$orderby={}", query.resource.key_field()));
        }
        Ok(self.root.below(query.resource.as_str(), &parts.join("&")))
    }

    /// The key of a question that is answered by one bare record.
    pub(crate) fn single<'q>(&self, query: &'q Query) -> Option<&'q RecordKey> {
        question::single(query, &self.filter)
    }

    /// Where a stored link leads, with the value of `$top` replaced if there is one.
    /// The error is the foreign origin.
    pub(crate) fn link(&self, link: &str, top: Option<u32>) -> Result<Url, String> {
        self.root.link(link, "$top", top)
    }

    /// The link on a page, absolute; as it was given, unless it was relative to the address that was asked.
    pub(crate) fn next(&self, asked: &Url, link: &str) -> Result<String, String> {
        self.root.next(asked, link)
    }

    /// How many leading keys one question holds; at least 1.
    pub(crate) fn keys_that_fit(&self, query: &Query, keys: &[RecordKey]) -> usize {
        let address = |query: &Query| {
            self.page(query, &Position::Start, Paging::Key, 1000).map_or(usize::MAX, |url| url.as_str().len())
        };
        question::keys_that_fit(query, keys, address, |key| literal(key.as_str()).len())
    }

    fn filter(&self, query: &Query, after: Option<&RecordKey>) -> Option<String> {
        let mut terms = Vec::new();
        let key_field = query.resource.key_field();
        match &query.filter {
            Filter::All => {}
            Filter::Modified { after, until } => {
                terms.push(format!("ModificationTimestamp gt {}", floor(*after)));
                terms.extend(until.map(|until| format!("ModificationTimestamp le {}", ceil(until))));
            }
            Filter::Keys(keys, KeyListForm::In) => {
                let list: Vec<String> = keys.iter().map(quoted).collect();
                terms.push(format!("{key_field} in ({})", list.join(",")));
            }
            Filter::Keys(keys, KeyListForm::EqOr | KeyListForm::Single) => {
                let list: Vec<String> =
                    keys.iter().map(|key| format!("{key_field} eq {}", quoted(key))).collect();
                let alone = list.len() == 1 || self.filter.is_empty() && after.is_none();
                terms.push(if alone { list.join(" or ") } else { format!("({})", list.join(" or ")) });
            }
        }
        terms.extend(after.map(|key| format!("{key_field} gt {}", quoted(key))));
        if !self.filter.is_empty() {
            terms
                .insert(0, if terms.is_empty() { self.filter.clone() } else { format!("({})", self.filter) });
        }
        (!terms.is_empty()).then(|| terms.join(" and "))
    }
}

fn options(query: &Query, filter: Option<&str>) -> Vec<String> {
    let mut parts = Vec::new();
    if !query.select.is_empty() {
        parts.push(format!("$select={}", query.select.join(",")));
    }
    if !query.expand.is_empty() {
        let names: Vec<&str> = query.expand.iter().map(|relation| relation.as_str()).collect();
        parts.push(format!("$expand={}", names.join(",")));
    }
    parts.extend(filter.map(|filter| format!("$filter={}", encoded(filter))));
    parts
}

fn quoted(key: &RecordKey) -> String {
    format!("'{}'", key.as_str().replace('\'', "''"))
}

/// A text between two quotes of an address.
fn literal(text: &str) -> String {
    encoded(&text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
