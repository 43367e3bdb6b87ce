//! Accounts and open houses: flat records with lists of ways to reach somebody.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::columns::{List, Own, mls};
use crate::world::{Cell, Object, Scene, Schema, Style};

/// A native field and where it comes from.
pub(super) type Row = (&'static str, From);

#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// The RESO field of this name.
    Field(&'static str),
    Own(Own),
    List(List),
}

/// Texts of times and dates are those of a server in this zone, as is a filter's time without one.
pub(crate) const LOCAL_SECONDS: i64 = -5 * 3_600;

pub(super) const MEMBER: &[Row] = &[
    ("UserType", From::Own(|_, _| Cell::Text("Member".into()))),
    ("Name", From::Field("MemberFullName")),
    ("FirstName", From::Field("MemberFirstName")),
    ("LastName", From::Field("MemberLastName")),
    ("ShortId", From::Field("MemberMlsId")),
    ("Office", From::Field("OfficeName")),
    ("OfficeId", From::Field("OfficeKey")),
    ("Mls", From::Own(|_, _| Cell::Text("Example MLS".into()))),
    ("MlsId", From::Own(mls)),
    (
        "Emails",
        From::List(|scene, schema, style| {
            list(style, &[("Work", "Primary", "Address", field(scene, schema, "MemberEmail"))])
        }),
    ),
    (
        "Phones",
        From::List(|scene, schema, style| {
            list(
                style,
                &[
                    ("Office", "Direct", "Number", field(scene, schema, "MemberDirectPhone")),
                    ("Mobile", "Mobile", "Number", field(scene, schema, "MemberMobilePhone")),
                ],
            )
        }),
    ),
    ("Websites", From::List(|_, _, _| "[]".to_owned())),
    ("Addresses", From::List(|_, _, _| "[]".to_owned())),
    ("Images", From::List(images)),
    ("ModificationTimestamp", From::Field("ModificationTimestamp")),
];

pub(super) const OFFICE: &[Row] = &[
    ("UserType", From::Own(|_, _| Cell::Text("Office".into()))),
    ("Name", From::Field("OfficeName")),
    ("ShortId", From::Field("OfficeMlsId")),
    ("Office", From::Field("OfficeName")),
    ("OfficeId", From::Field("OfficeKey")),
    ("Mls", From::Own(|_, _| Cell::Text("Example MLS".into()))),
    ("MlsId", From::Own(mls)),
    ("Emails", From::List(|_, _, _| "[]".to_owned())),
    (
        "Phones",
        From::List(|scene, schema, style| {
            list(style, &[("Office", "Office", "Number", field(scene, schema, "OfficePhone"))])
        }),
    ),
    ("Websites", From::List(|_, _, _| "[]".to_owned())),
    (
        "Addresses",
        From::List(|scene, schema, style| {
            list(style, &[("Work", "Main", "Address", field(scene, schema, "OfficeAddress1"))])
        }),
    ),
    ("Images", From::List(images)),
    ("ModificationTimestamp", From::Field("ModificationTimestamp")),
];

pub(super) const OPEN_HOUSE: &[Row] = &[
    ("ListingKey", From::Field("ListingKey")),
    ("Type", From::Field("OpenHouseType")),
    // Local, without a zone: the timestamps below are what can be relied on.
    ("Date", From::Own(|scene, schema| local(scene, schema, "OpenHouseStartTime", "%m/%d/%Y"))),
    ("StartTime", From::Own(|scene, schema| local(scene, schema, "OpenHouseStartTime", "%-I:%M %P"))),
    ("EndTime", From::Own(|scene, schema| local(scene, schema, "OpenHouseEndTime", "%-I:%M %P"))),
    ("OpenHouseStartTimestamp", From::Field("OpenHouseStartTime")),
    ("OpenHouseEndTimestamp", From::Field("OpenHouseEndTime")),
    ("Comments", From::Field("OpenHouseRemarks")),
    ("AdditionalInfo", From::List(|_, _, _| "[]".to_owned())),
    ("ModificationTimestamp", From::Field("ModificationTimestamp")),
];

fn field<'a>(scene: &Scene<'a>, schema: &Schema, name: &str) -> Cell<'a> {
    schema.find(name).map_or(Cell::Absent, |at| schema.fields[at].cell(scene))
}

/// Addresses or numbers: the first is the primary one, and what is null is no entry.
fn list(style: &Style, entries: &[(&str, &str, &str, Cell<'_>)]) -> String {
    let mut out = "[".to_owned();
    for (n, (kind, name, member, cell)) in entries.iter().enumerate() {
        if matches!(cell, Cell::Null | Cell::Absent) {
            continue;
        }
        let mut object = Object::new(style);
        object.text("Type", kind);
        object.text("Name", name);
        object.cell(member, cell);
        object.cell("Primary", &Cell::Flag(n == 0));
        if out.len() > 1 {
            out.push(',');
        }
        object.close(&mut out);
    }
    out.push(']');
    out
}

/// A face or a logo; those who have none on the RESO side have none here.
fn images(scene: &Scene<'_>, _: &Schema, style: &Style) -> String {
    if !scene.one_in(111, 2) {
        return "[]".to_owned();
    }
    let uri = format!("https://cdn.photos.sparkplatform.com/xmls/{:020}-o.jpg", scene.pick(1_000_000));
    list(style, &[("Photo", "", "Uri", Cell::Text(uri.into()))])
}

fn local<'a>(scene: &Scene<'a>, schema: &Schema, name: &str, form: &str) -> Cell<'a> {
    let moment: Option<DateTime<Utc>> = match field(scene, schema, name) {
        Cell::Raw(raw) => match serde_json::from_str(raw) {
            Ok(Value::String(text)) => text.parse().ok(),
            _ => None,
        },
        Cell::Hidden => return Cell::Hidden,
        _ => None,
    };
    let shifted = moment.and_then(|moment| DateTime::from_timestamp(moment.timestamp() + LOCAL_SECONDS, 0));
    shifted.map_or(Cell::Null, |moment| Cell::Text(moment.format(form).to_string().into()))
}
