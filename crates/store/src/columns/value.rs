//! One JSON value as the value of a typed column.

use chrono::NaiveDate;
use spark_domain::{Timestamp, record::normalise_number};

use super::Kind;

/// No price or size has more digits than this, nor an exponent beyond it; Postgres would take thousands.
const MOST_DIGITS: usize = 100;

/// What a column gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Text(String),
    Integer(i64),
    /// Normalised decimal text, which `numeric` reads; never through a float.
    Numeric(String),
    Boolean(bool),
    Date(NaiveDate),
    Timestamp(Timestamp),
}

/// A value that was read, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Read {
    Fits(Value),
    /// Of another type or out of range: NULL in the column, still in `body`, and counted.
    Misfit,
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Numeric(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) const fn integer(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    pub(crate) const fn boolean(&self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(*value) } else { None }
    }

    pub(crate) const fn date(&self) -> Option<NaiveDate> {
        if let Self::Date(value) = self { Some(*value) } else { None }
    }

    pub(crate) const fn timestamp(&self) -> Option<Timestamp> {
        if let Self::Timestamp(value) = self { Some(*value) } else { None }
    }
}

/// Reads raw JSON for a column. Absent, null, an empty string where no text is wanted, and the native API's
/// `********` for a hidden value are NULL without further ado.
pub(crate) fn read(kind: Kind, raw: Option<&str>) -> Read {
    let Some(raw) = raw.filter(|text| !matches!(*text, "null" | "\"********\"")) else {
        return Read::Fits(Value::Null);
    };
    if kind != Kind::Text && raw == "\"\"" {
        return Read::Fits(Value::Null);
    }
    let value = match kind {
        Kind::Text => string(raw).map(Value::Text),
        Kind::Integer => integer(raw).map(Value::Integer),
        Kind::Numeric => decimal(raw).map(|(text, _)| Value::Numeric(text)),
        Kind::Boolean => raw.parse().ok().map(Value::Boolean),
        Kind::Date => string(raw).and_then(|text| date(&text)).map(Value::Date),
        Kind::Timestamp => string(raw).and_then(|text| timestamp(&text)).map(Value::Timestamp),
    };
    value.map_or(Read::Misfit, Read::Fits)
}

/// A string without NUL, which Postgres' `text` cannot hold.
fn string(raw: &str) -> Option<String> {
    let text: String = serde_json::from_str(raw).ok()?;
    (!text.contains('\0')).then_some(text)
}

/// A number, or a string that spells one, normalised; with its exponent.
fn decimal(raw: &str) -> Option<(String, i32)> {
    let plain = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    let text = normalise_number(plain)?.to_string();
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let within = digits.len() <= MOST_DIGITS && exponent.unsigned_abs() as usize <= MOST_DIGITS;
    within.then_some((text, exponent))
}

/// Whole numbers come as `4`, `4.0` and `"4"`; 3.5 is none.
fn integer(raw: &str) -> Option<i64> {
    let (text, exponent) = decimal(raw)?;
    let digits = text.split('e').next()?;
    let zeros = usize::try_from(exponent).ok()?;
    format!("{digits}{}", "0".repeat(zeros)).parse().ok()
}

fn date(text: &str) -> Option<NaiveDate> {
    // The native API dates some fields by a moment: the day is the one that it names, wherever that is.
    let day = if timestamp(text).is_some() { text.get(..10)? } else { text };
    // The pattern alone would also take years of other lengths and single digits.
    (day.len() == 10).then(|| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok())?
}

/// One without an offset is no moment: it would depend on who reads it.
fn timestamp(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(kind: Kind, raw: &str) -> Value {
        match read(kind, Some(raw)) {
            Read::Fits(value) => value,
            Read::Misfit => Value::Text(format!("misfit: {raw}")),
        }
    }

    #[test]
    fn numbers_come_as_numbers_or_as_strings() {
        assert_eq!(fits(Kind::Integer, "4.0"), Value::Integer(4));
        assert_eq!(fits(Kind::Integer, "\"3\""), Value::Integer(3));
        assert_eq!(fits(Kind::Integer, "-12e2"), Value::Integer(-1200));
        assert_eq!(fits(Kind::Numeric, "525000.0"), Value::Numeric("525e3".to_owned()));
        assert_eq!(fits(Kind::Numeric, "\"18.50\""), Value::Numeric("185e-1".to_owned()));
    }

    #[test]
    fn a_date_may_come_as_a_moment() {
        let day = NaiveDate::from_ymd_opt(2026, 1, 5).map_or(Value::Null, Value::Date);
        assert_eq!(fits(Kind::Date, "\"2026-01-05\""), day);
        assert_eq!(fits(Kind::Date, "\"2026-01-05T23:35:41-06:00\""), day);
    }

    #[test]
    fn a_wrong_type_or_range_is_a_misfit() {
        for (kind, raw) in [
            (Kind::Integer, "3.5"),
            (Kind::Integer, "9223372036854775808"),
            (Kind::Integer, "true"),
            (Kind::Numeric, "1e200000"),
            (Kind::Numeric, "\"a lot\""),
            (Kind::Numeric, "[1]"),
            (Kind::Text, "7"),
            (Kind::Text, "[\"a\"]"),
            (Kind::Text, "\"a\\u0000b\""),
            (Kind::Boolean, "\"true\""),
            (Kind::Date, "\"2026-02-30\""),
            (Kind::Date, "\"2026-2-3\""),
            (Kind::Date, "\"2026-02-20T16:41:12\""),
            (Kind::Timestamp, "\"2026-02-20T16:41:12\""),
            (Kind::Timestamp, "\"2026-02-20\""),
        ] {
            assert_eq!(read(kind, Some(raw)), Read::Misfit, "{kind:?} took {raw}");
        }
    }

    #[test]
    fn absent_hidden_and_empty_are_null_without_being_misfits() {
        for raw in [None, Some("null"), Some("\"********\""), Some("\"\"")] {
            assert_eq!(read(Kind::Date, raw), Read::Fits(Value::Null), "{raw:?}");
        }
        assert_eq!(fits(Kind::Text, "\"\""), Value::Text(String::new()));
    }

    #[test]
    fn moments_are_kept_in_utc() {
        let moment = "2026-02-20T22:41:12Z".parse().unwrap();
        assert_eq!(fits(Kind::Timestamp, "\"2026-02-20T16:41:12-06:00\""), Value::Timestamp(moment));
    }
}
