//! Reads `$metadata`: what the feed offers to this key.
//!
//! Read event by event and by local names, because the files differ in their namespaces between versions and
//! use annotation terms that they do not declare: a strict reader of EDMX would refuse them.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::envelope::Unread;

/// The feed's `$metadata`, and what it says in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The document as it came.
    pub document: String,
    /// Every type that records and their relations have.
    pub entity_types: Vec<EntityType>,
    /// The names of what can be asked for: `Property`, `Member` and so on.
    pub entity_sets: Vec<String>,
}

/// A type of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityType {
    /// Its name without the namespace.
    pub name: String,
    /// Its fields.
    pub properties: Vec<Property>,
    /// What may be expanded.
    pub navigation: Vec<String>,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its OData type, as in `Edm.Decimal` or `Collection(Edm.String)`.
    pub type_: String,
}

impl Metadata {
    /// Reads a document that was kept; none if it is no `$metadata`.
    pub fn parse(document: String) -> Option<Self> {
        read(document.into_bytes()).ok()
    }
}

pub(crate) fn read(bytes: Vec<u8>) -> Result<Metadata, Unread> {
    let document = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    let mut metadata =
        Metadata { document: String::new(), entity_types: Vec::new(), entity_sets: Vec::new() };
    let mut reader = Reader::from_str(document.trim_start_matches('\u{feff}'));
    let mut open: Option<EntityType> = None;
    let (mut saw_schema, mut depth) = (false, 0_u32);
    loop {
        let event = reader.read_event().map_err(|error| Unread::malformed(&error.to_string()))?;
        let (element, has_children) = match &event {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                if end.local_name().as_ref() == b"EntityType" {
                    metadata.entity_types.extend(open.take());
                }
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        depth += u32::from(has_children);
        match (element.local_name().as_ref(), &mut open) {
            (b"Schema", _) => saw_schema = true,
            (b"EntityType", _) => {
                let name = attribute(element, "Name");
                let found = EntityType { name, properties: Vec::new(), navigation: Vec::new() };
                if has_children {
                    open = Some(found);
                } else {
                    metadata.entity_types.push(found);
                }
            }
            (b"Property", Some(open)) => {
                let (name, type_) = (attribute(element, "Name"), attribute(element, "Type"));
                open.properties.push(Property { name, type_ });
            }
            (b"NavigationProperty", Some(open)) => open.navigation.push(attribute(element, "Name")),
            (b"EntitySet", _) => metadata.entity_sets.push(attribute(element, "Name")),
            _ => {}
        }
    }
    if depth > 0 {
        return Err(Unread::malformed("the document is cut short"));
    }
    if !saw_schema {
        return Err(Unread::malformed("the document has no Schema; it is no OData $metadata"));
    }
    metadata.document = document;
    Ok(metadata)
}

/// An attribute's text; empty if it is absent or unreadable, since one odd field must not hide the others.
fn attribute(element: &BytesStart<'_>, name: &str) -> String {
    let attribute = element.try_get_attribute(name).ok().flatten();
    attribute
        .and_then(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).ok())
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0"><edmx:DataServices>
 <Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="ODataService">
  <EntityType Name="Property"><Key><PropertyRef Name="ListingKey"/></Key>
   <Property Name="ListingKey" Nullable="false" Type="Edm.String"/>
   <Property Name="A &amp; B" Type="Collection(Edm.String)"><Annotation Term="T" String="S"/></Property>
   <NavigationProperty Name="Media" Type="Collection(ODataService.Media)" ContainsTarget="true"/>
  </EntityType>
  <EntityType Name="Empty"/>
 </Schema>
 <Schema Namespace="Default"><EntityContainer Name="Container">
  <EntitySet Name="Property" EntityType="ODataService.Property"/><EntitySet Name="Teams" EntityType="x"/>
 </EntityContainer></Schema>
 <Schema Namespace="Terms"><Term Name="StandardName" AppliesTo="EntityType Property"/></Schema>
</edmx:DataServices></edmx:Edmx>"#;

    #[test]
    fn metadata_names_types_fields_expansions_and_sets() {
        let metadata = read(DOCUMENT.as_bytes().to_vec()).unwrap();
        assert_eq!(metadata.entity_sets, ["Property", "Teams"]);
        let [property, empty] = metadata.entity_types.as_slice() else { unreachable!("{metadata:?}") };
        assert_eq!(
            (property.name.as_str(), property.navigation.as_slice()),
            ("Property", &["Media".to_owned()][..])
        );
        let fields: Vec<_> =
            property.properties.iter().map(|p| (p.name.as_str(), p.type_.as_str())).collect();
        assert_eq!(fields, [("ListingKey", "Edm.String"), ("A & B", "Collection(Edm.String)")]);
        assert_eq!((empty.name.as_str(), empty.properties.len()), ("Empty", 0));
        assert_eq!(metadata.document, DOCUMENT);
    }

    #[test]
    fn a_document_that_is_cut_short_or_another_is_refused() {
        for bad in ["", "{}", "<html><body>soon</body></html>", &DOCUMENT[..DOCUMENT.len() / 2]] {
            assert!(matches!(read(bad.as_bytes().to_vec()), Err(Unread::Malformed(_))), "{bad:?} was taken");
        }
    }
}
