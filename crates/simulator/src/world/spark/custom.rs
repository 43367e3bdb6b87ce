//! The fields that an MLS has added by itself.
//!
//! On the RESO side they are members like all others, named `Group_co_Field`. Here they are a tree of objects
//! with one member each. Of the two raw trees only their names are documented; their form is made up.

use crate::world::{Cell, Kind, Object, Scene, Schema, Style, render::string};

/// `[{"Main":[{"Group":[{"Field":value}]}],"Details":[{"Group":[{"Option":true}]}]}]`, under readable names.
pub(super) fn tree(scene: &Scene<'_>, schema: &Schema, style: &Style) -> String {
    let main = groups(schema, |name, kind| {
        if kind == Kind::Choices {
            return Vec::new();
        }
        vec![one(style, &readable(name), &value(scene, schema, name))]
    });
    let details = groups(schema, |name, kind| match (kind, value(scene, schema, name)) {
        (Kind::Choices, Cell::Choices(options)) => {
            options.iter().map(|option| one(style, option, &Cell::Flag(true))).collect()
        }
        (Kind::Choices, hidden @ Cell::Hidden) => vec![one(style, &readable(name), &hidden)],
        _ => Vec::new(),
    });
    format!("[{{\"Main\":{main},\"Details\":{details}}}]")
}

/// The same fields by their encoded names; expanded, each with its label.
pub(super) fn raw(scene: &Scene<'_>, schema: &Schema, style: &Style, expanded: bool) -> String {
    let main = groups(schema, |name, _| {
        let cell = value(scene, schema, name);
        if !expanded {
            return vec![one(style, name, &cell)];
        }
        let mut object = Object::new(style);
        object.text("Field", name);
        object.text("Label", &readable(name));
        object.cell("Value", &cell);
        let mut out = String::new();
        object.close(&mut out);
        vec![out]
    });
    format!("[{{\"Main\":{main}}}]")
}

fn groups(schema: &Schema, members: impl Fn(&str, Kind) -> Vec<String>) -> String {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for field in &schema.fields {
        let Some((group, _)) = field.name.split_once("_co_") else { continue };
        let members = members(&field.name, field.kind).into_iter().filter(|member| !member.is_empty());
        let group = readable(group);
        match out.iter_mut().find(|(known, _)| *known == group) {
            Some((_, all)) => all.extend(members),
            None => out.push((group, members.collect())),
        }
    }
    let written = out.iter().filter(|(_, members)| !members.is_empty()).map(|(group, members)| {
        let mut object = "{".to_owned();
        string(&mut object, group);
        format!("{object}:[{}]}}", members.join(","))
    });
    format!("[{}]", written.collect::<Vec<_>>().join(","))
}

/// An object with one member; nothing for a field without a value.
fn one(style: &Style, name: &str, cell: &Cell<'_>) -> String {
    if matches!(cell, Cell::Null | Cell::Absent) {
        return String::new();
    }
    let mut object = Object::new(style);
    object.cell(name, cell);
    let mut out = String::new();
    object.close(&mut out);
    out
}

fn value<'a>(scene: &Scene<'a>, schema: &Schema, name: &str) -> Cell<'a> {
    schema.find(name).map_or(Cell::Absent, |at| schema.fields[at].cell(scene))
}

/// The label behind an encoded name, or behind its part after the group.
fn readable(encoded: &str) -> String {
    let name = encoded.split_once("_co_").map_or(encoded, |(_, name)| name);
    [
        ("_sp_", " "),
        ("_hyphen_", "-"),
        ("_lparen_", "("),
        ("_rparen_", ")"),
        ("_pound_", "#"),
        ("_amp_", "&"),
        ("_cm_", ","),
    ]
    .iter()
    .fold(name.to_owned(), |name, (code, letter)| name.replace(code, letter))
}
