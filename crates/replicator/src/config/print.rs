//! The configuration as it was understood: every value, and where it is from.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Setting, Shown};

/// Lines like `feeds.beaches.update_every = "5m"  # default`.
pub(crate) fn text(settings: &[Setting]) -> String {
    let left: Vec<_> = settings.iter().map(assignment).collect();
    let width = left.iter().map(|line| line.chars().count()).filter(|&width| width <= 72).max().unwrap_or(0);
    let mut out = String::new();
    for (line, setting) in left.iter().zip(settings) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{line:width$}  # {}", setting.source);
    }
    out
}

/// The same for machines: a list of `{key, value, source}`.
pub(crate) fn json(settings: &[Setting]) -> Value {
    let rows = settings.iter().map(|setting| {
        let value = match &setting.value {
            None => Value::Null,
            Some(Shown::One(text)) => text.as_str().into(),
            Some(Shown::Many(items)) => items.clone().into(),
            Some(Shown::Hidden) => "***".into(),
        };
        json!({ "key": setting.key, "value": value, "source": setting.source.to_string() })
    });
    rows.collect()
}

fn assignment(setting: &Setting) -> String {
    let key = &setting.key;
    match &setting.value {
        None => format!("# {key} is not set"),
        Some(Shown::One(text)) => format!("{key} = {text:?}"),
        Some(Shown::Many(items)) => format!("{key} = {items:?}"),
        Some(Shown::Hidden) => format!("{key} = \"***\""),
    }
}
