//! Statements that differ from table to table by name and columns alone, written once.
//!
//! `{table}` is the table; `{columns}`, `{page.columns}`, `{assign}` and `{arrays}` are the typed columns as a
//! list, as a list of `page`, as assignments from `excluded`, and as parameters from `arrays_from` on; `{ended}`
//! is whether a row tells of something that is over.

use std::sync::OnceLock;

use spark_domain::{Relation, Resource};

use super::{ColumnList, of_relation, of_resource};

/// The relations that have a table of their own; every other one shares the last, whose members name it.
pub(crate) const RELATION_TABLES: [(&str, Option<Relation>); 4] = [
    ("mls.media", Some(Relation::Media)),
    ("mls.room", Some(Relation::Room)),
    ("mls.unit", Some(Relation::Unit)),
    ("mls.relation", None),
];

/// A statement about the tables of the resources.
#[derive(Debug)]
pub(crate) struct ByResource {
    template: &'static str,
    arrays_from: usize,
    texts: OnceLock<Vec<String>>,
}

/// A statement about the tables of the relations. `{relation, }` names the column that only the shared table
/// has; `{and relation}` and `{relation parameter, }` bind it as the parameter after all others.
#[derive(Debug)]
pub(crate) struct ByRelation {
    template: &'static str,
    arrays_from: usize,
    texts: OnceLock<Vec<String>>,
}

impl ByResource {
    pub(crate) const fn new(template: &'static str, arrays_from: usize) -> Self {
        Self { template, arrays_from, texts: OnceLock::new() }
    }

    /// The statement for one resource's table.
    pub(crate) fn of(&'static self, resource: Resource) -> &'static str {
        let at = Resource::ALL.iter().position(|each| *each == resource).unwrap_or_default();
        &self.all()[at]
    }

    /// The statement for every table.
    pub(crate) fn all(&'static self) -> &'static [String] {
        self.texts.get_or_init(|| {
            let text = |resource: &Resource| {
                let table = format!("mls.{}", resource.table());
                // Only an open house ends by itself.
                let ended = match resource {
                    Resource::OpenHouse => "coalesce(held.open_house_end_time < clock_timestamp(), false)",
                    _ => "false",
                };
                fill(
                    &self.template.replace("{ended}", ended),
                    &table,
                    of_resource(*resource),
                    self.arrays_from,
                )
            };
            Resource::ALL.iter().map(text).collect()
        })
    }
}

impl ByRelation {
    pub(crate) const fn new(template: &'static str, arrays_from: usize) -> Self {
        Self { template, arrays_from, texts: OnceLock::new() }
    }

    /// The statement for the table that holds a relation.
    pub(crate) fn of(&'static self, relation: Relation) -> &'static str {
        let own = RELATION_TABLES.iter().position(|(_, each)| *each == Some(relation));
        &self.all()[own.unwrap_or(RELATION_TABLES.len() - 1)]
    }

    /// The statement for every table, in the order of [`RELATION_TABLES`].
    pub(crate) fn all(&'static self) -> &'static [String] {
        self.texts.get_or_init(|| {
            let text = |(table, own): &(&str, Option<Relation>)| {
                let (list, shared) = match own {
                    Some(relation) => (of_relation(*relation), false),
                    None => (ColumnList { columns: &[], fields: &[], others: &[] }, true),
                };
                let only = |text: String| if shared { text } else { String::new() };
                let template = self
                    .template
                    .replace("{relation, }", &only("relation, ".to_owned()))
                    .replace("{relation parameter, }", &only(format!("${}, ", self.arrays_from)))
                    .replace("{and relation}", &only(format!(" and held.relation = ${}", self.arrays_from)));
                fill(&template, table, list, self.arrays_from)
            };
            RELATION_TABLES.iter().map(text).collect()
        })
    }
}

/// Whether the members of a relation lie in the shared table.
pub(crate) fn is_shared(relation: Relation) -> bool {
    !RELATION_TABLES.iter().any(|(_, own)| *own == Some(relation))
}

fn fill(template: &str, table: &str, list: ColumnList, arrays_from: usize) -> String {
    template
        .replace("{table}", table)
        .replace("{columns}", &list.names(""))
        .replace("{page.columns}", &list.names("page."))
        .replace("{held.columns}", &list.names("held."))
        .replace("{assign}", &list.assignments("excluded"))
        .replace("{assign from page}", &list.assignments("page"))
        .replace("{arrays}", &list.arrays(arrays_from))
}
