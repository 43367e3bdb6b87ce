//! `$metadata`, in the current style, from the very schema that serves the records.

use std::fmt::Write as _;

use crate::world::{Inner, Kind, RELATED, Resource};

/// The EDMX document.
pub(crate) fn edmx(inner: &Inner) -> String {
    let mut out = String::from(concat!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n",
        "<edmx:Edmx xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\" Version=\"4.0\"><edmx:DataServices>\n",
        " <Schema xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" Namespace=\"ODataService\">\n",
    ));
    for resource in Resource::ALL {
        let schema = &inner.shelf(resource).schema;
        open_type(&mut out, resource.as_str(), resource.key_field());
        for field in &schema.fields {
            property(&mut out, &field.name, field.kind, field.name == resource.key_field());
        }
        for relation in resource.relations() {
            let related = RELATED.iter().find(|related| related.relation == *relation);
            let type_name = related.map_or(*relation, |related| related.type_name);
            let _ = writeln!(
                out,
                "   <NavigationProperty Name=\"{relation}\" Type=\"Collection(ODataService.{type_name})\" \
                 ContainsTarget=\"true\"/>"
            );
        }
        out.push_str("  </EntityType>\n");
    }
    for related in RELATED {
        open_type(&mut out, related.type_name, related.key);
        for (name, kind) in related.fields {
            property(&mut out, name, *kind, *name == related.key);
        }
        out.push_str("  </EntityType>\n");
    }
    out.push_str(concat!(
        " </Schema>\n",
        " <Schema xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" Namespace=\"Default\">",
        "<EntityContainer Name=\"Container\">\n",
    ));
    for resource in Resource::ALL.map(Resource::as_str) {
        let _ = writeln!(out, "  <EntitySet Name=\"{resource}\" EntityType=\"ODataService.{resource}\"/>");
    }
    out.push_str(" </EntityContainer></Schema>\n</edmx:DataServices></edmx:Edmx>\n");
    out
}

fn open_type(out: &mut String, name: &str, key: &str) {
    let _ = writeln!(out, "  <EntityType Name=\"{name}\">\n   <Key><PropertyRef Name=\"{key}\"/></Key>");
}

fn property(out: &mut String, name: &str, kind: Kind, key: bool) {
    let edm = match kind {
        Kind::Text | Kind::Choice => "Edm.String",
        Kind::Integer => "Edm.Int64",
        Kind::Decimal => "Edm.Decimal",
        Kind::Flag => "Edm.Boolean",
        Kind::Date => "Edm.Date",
        Kind::Stamp => "Edm.DateTimeOffset",
        Kind::Choices => "Collection(Edm.String)",
    };
    let nullable = if key { " Nullable=\"false\"" } else { "" };
    let _ = write!(out, "   <Property Name=\"{name}\"{nullable} Type=\"{edm}\">");
    if matches!(kind, Kind::Choice | Kind::Choices) {
        let _ = write!(out, "<Annotation Term=\"RESO.OData.Metadata.LookupName\" String=\"{name}\"/>");
    }
    if let Some((group, field)) = name.split_once("_co_") {
        let _ = write!(
            out,
            "<Annotation Term=\"MLS.OData.Metadata.LocalName\" String=\"{}: {}\"/>",
            local(group),
            local(field)
        );
    }
    out.push_str("</Property>\n");
}

/// The label behind an encoded name, escaped for XML.
fn local(encoded: &str) -> String {
    [
        ("_sp_", " "),
        ("_hyphen_", "-"),
        ("_lparen_", "("),
        ("_rparen_", ")"),
        ("_pound_", "#"),
        ("_amp_", "&amp;"),
        ("_cm_", ","),
    ]
    .iter()
    .fold(encoded.to_owned(), |name, (code, letter)| name.replace(code, letter))
}
