//! The typed values of many rows on their way into one statement: read row by row, sent column by column.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use super::snake_case::snake_case;
use super::{ColumnList, Kind, Read, Value, read};

/// Adds a value to a statement's arguments.
pub(crate) fn add<'q, T>(arguments: &mut PgArguments, value: T) -> Result<(), sqlx::Error>
where
    T: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + 'q,
{
    arguments.add(value).map_err(sqlx::Error::Encode)
}

impl ColumnList {
    /// The values of one row from raw JSON by place in the list, and how many do not fit.
    pub(crate) fn read(&self, raws: &[Option<&str>]) -> (Vec<Value>, u64) {
        let mut misfits = 0;
        let value_at = |(at, column): (usize, &super::Column)| match read(
            column.kind,
            raws.get(at).copied().flatten(),
        ) {
            Read::Fits(value) => value,
            Read::Misfit => {
                misfits += 1;
                Value::Null
            }
        };
        let values = self.columns.iter().enumerate().map(value_at).collect();
        (values, misfits)
    }

    /// The values of one row from its whole body.
    pub(crate) fn read_body(&self, body: &str) -> (Vec<Value>, u64) {
        if self.columns.is_empty() {
            return (Vec::new(), 0);
        }
        let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body).unwrap_or_default();
        let named = |name: &str| members.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
        let other =
            |field: &str| self.others.iter().filter(|(_, of)| *of == field).find_map(|(name, _)| named(name));
        let raws: Vec<_> = self.fields.iter().map(|field| named(field).or_else(|| other(field))).collect();
        self.read(&raws)
    }

    /// The columns' names, each preceded by a comma and `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> String {
        self.each(|_, name, _| format!(", {prefix}{name}"))
    }

    /// `, name = from.name` for each column.
    pub(crate) fn assignments(&self, from: &str) -> String {
        self.each(|_, name, _| format!(", {name} = {from}.{name}"))
    }

    /// The arrays of an `unnest`, each preceded by a comma, bound from parameter `first` on.
    pub(crate) fn arrays(&self, first: usize) -> String {
        self.each(|at, _, kind| match kind {
            // Decimals travel as text: no float between the feed and the table.
            Kind::Numeric => format!(", ${}::text[]::numeric[]", first + at),
            kind => format!(", ${}::{}[]", first + at, kind.sql()),
        })
    }

    /// Names are always quoted: `Order` makes a reserved word.
    fn each(&self, part: impl Fn(usize, &str, Kind) -> String) -> String {
        let quoted = |field: &str| format!("\"{}\"", snake_case(field));
        let parts = self.columns.iter().enumerate();
        parts.map(|(at, column)| part(at, &quoted(column.field), column.kind)).collect::<Vec<_>>().concat()
    }

    /// Binds what [`ColumnList::arrays`] names.
    pub(crate) fn add_arrays(
        &self,
        arguments: &mut PgArguments,
        rows: &[&[Value]],
    ) -> Result<(), sqlx::Error> {
        for (at, column) in self.columns.iter().enumerate() {
            let values = rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null));
            match column.kind {
                Kind::Text | Kind::Numeric => add(arguments, values.map(Value::text).collect::<Vec<_>>())?,
                Kind::Integer => add(arguments, values.map(Value::integer).collect::<Vec<_>>())?,
                Kind::Boolean => add(arguments, values.map(Value::boolean).collect::<Vec<_>>())?,
                Kind::Date => add(arguments, values.map(Value::date).collect::<Vec<_>>())?,
                Kind::Timestamp => add(arguments, values.map(Value::timestamp).collect::<Vec<_>>())?,
            }
        }
        Ok(())
    }
}
