//! What a filter compares a field with, in either language.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate};
use serde_json::Value;

use crate::world::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    /// Milliseconds since 1970.
    Stamp(i64),
    Date(NaiveDate),
}

impl Operator {
    /// Whether the comparison holds; one with nothing never does, unless it is about being different.
    pub(crate) fn holds(self, cell: &Cell<'_>, literal: &Literal) -> bool {
        let order = compare(cell, literal);
        match self {
            Self::Eq => order == Some(Ordering::Equal),
            Self::Ne => order != Some(Ordering::Equal),
            Self::Gt => order == Some(Ordering::Greater),
            Self::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Lt => order == Some(Ordering::Less),
            Self::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        }
    }
}

/// The texts among some literals: the keys of a list of keys.
pub(crate) fn texts<'a>(literals: impl IntoIterator<Item = &'a Literal>) -> Vec<&'a str> {
    let text = |literal: &'a Literal| if let Literal::Text(text) = literal { Some(&**text) } else { None };
    literals.into_iter().filter_map(text).collect()
}

/// `None` where there is nothing to compare.
fn compare(cell: &Cell<'_>, literal: &Literal) -> Option<Ordering> {
    let equal_null = || (*literal == Literal::Null).then_some(Ordering::Equal);
    match (cell, literal) {
        (Cell::Absent | Cell::Hidden | Cell::Null, _) => equal_null(),
        (Cell::Raw(raw), _) => compare_json(raw, literal),
        (Cell::Text(text), Literal::Text(wanted)) => Some((**text).cmp(wanted)),
        (Cell::Integer(number), Literal::Number(wanted)) => {
            f64::from(i32::try_from(*number).unwrap_or(i32::MAX)).partial_cmp(wanted)
        }
        (Cell::Decimal(number) | Cell::DecimalText(number), Literal::Number(wanted)) => {
            number.partial_cmp(wanted)
        }
        (Cell::Flag(flag), Literal::Flag(wanted)) => Some(flag.cmp(wanted)),
        (Cell::Stamp(seconds), Literal::Stamp(wanted)) => Some((seconds * 1_000).cmp(wanted)),
        (Cell::Date(seconds), Literal::Date(wanted)) => {
            Some(DateTime::from_timestamp(*seconds, 0)?.date_naive().cmp(wanted))
        }
        (Cell::Choices(choices), Literal::Text(wanted)) => {
            choices.contains(&&**wanted).then_some(Ordering::Equal)
        }
        _ => None,
    }
}

/// Compares what a test has planted.
fn compare_json(raw: &str, literal: &Literal) -> Option<Ordering> {
    let value: Value = serde_json::from_str(raw).unwrap_or(Value::Null);
    match (value, literal) {
        (Value::Null, Literal::Null) => Some(Ordering::Equal),
        (Value::Bool(flag), Literal::Flag(wanted)) => Some(flag.cmp(wanted)),
        (Value::Number(number), Literal::Number(wanted)) => number.as_f64()?.partial_cmp(wanted),
        (Value::String(text), Literal::Text(wanted)) => Some(text.cmp(wanted)),
        (Value::String(text), Literal::Stamp(wanted)) => {
            Some(DateTime::parse_from_rfc3339(&text).ok()?.timestamp_millis().cmp(wanted))
        }
        (Value::String(text), Literal::Date(wanted)) => Some(text.parse::<NaiveDate>().ok()?.cmp(wanted)),
        _ => None,
    }
}
