//! The same records as the native Spark API shows them.
//!
//! Nothing is stored twice: every native field follows from a RESO field of the same record, so an edit by its
//! RESO name shows on both surfaces. What the documents leave open is decided here and said where it stands.

mod columns;
mod custom;
mod people;
mod relations;
mod truth;

use self::relations::Reso;
use super::{
    Inner, Object, Resource, Scene, Style,
    record::{Planted, Record},
};

pub(crate) use self::{
    columns::{Columns, reso_name},
    people::LOCAL_SECONDS,
};

/// Expansions that stand beside `StandardFields`, not inside.
const CUSTOM: [&str; 3] = ["CustomFields", "CustomFieldsRaw", "CustomFieldsExpandedRaw"];

/// Which relation the native expansions of a listing make up, by its RESO name if it has one.
const EXPANSIONS: [(&str, &str); 11] = [
    ("Photos", "Media"),
    ("Videos", "Media"),
    ("VirtualTours", "Media"),
    ("Documents", "Media"),
    ("FloPlans", "Media"),
    ("OpenHouses", "OpenHouse"),
    ("Rooms", "Room"),
    ("Units", "Unit"),
    (CUSTOM[0], CUSTOM[0]),
    (CUSTOM[1], CUSTOM[1]),
    (CUSTOM[2], CUSTOM[2]),
];

/// The expansion of a listing that has this name, and the relation that it is part of.
pub(crate) fn expansion(name: &str) -> Option<(&'static str, &'static str)> {
    EXPANSIONS.into_iter().find(|(expansion, _)| *expansion == name)
}

/// What an answer shows of a record.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The chosen columns; all if nothing was chosen.
    pub(crate) select: Option<Vec<usize>>,
    /// The expansions to write, by their native names.
    pub(crate) expand: Vec<&'static str>,
    /// Those among them that are to come empty.
    pub(crate) empty: Vec<&'static str>,
}

/// One record on its way into an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) resource: Resource,
    pub(crate) key: &'a str,
    pub(crate) record: &'a Record,
    pub(crate) style: &'a Style,
    pub(crate) now: i64,
}

impl<'a> View<'a> {
    /// Appends the record: a listing with its fields one level down, all others flat.
    pub(crate) fn write(&self, page: &mut String, asked: &Asked) {
        let mut object = self.head(&self.uri());
        if self.resource != Resource::Property {
            self.fields(&mut object, asked);
            return object.close(page);
        }
        let mut standard = String::new();
        let mut fields = Object::new(self.style);
        self.fields(&mut fields, asked);
        let mut media = None;
        let mut expanded = |name: &'static str| {
            if asked.empty.contains(&name) { "[]".to_owned() } else { self.expansion(name, &mut media) }
        };
        for expansion in asked.expand.iter().filter(|expansion| !CUSTOM.contains(expansion)) {
            fields.raw(expansion, &expanded(expansion));
        }
        fields.close(&mut standard);
        object.raw("StandardFields", &standard);
        for expansion in asked.expand.iter().filter(|expansion| CUSTOM.contains(expansion)) {
            object.raw(expansion, &expanded(expansion));
        }
        if asked.select.is_none() {
            object.raw("DisplayCompliance", compliance(&self.scene()));
        }
        object.close(page);
    }

    /// The members of one expansion, as a JSON array; `media` keeps what several of them are made of.
    pub(crate) fn expansion(&self, name: &str, media: &mut Option<Reso>) -> String {
        match name {
            "CustomFields" => custom::tree(&self.scene(), self.schema(), self.style),
            "CustomFieldsRaw" => custom::raw(&self.scene(), self.schema(), self.style, false),
            "CustomFieldsExpandedRaw" => custom::raw(&self.scene(), self.schema(), self.style, true),
            "OpenHouses" => self.open_houses(),
            other => relations::members(self, other, media),
        }
    }

    fn open_houses(&self) -> String {
        if let Some(Planted::Raw(raw)) = self.record.planted("OpenHouse") {
            return raw.to_string();
        }
        let mut page = "[".to_owned();
        for (key, record) in self.inner.open_houses_of(self.key, self.now) {
            if page.len() > 1 {
                page.push(',');
            }
            let uri = format!("{}/openhouses/{key}", self.uri());
            let view = Self { resource: Resource::OpenHouse, key, record, ..*self };
            let mut object = view.head(&uri);
            view.fields(&mut object, &Asked::default());
            object.close(&mut page);
        }
        page.push(']');
        page
    }

    /// `Id`, the address, and what says nothing about the record.
    fn head(&self, uri: &str) -> Object<'a> {
        let mut object = Object::new(self.style);
        object.text("Id", self.key);
        object.text("ResourceUri", &relations::address(self.style, uri));
        if self.style.noise {
            object.text("LastCachedTimestamp", &crate::clock::stamp(self.now));
        }
        object
    }

    fn fields(&self, object: &mut Object<'_>, asked: &Asked) {
        let Some(columns) = &self.inner.shelf(self.resource).columns else { return };
        columns.write(object, self.schema(), &self.scene(), self.style, asked.select.as_deref());
    }

    fn uri(&self) -> String {
        let collection = match self.resource {
            Resource::Property => "listings",
            Resource::OpenHouse => "openhouses",
            _ => "accounts",
        };
        format!("/v1/{collection}/{}", self.key)
    }

    fn schema(&self) -> &'a super::Schema {
        &self.inner.shelf(self.resource).schema
    }

    fn scene(&self) -> Scene<'a> {
        Scene { key: self.key, record: self.record, ground: &self.inner.ground }
    }
}

/// How a listing is to be displayed; most in summary.
fn compliance(scene: &Scene<'_>) -> &'static str {
    const DETAIL: &str =
        r#"{"View":"Detail","IDXLogo":{"LogoUri":"https://cdn.example.test/logo.png","Type":"Uri"}}"#;
    const SUMMARY: &str =
        r#"{"View":"Summary","IDXLogoSmall":{"LogoUri":"https://cdn.example.test/small.png","Type":"Uri"}}"#;
    if scene.one_in(140, 5) { DETAIL } else { SUMMARY }
}
