//! Records as JSON text.
//!
//! Text and not values, because a feed may send what no JSON library would: numbers without limit, lone
//! surrogates, a member twice.

use std::fmt::Write as _;

use super::{
    record::{Planted, pick},
    schema::{Cell, Field, Scene, Schema},
};
use crate::clock;

/// What the native surface puts in place of a value that the key's role may not see, whatever its type.
pub(super) const HIDDEN: &str = "********";

/// How an answer is dressed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Style {
    /// The address of the surface; without it no `@odata` members are written.
    pub(crate) base: Option<String>,
    pub(crate) integers_as_floats: bool,
    /// Adds `@odata` members that mean nothing.
    pub(crate) noise: bool,
    /// Members come in an order drawn from this.
    pub(crate) shuffle: Option<u64>,
    /// Hidden values and choices as the native surface writes them.
    pub(crate) native: bool,
}

/// A JSON object under construction.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    out: String,
    starts: Vec<usize>,
    style: &'a Style,
}

impl<'a> Object<'a> {
    pub(crate) fn new(style: &'a Style) -> Self {
        Self { out: String::with_capacity(512), starts: Vec::new(), style }
    }

    /// `@odata.id` of what has this path below the surface's address.
    pub(crate) fn id(&mut self, path: &str) {
        if let Some(base) = &self.style.base {
            let id = format!("{base}/{path}");
            self.cell("@odata.id", &Cell::Text(id.into()));
            if self.style.noise {
                self.cell("@odata.etag", &Cell::Text("W/\"1\"".into()));
                self.cell("@odata.editLink", &Cell::Text(path.into()));
            }
        }
    }

    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(&mut self.out, value);
    }

    pub(crate) fn cell(&mut self, name: &str, cell: &Cell<'_>) {
        match cell {
            Cell::Absent => return,
            Cell::Hidden if self.style.native => return self.text(name, HIDDEN),
            Cell::Hidden => {
                self.name(name);
                // The name is written already: the annotation's goes over it.
                self.out.truncate(self.out.len() - 2);
                self.out.push_str("@Core.Permissions\":\"None\"");
                return;
            }
            _ => self.name(name),
        }
        let out = &mut self.out;
        match cell {
            Cell::Absent | Cell::Hidden => {}
            Cell::Null => out.push_str("null"),
            Cell::Text(text) => string(out, text),
            Cell::Integer(number) => {
                let _ = write!(out, "{number}");
                if self.style.integers_as_floats {
                    out.push_str(".0");
                }
            }
            Cell::Decimal(number) => {
                let _ = write!(out, "{number:?}");
            }
            Cell::DecimalText(number) => {
                let _ = write!(out, "\"{number:.2}\"");
            }
            Cell::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Cell::Date(seconds) => {
                let _ = write!(out, "\"{}\"", clock::date(*seconds));
            }
            Cell::Stamp(seconds) => {
                let _ = write!(out, "\"{}\"", clock::stamp(*seconds));
            }
            Cell::Choices(choices) => {
                let (open, close, chosen) =
                    if self.style.native { ('{', '}', ":true") } else { ('[', ']', "") };
                out.push(open);
                for (n, choice) in choices.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    string(out, choice);
                    out.push_str(chosen);
                }
                out.push(close);
            }
            Cell::Raw(raw) => out.push_str(raw),
        }
    }

    /// Appends the finished object.
    pub(crate) fn close(mut self, page: &mut String) {
        page.push('{');
        match self.style.shuffle {
            None => page.push_str(&self.out),
            Some(seed) => {
                self.starts.push(self.out.len() + 1);
                let mut members: Vec<&str> =
                    self.starts.windows(2).map(|pair| &self.out[pair[0]..pair[1] - 1]).collect();
                members
                    .sort_by_key(|member| pick(seed, member.len() as u64 ^ u64::from(member.as_bytes()[1])));
                page.push_str(&members.join(","));
            }
        }
        page.push('}');
    }

    fn name(&mut self, name: &str) {
        if !self.out.is_empty() {
            self.out.push(',');
        }
        self.starts.push(self.out.len());
        string(&mut self.out, name);
        self.out.push(':');
    }
}

/// The fields of a record, all of them or those chosen; planted ones that no schema knows come last.
pub(crate) fn fields(object: &mut Object<'_>, schema: &Schema, scene: &Scene<'_>, select: Option<&[usize]>) {
    if let Some(chosen) = select {
        for at in chosen {
            let field = &schema.fields[*at];
            object.cell(&field.name, &field.cell(scene));
        }
    } else {
        for field in &schema.fields {
            object.cell(&field.name, &field.cell(scene));
        }
        for (name, planted) in scene.record.planted.iter().flat_map(|planted| planted.iter()) {
            if schema.find(name).is_some() || schema.resource.relations().contains(&&**name) {
                continue;
            }
            match planted {
                Planted::Raw(raw) => object.raw(name, raw),
                Planted::Hidden => object.cell(name, &Cell::Hidden),
                Planted::Absent => {}
            }
        }
    }
}

/// The bytes that one field takes in one record.
pub(super) fn member_bytes(field: &Field, scene: &Scene<'_>) -> usize {
    let style = Style::default();
    let mut object = Object::new(&style);
    object.cell(&field.name, &field.cell(scene));
    object.out.len() + 1
}

/// Appends a JSON string.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                control if control < ' ' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(control));
                }
                plain => out.push(plain),
            }
        }
    } else {
        out.push_str(text);
    }
    out.push('"');
}
