//! In which line of the file a key stands. figment forgets it, and a message at 3 a.m. should point at it.

use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{ImDocument, Item, TableLike, Value};

/// The lines of all keys of a TOML text.
pub(crate) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Reads them; none from a text that is no TOML.
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = BTreeMap::new();
        if let Ok(document) = ImDocument::parse(text) {
            collect(document.as_table(), "", text, &mut lines);
        }
        Self(lines)
    }

    /// The line of a key like `feeds.beaches.token`, counted from 1.
    pub(crate) fn line(&self, key: &str) -> Option<usize> {
        self.0.get(key).copied()
    }
}

fn collect(table: &dyn TableLike, path: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (name, item) in table.iter() {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
        if let Some(Range { start, .. }) = span {
            lines.insert(path.clone(), 1 + text[..start].matches('\n').count());
        }
        match item {
            Item::Table(inner) => collect(inner, &path, text, lines),
            Item::Value(Value::InlineTable(inner)) => collect(inner, &path, text, lines),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_tables_headers_and_dotted_names() {
        let lines = Lines::of(
            "[log]\nformat = 'json'\n\n[feeds.a]\ntoken = 'x'\nrelations = { Office = ['Media'] }\npurge_guard.ratio = 1\n",
        );
        for (key, line) in [
            ("log.format", 2),
            ("feeds.a", 4),
            ("feeds.a.token", 5),
            ("feeds.a.relations.Office", 6),
            ("feeds.a.purge_guard.ratio", 7),
        ] {
            assert_eq!(lines.line(key), Some(line), "{key}");
        }
        assert_eq!(lines.line("nothing"), None);
    }
}
