//! The typed columns: what people filter and show, beside the `body` that holds everything.
//!
//! One declarative list per table names the RESO fields and their kinds; the column's name follows from the
//! field's. The lists, migration and table cannot drift apart: a test compares them on a migrated database.
//!
//! Rule: a value that does not fit its column is NULL there, is counted, and stays in `body`. No feed can make
//! a page fail by the type of a field. Multi-selects have no column, `body @> '{"View":["Lake"]}'` finds them.

pub(crate) mod property;
pub(crate) mod people;
pub(crate) mod smaller;
pub(crate) mod relations;
pub(crate) mod native;
pub(crate) mod snake_case;
pub(crate) mod value;
pub(crate) mod batch;
pub(crate) mod by_table;

use std::collections::BTreeSet;

use spark_domain::{Relation, Resource, Shape};

use crate::connection::Store;

pub(crate) use batch::add;
pub(crate) use by_table::{ByRelation, ByResource};
pub(crate) use value::{Read, Value, read};

/// Raised with every change of a list below: rows that an older list filled are then filled again.
pub(crate) const COLUMNS_VERSION: i32 = 2;

/// What a typed column can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Numeric,
    Boolean,
    Date,
    Timestamp,
}

/// A typed column, known by the field that fills it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) field: &'static str,
    pub(crate) kind: Kind,
}

/// The columns of one table, the same list as field names alone, and further names of those fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnList {
    pub(crate) columns: &'static [Column],
    pub(crate) fields: &'static [&'static str],
    pub(crate) others: &'static [(&'static str, &'static str)],
}

/// The list of a resource's own table.
pub(crate) const fn of_resource(resource: Resource) -> ColumnList {
    match resource {
        Resource::Property => property::PROPERTY,
        Resource::Member => people::MEMBER,
        Resource::Office => people::OFFICE,
        Resource::Teams => people::TEAM,
        Resource::OpenHouse => smaller::OPEN_HOUSE,
        Resource::Lookup => smaller::LOOKUP,
    }
}

/// The list of the table that holds a relation; empty for those that share `mls.relation`.
pub(crate) const fn of_relation(relation: Relation) -> ColumnList {
    match relation {
        Relation::Media => relations::MEDIA,
        Relation::Room => relations::ROOM,
        Relation::Unit => relations::UNIT,
        Relation::OpenHouse
        | Relation::GreenVerification
        | Relation::PowerProduction
        | Relation::RentalCalendar
        | Relation::HistoryTransactional
        | Relation::SocialMedia
        | Relation::Association
        | Relation::DelegatedAccess
        | Relation::ExternalProducts
        | Relation::TeamMembers
        | Relation::CustomFields
        | Relation::CustomFieldsRaw
        | Relation::CustomFieldsExpandedRaw => ColumnList { columns: &[], fields: &[], others: &[] },
    }
}

/// Every typed column as `(table, column, type)`, for the test that compares them with the tables.
#[doc(hidden)]
pub fn typed_columns() -> Vec<(String, String, &'static str)> {
    let of_resources = Resource::ALL.map(|resource| (resource.table().to_owned(), of_resource(resource)));
    let relations = [Relation::Media, Relation::Room, Relation::Unit];
    let of_relations = relations.map(|relation| (relation.as_str().to_lowercase(), of_relation(relation)));
    let columns_of = |(table, list): (String, ColumnList)| {
        list.columns
            .iter()
            .map(move |column| (table.clone(), snake_case::snake_case(column.field), column.kind.sql()))
    };
    of_resources.into_iter().chain(of_relations).flat_map(columns_of).collect()
}

impl Store {
    /// The shape of a resource's records as they are stored: with its typed columns, without `excluded` fields.
    pub fn shape(resource: Resource, excluded: BTreeSet<String>) -> Shape {
        let list = of_resource(resource);
        Shape::new(resource, list.fields, excluded).or_named(list.others)
    }
}

impl Kind {
    /// The type of the column.
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "bigint",
            Self::Numeric => "numeric",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamptz",
        }
    }
}

const fn text(field: &'static str) -> Column {
    Column { field, kind: Kind::Text }
}

const fn integer(field: &'static str) -> Column {
    Column { field, kind: Kind::Integer }
}

const fn numeric(field: &'static str) -> Column {
    Column { field, kind: Kind::Numeric }
}

const fn boolean(field: &'static str) -> Column {
    Column { field, kind: Kind::Boolean }
}

const fn date(field: &'static str) -> Column {
    Column { field, kind: Kind::Date }
}

const fn timestamp(field: &'static str) -> Column {
    Column { field, kind: Kind::Timestamp }
}

const fn fields_of<const N: usize>(columns: &[Column; N]) -> [&'static str; N] {
    let mut fields = [""; N];
    let mut at = 0;
    while at < N {
        fields[at] = columns[at].field;
        at += 1;
    }
    fields
}
