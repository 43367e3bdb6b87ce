//! Reads one table of the configuration, key by key.
//!
//! It never stops at the first problem: each is noted as a finding, and reading goes on, so that one start
//! shows all of them. What was read is noted too, with its source, for `config print`. A key that nobody asked
//! for is a finding: a misspelt setting must not be silently ineffective.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

use figment::value::{Dict, Value};
use secrecy::SecretString;

use super::layers::{Layers, Source};
use super::shown::without_password;

/// What was wrong or doubtful with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Whether the program can run with it.
    pub(crate) severity: Severity,
    /// The setting, like `feeds.beaches.update_every`.
    pub(crate) key: String,
    /// Its value as text; none if it is missing, secret or a whole table.
    pub(crate) value: Option<String>,
    /// Where it was set.
    pub(crate) source: Source,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Allowed, but somebody should know.
    Warning,
    /// The program refuses to start.
    Error,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value:?}")?;
        }
        if self.source != Source::Default {
            write!(f, " ({})", self.source)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A setting as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its key.
    pub(crate) key: String,
    /// Its value, with secrets hidden; none if it is not set and has no default.
    pub(crate) value: Option<Shown>,
    /// Where it is from.
    pub(crate) source: Source,
}

/// A value for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// One value.
    One(String),
    /// A list.
    Many(Vec<String>),
    /// A secret: `***`.
    Hidden,
}

/// All that was read and found.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The settings, in the order of reading.
    pub(crate) settings: Vec<Setting>,
    /// The findings, in the order of finding.
    pub(crate) findings: Vec<Finding>,
}

/// A secret: in the configuration itself, or in a file of its own that may be read again when it changes.
#[derive(Debug, Clone)]
pub(crate) enum Secret {
    /// The secret.
    Text(SecretString),
    /// The file that holds it.
    File(PathBuf),
}

/// One table.
pub(crate) struct Section<'a> {
    layers: &'a Layers,
    notes: &'a RefCell<Notes>,
    path: String,
    values: Dict,
}

impl<'a> Section<'a> {
    /// The outermost table.
    pub(crate) fn root(layers: &'a Layers, notes: &'a RefCell<Notes>, values: Dict) -> Self {
        Self { layers, notes, path: String::new(), values }
    }

    /// The full key of one of its settings.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A value that has a default. None after a finding.
    pub(crate) fn value<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.take(name) {
            None => {
                self.note(name, Some(Shown::One(default.to_owned())), Source::Default);
                parse(default)
                    .map_err(|message| self.find(name, Some(default), Source::Default, message))
                    .ok()
            }
            Some((value, source)) => self.parse(name, &value, source, parse),
        }
    }

    /// An address that has a default: whatever is wrong with it, a password in it is not repeated.
    pub(crate) fn address<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, source) = match self.take(name) {
            None => (default.to_owned(), Source::Default),
            Some((value, source)) => (self.scalar_of(name, &value, &source)?, source),
        };
        let shown = without_password(&text);
        self.note(name, Some(Shown::One(shown.clone())), source.clone());
        parse(&text).map_err(|message| self.find(name, Some(&shown), source, message)).ok()
    }

    /// A value that may be absent.
    pub(crate) fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let Some((value, source)) = self.take(name) else {
            self.note(name, None, Source::Default);
            return None;
        };
        self.parse(name, &value, source, parse)
    }

    /// A list; an environment variable parts its items by commas.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        default: &[&str],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let (items, source) = match self.take(name) {
            None => (default.iter().map(|&item| item.to_owned()).collect(), Source::Default),
            Some((value, source)) => {
                if let Some(items) = items(&value) {
                    (items, source)
                } else {
                    self.find(name, None, source, "write a list like [\"one\", \"two\"]".to_owned());
                    return None;
                }
            }
        };
        self.note(name, Some(Shown::Many(items.clone())), source.clone());
        let parsed: Vec<Option<T>> = items
            .iter()
            .map(|item| parse(item).map_err(|m| self.find(name, Some(item), source.clone(), m)).ok())
            .collect();
        parsed.into_iter().collect()
    }

    /// A secret: `name`, or `name_file`, whichever was set nearer to the command line. None if neither is.
    pub(crate) fn secret(&mut self, name: &str) -> Option<Secret> {
        let file_name = format!("{name}_file");
        let text = self.take(name).and_then(|(value, source)| {
            let text = self.scalar_of(name, &value, &source)?;
            Some((text, source))
        });
        let file = self.take(&file_name).and_then(|(value, source)| {
            let text = self.scalar_of(&file_name, &value, &source)?;
            Some((text, source))
        });
        match (text, file) {
            (Some((_, a)), Some((_, b))) if a.rank() == b.rank() => {
                let message = format!("{file_name} is set as well ({b}); keep one of the two");
                self.find(name, None, a, message);
                None
            }
            (Some((text, source)), file) if file.as_ref().is_none_or(|(_, b)| b.rank() < source.rank()) => {
                self.note(name, Some(Shown::Hidden), source);
                Some(Secret::Text(text.into()))
            }
            (_, Some((path, source))) => {
                self.note(&file_name, Some(Shown::One(path.clone())), source);
                Some(Secret::File(PathBuf::from(path)))
            }
            _ => None,
        }
    }

    /// The last setting noted, shown in another way: an URL without its password.
    pub(crate) fn show_last_as(&self, text: String) {
        if let Some(last) = self.notes.borrow_mut().settings.last_mut() {
            last.value = Some(Shown::One(text));
        }
    }

    /// An error about the setting that was read last.
    pub(crate) fn find_last(&self, message: String) {
        let last = self.notes.borrow().settings.last().cloned();
        if let Some(last) = last {
            self.find_setting(last, message);
        }
    }

    /// An error about one of its settings that was read before.
    pub(crate) fn find_last_of(&self, name: &str, message: String) {
        let key = self.key(name);
        let read = self.notes.borrow().settings.iter().rfind(|setting| setting.key == key).cloned();
        if let Some(setting) = read {
            self.find_setting(setting, message);
        }
    }

    fn find_setting(&self, setting: Setting, message: String) {
        let value = match setting.value {
            Some(Shown::One(text)) => Some(text),
            _ => None,
        };
        let Setting { key, source, .. } = setting;
        let severity = Severity::Error;
        self.notes.borrow_mut().findings.push(Finding { severity, key, value, source, message });
    }

    /// A table within; an empty one if it is absent.
    pub(crate) fn table(&mut self, name: &str) -> Section<'a> {
        let values = match self.take(name) {
            None => Dict::new(),
            Some((Value::Dict(_, dict), _)) => dict,
            Some((_, source)) => {
                self.find(name, None, source, format!("it must be a table: write [{}]", self.key(name)));
                Dict::new()
            }
        };
        Section { layers: self.layers, notes: self.notes, path: self.key(name), values }
    }

    /// The names that are set in it, and the source of each.
    pub(crate) fn names(&self) -> Vec<(String, Source)> {
        let source = |name: &str, value: &Value| self.layers.source(value.tag(), &self.key(name));
        self.values.iter().map(|(name, value)| (name.clone(), source(name, value))).collect()
    }

    /// Notes an error about one of its keys.
    pub(crate) fn find(&self, name: &str, value: Option<&str>, source: Source, message: String) {
        self.notes.borrow_mut().findings.push(Finding {
            severity: Severity::Error,
            key: self.key(name),
            value: value.map(str::to_owned),
            source,
            message,
        });
    }

    /// Whatever was not asked for until now is unknown. `known` are the names to suggest from.
    pub(crate) fn finish(self, known: &[&str]) {
        for (name, source) in self.names() {
            let near = known.iter().min_by_key(|k| distance(&name, k)).filter(|k| distance(&name, k) <= 3);
            let remedy = match near {
                Some(near) => format!("did you mean {near:?}?"),
                None if known.is_empty() => "remove it".to_owned(),
                None => format!("known here are {}", known.join(", ")),
            };
            self.find(&name, None, source, format!("unknown setting; {remedy}"));
        }
    }

    fn take(&mut self, name: &str) -> Option<(Value, Source)> {
        let value = self.values.remove(name)?;
        let source = self.layers.source(value.tag(), &self.key(name));
        Some((value, source))
    }

    fn parse<T>(
        &self,
        name: &str,
        value: &Value,
        source: Source,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.scalar_of(name, value, &source)?;
        self.note(name, Some(Shown::One(text.clone())), source.clone());
        parse(&text).map_err(|message| self.find(name, Some(&text), source, message)).ok()
    }

    fn scalar_of(&self, name: &str, value: &Value, source: &Source) -> Option<String> {
        let text = scalar(value);
        if text.is_none() {
            self.find(
                name,
                None,
                source.clone(),
                "write a single value here, no list and no table".to_owned(),
            );
        }
        text
    }

    fn note(&self, name: &str, value: Option<Shown>, source: Source) {
        self.notes.borrow_mut().settings.push(Setting { key: self.key(name), value, source });
    }
}

/// A single value's text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, c) => Some(c.to_string()),
        Value::Bool(_, switch) => Some(switch.to_string()),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(number), ..) => Some(number.to_string()),
            (_, Some(number), _) => Some(number.to_string()),
            (.., number) => number.map(|number| number.to_string()),
        },
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}

fn items(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(_, values) => values.iter().map(scalar).collect(),
        value => {
            let text = scalar(value)?;
            Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
    }
}

/// How many letters must change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
