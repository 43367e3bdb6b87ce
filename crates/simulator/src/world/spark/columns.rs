//! The native fields of a resource, each with the RESO field that it follows from.

use std::{borrow::Cow, collections::HashMap};

use super::people;
use crate::world::{Cell, Kind, Object, Resource, Scene, Schema, Style, record::Planted, relations};

/// RESO fields of a listing that the native surface calls otherwise.
const RENAMED: &[(&str, &str)] = &[
    ("BedroomsTotal", "BedsTotal"),
    ("BathroomsTotalInteger", "BathsTotal"),
    ("BathroomsFull", "BathsFull"),
    ("BathroomsHalf", "BathsHalf"),
    ("BathroomsThreeQuarter", "BathsThreeQuarter"),
    ("ListAgentKey", "ListAgentId"),
    ("ListAgentFullName", "ListAgentName"),
    ("ListOfficeKey", "ListOfficeId"),
    ("CoListAgentKey", "CoListAgentId"),
    ("BuyerAgentKey", "BuyerAgentId"),
    ("BuyerOfficeKey", "BuyerOfficeId"),
    ("InternetEntireListingDisplayYN", "PermitInternetYN"),
    ("InternetAddressDisplayYN", "PermitAddressInternetYN"),
];

/// Numbers that the native surface puts in quotes, by their RESO names.
const QUOTED: &[&str] =
    &["BathroomsTotalInteger", "LivingArea", "LotSizeArea", "TaxAnnualAmount", "GarageSpaces"];

/// RESO fields of a listing without a native counterpart.
const DROPPED: &[&str] = &[
    "SourceSystemKey",
    "OriginatingSystemKey",
    "OriginatingSystemName",
    "VirtualTourURLUnbranded",
    "ApprovalStatus",
];

/// A native name of the market's one MLS.
pub(super) const MLS: &str = "20000426143505724628000000";

/// The native fields of one resource; `Id` and `ResourceUri` are none of them, for they always come.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) all: Vec<Column>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    source: Source,
}

/// Where a native field takes its value from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// The RESO field as it is.
    Field(usize),
    /// The same, in quotes if it is a number.
    Quoted(usize),
    /// The letter that stands for a RESO property type.
    Letter(usize),
    /// Something of its own.
    Own(Own),
    /// A JSON array that cannot be compared.
    List(List),
}

pub(super) type Own = for<'a> fn(&Scene<'a>, &Schema) -> Cell<'a>;
pub(super) type List = fn(&Scene<'_>, &Schema, &Style) -> String;

impl Columns {
    /// `None` for what the native surface does not have.
    pub(crate) fn of(schema: &Schema) -> Option<Self> {
        let all = match schema.resource {
            Resource::Property => listing(schema),
            Resource::Member => table(people::MEMBER, schema),
            Resource::Office => table(people::OFFICE, schema),
            Resource::OpenHouse => table(people::OPEN_HOUSE, schema),
            Resource::Teams | Resource::Lookup => return None,
        };
        let by_name = all.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
        Some(Self { all, by_name })
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Writes the chosen columns or all of them, and then what a test has planted under names of its own.
    pub(super) fn write(
        &self,
        object: &mut Object<'_>,
        schema: &Schema,
        scene: &Scene<'_>,
        style: &Style,
        select: Option<&[usize]>,
    ) {
        if let Some(chosen) = select {
            return chosen.iter().for_each(|at| self.all[*at].write(object, schema, scene, style));
        }
        for column in &self.all {
            column.write(object, schema, scene, style);
        }
        for (name, planted) in scene.record.planted.iter().flat_map(|planted| planted.iter()) {
            let known = schema.find(name).is_some() || self.find(name).is_some();
            if known || schema.resource.relations().contains(&&**name) {
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

impl Column {
    /// Whether a filter can ask for it.
    pub(crate) fn searchable(&self) -> bool {
        !matches!(self.source, Source::List(_))
    }

    /// The value to compare with; what a test planted under the native name wins.
    pub(crate) fn cell<'a>(&self, schema: &Schema, scene: &Scene<'a>) -> Cell<'a> {
        let own_name = schema.find(&self.name).is_none();
        match scene.record.planted(&self.name).filter(|_| own_name) {
            Some(Planted::Raw(raw)) => return Cell::Raw(raw),
            Some(Planted::Hidden) => return Cell::Hidden,
            Some(Planted::Absent) => return Cell::Absent,
            None => {}
        }
        match self.source {
            Source::Field(at) | Source::Quoted(at) => schema.fields[at].cell(scene),
            Source::Letter(at) => match schema.fields[at].cell(scene) {
                Cell::Text(text) => Cell::Text(letter(text)),
                Cell::Raw(raw) => serde_json::from_str(raw)
                    .map_or(Cell::Raw(raw), |text: String| Cell::Text(letter(text.into()))),
                other => other,
            },
            Source::Own(own) => own(scene, schema),
            Source::List(_) => Cell::Absent,
        }
    }

    fn write(&self, object: &mut Object<'_>, schema: &Schema, scene: &Scene<'_>, style: &Style) {
        match (self.source, self.cell(schema, scene)) {
            (Source::List(list), _) => object.raw(&self.name, &list(scene, schema, style)),
            (Source::Quoted(_), Cell::Integer(number)) => object.text(&self.name, &format!("{number}.0")),
            (Source::Quoted(_), Cell::Decimal(number) | Cell::DecimalText(number)) => {
                object.text(&self.name, &format!("{number:.2}"));
            }
            (_, cell) => object.cell(&self.name, &cell),
        }
    }
}

/// What RESO calls a native field; `None` if both call it the same or RESO has nothing like it.
pub(crate) fn reso_name(resource: Resource, native: &str) -> Option<&'static str> {
    if native == "Id" {
        return Some(resource.key_field());
    }
    let rows = match resource {
        Resource::Property => {
            return RENAMED.iter().find(|(_, name)| *name == native).map(|(reso, _)| *reso);
        }
        Resource::Member => people::MEMBER,
        Resource::Office => people::OFFICE,
        Resource::OpenHouse => people::OPEN_HOUSE,
        Resource::Teams | Resource::Lookup => return None,
    };
    rows.iter().find_map(|(name, row)| match row {
        people::From::Field(reso) if *name == native => Some(*reso),
        _ => None,
    })
}

fn listing(schema: &Schema) -> Vec<Column> {
    let own = |name: &str, kind, own| Column { name: name.to_owned(), kind, source: Source::Own(own) };
    let mut columns = vec![own("MlsId", Kind::Text, mls), own("VirtualToursCount", Kind::Integer, tours)];
    for (at, field) in schema.fields.iter().enumerate() {
        // What an MLS has added by itself is no standard field: see `CustomFields`.
        if DROPPED.contains(&&*field.name) || field.name.contains("_co_") {
            continue;
        }
        let renamed = RENAMED.iter().find(|(reso, _)| *reso == field.name);
        let name = renamed.map_or(&*field.name, |(_, native)| native).to_owned();
        if name == "PropertyType" {
            columns.push(Column {
                name: "PropertyTypeLabel".to_owned(),
                kind: field.kind,
                source: Source::Field(at),
            });
            columns.push(Column { name, kind: field.kind, source: Source::Letter(at) });
            continue;
        }
        let quoted = QUOTED.contains(&&*field.name);
        let source = if quoted { Source::Quoted(at) } else { Source::Field(at) };
        columns.push(Column { name, kind: field.kind, source });
    }
    columns
}

fn table(rows: &[people::Row], schema: &Schema) -> Vec<Column> {
    let column = |(name, row): &(&str, people::From)| {
        let (kind, source) = match row {
            people::From::Field(reso) => {
                let at = schema.find(reso)?;
                (schema.fields[at].kind, Source::Field(at))
            }
            people::From::Own(own) => (Kind::Text, Source::Own(*own)),
            people::From::List(list) => (Kind::Text, Source::List(*list)),
        };
        Some(Column { name: (*name).to_owned(), kind, source })
    };
    rows.iter().filter_map(column).collect()
}

pub(super) fn mls<'a>(_: &Scene<'a>, _: &Schema) -> Cell<'a> {
    Cell::Text(MLS.into())
}

/// How many virtual tours there are is all that a native record says of them.
fn tours<'a>(scene: &Scene<'a>, _: &Schema) -> Cell<'a> {
    Cell::Integer(relations::tour(scene).is_some().into())
}

/// The letter of a property type; each MLS has its own, and these are this one's.
fn letter(label: Cow<'_, str>) -> Cow<'_, str> {
    match &*label {
        "Residential" => "A".into(),
        "Residential Income" => "B".into(),
        "Land" => "C".into(),
        "Residential Lease" => "D".into(),
        _ => label,
    }
}
