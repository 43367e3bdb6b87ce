//! A native record as one flat object.
//!
//! `StandardFields` come up, what stands beside them follows, the key is there under RESO's name, and what
//! changes without the record changing (`ResourceUri`, `LastCachedTimestamp`) is gone. Expansions that were
//! asked for become relations; others are left out, however full or empty, because the record did not answer
//! for them; a part of `Media` that did not come although it was asked for, or was not asked for, is named. A value that is `********` is hidden: not text, whatever the field's type, but the same
//! `Field@Core.Permissions` that RESO has.

use spark_domain::record::{ABSENT_PARTS, Elements, Members, OMITTED_PARTS, RejectReason};
use spark_domain::{MediaPart, Query, Relation};

use super::url::{asked, expansions};

/// How the native API writes what the key's role may not see.
const HIDDEN: &str = "\"********\"";

/// Below this, nothing is looked at: no real record lies so deep, and one that does is refused later.
const DEEPEST: usize = 32;

/// Writes the record flat. On an error what was written is of no use.
pub(super) fn flatten(raw: &str, query: &Query, out: &mut String) -> Result<(), RejectReason> {
    let record = Members::read(raw)?;
    let standard = match record.get("StandardFields") {
        Some(fields) if fields.starts_with('{') => Members::read(fields)?,
        _ => Members::default(),
    };
    let mut flat = Object::begin(out);
    let key_field = query.resource.key_field();
    let has_key =
        |members: &Members<'_>| members.get(key_field).is_some_and(|key| key != HIDDEN && key != "null");
    let keyless = !has_key(&standard) && !has_key(&record);
    if let Some(id) = record.get("Id").filter(|_| keyless) {
        flat.field(key_field, id);
    }
    let own = record.iter().filter(|(name, _)| !is_frame(name));
    for (name, value) in standard.iter().chain(own) {
        let replaced = keyless && name == key_field;
        if !replaced && !is_expansion(name) {
            flat.field(name, value.get());
        }
    }
    for relation in &query.expand {
        let Set { members, absent } = match set(*relation, query, &standard, &record) {
            Ok(Some(set)) => set,
            Ok(None) => continue,
            // As it is: whoever reads the record refuses it by its key, and for this.
            Err(unreadable) => Set { members: unreadable.to_owned(), absent: Vec::new() },
        };
        flat.member(relation.as_str(), &members);
        if *relation == Relation::Media {
            flat.names(ABSENT_PARTS, &absent);
            flat.names(OMITTED_PARTS, &query.omit.iter().map(|part| part.as_str()).collect::<Vec<_>>());
        }
    }
    flat.end();
    Ok(())
}

/// Whether a member frames the record and is none of its content.
fn is_frame(name: &str) -> bool {
    matches!(name, "Id" | "ResourceUri" | "StandardFields" | "LastCachedTimestamp")
}

fn is_expansion(name: &str) -> bool {
    name == "PrimaryPhoto" || Relation::ALL.into_iter().any(|relation| expansions(relation).contains(&name))
}

/// A relation as it came.
struct Set {
    /// A JSON array.
    members: String,
    /// Expansions that make it up and are not there.
    absent: Vec<&'static str>,
}

/// The members of a relation, if any of the expansions that make it up is there. The error is one that cannot be read.
fn set<'r>(
    relation: Relation,
    query: &Query,
    standard: &'r Members<'_>,
    record: &'r Members<'_>,
) -> Result<Option<Set>, &'r str> {
    let mut set = String::from("[");
    let (mut absent, mut came) = (Vec::new(), false);
    for expansion in asked(query, relation) {
        let served = standard.get(expansion).or_else(|| record.get(expansion));
        let Some(text) = served.filter(|text| *text != "null" && *text != HIDDEN) else {
            absent.push(expansion);
            continue;
        };
        came = true;
        let members = if text.starts_with('[') { Elements::read(text) } else { Elements::one(text) };
        for (at, member) in members.map_err(|_| text)?.iter().enumerate() {
            if set.len() > 1 {
                set.push(',');
            }
            match relation {
                Relation::CustomFields | Relation::CustomFieldsRaw | Relation::CustomFieldsExpandedRaw => {
                    show(member.get(), DEEPEST, &mut set);
                }
                _ => self::member(member.get(), relation, expansion, at + 1, &mut set).map_err(|_| text)?,
            }
        }
    }
    set.push(']');
    Ok(came.then_some(Set { members: set, absent }))
}

/// One photo, room and so on, with what RESO's members have and it has not: key, category, place.
fn member(
    raw: &str,
    relation: Relation,
    expansion: &str,
    place: usize,
    out: &mut String,
) -> Result<(), RejectReason> {
    let members = Members::read(raw)?;
    let mut flat = Object::begin(out);
    if let Some(id) = members.get("Id") {
        flat.field(relation.key_field(), id);
    }
    if relation == Relation::Media {
        let is_branded = members.get("Type").is_some_and(|kind| kind.eq_ignore_ascii_case("\"branded\""));
        let category = expansion.parse().map_or("Other", |part: MediaPart| part.category(is_branded));
        flat.member("MediaCategory", &format!("\"{category}\""));
        flat.member("Order", &place.to_string());
    }
    for (name, value) in members.iter().filter(|(name, _)| !matches!(name.as_ref(), "Id" | "ResourceUri")) {
        flat.field(name, value.get());
    }
    flat.end();
    Ok(())
}

/// An object under way.
struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        Members::push_name(self.out, name);
        self.out.push(':');
    }

    /// A member with this JSON.
    fn member(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    /// A member that lists names, if there are any.
    fn names(&mut self, name: &str, listed: &[&str]) {
        if !listed.is_empty() {
            self.member(name, &format!("[\"{}\"]", listed.join("\",\"")));
        }
    }

    /// A member as served, or that it is hidden.
    fn field(&mut self, name: &str, json: &str) {
        self.field_below(name, json, DEEPEST);
    }

    fn field_below(&mut self, name: &str, json: &str, depth: usize) {
        if json == HIDDEN {
            self.member(&format!("{name}@Core.Permissions"), "\"None\"");
        } else {
            self.name(name);
            show(json, depth, self.out);
        }
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// A value with whatever is hidden in it. Most have nothing hidden and go as they are.
fn show(json: &str, depth: usize, out: &mut String) {
    let deeper = depth.checked_sub(1).filter(|_| json.contains(HIDDEN));
    let shown = deeper.is_some_and(|depth| match json.as_bytes().first() {
        Some(b'{') => Members::read(json).is_ok_and(|members| {
            let mut object = Object::begin(out);
            members.iter().for_each(|(name, value)| object.field_below(name, value.get(), depth));
            object.end();
            true
        }),
        Some(b'[') => Elements::read(json).is_ok_and(|elements| {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                show(element.get(), depth, out);
            }
            out.push(']');
            true
        }),
        _ => false,
    });
    if !shown {
        out.push_str(json);
    }
}

#[cfg(test)]
mod tests {
    use spark_domain::Resource;

    use super::*;

    fn flat(raw: &str, resource: Resource, asked: &[Relation]) -> String {
        let mut out = String::new();
        flatten(raw, &Query { expand: asked.to_vec(), ..Query::collection(resource) }, &mut out).unwrap();
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
        out
    }

    #[test]
    fn standard_fields_come_up_and_the_frame_goes() {
        let raw = r#"{"Id":"7","ResourceUri":"/v1/listings/7","LastCachedTimestamp":"x","StandardFields":
            {"ListingKey":"7","ListPrice":525000.00,"BathsTotal":"2.0"},"CustomFields":[{"Main":[]}],
            "DisplayCompliance":{"View":"Summary"}}"#;
        assert_eq!(
            flat(raw, Resource::Property, &[]),
            r#"{"ListingKey":"7","ListPrice":525000.00,"BathsTotal":"2.0","DisplayCompliance":{"View":"Summary"}}"#
        );
    }

    #[test]
    fn a_key_list_and_an_account_get_their_key_from_the_id() {
        let bare = r#"{"Id":"7","ResourceUri":"/v1/listings/7"}"#;
        assert_eq!(flat(bare, Resource::Property, &[]), r#"{"ListingKey":"7"}"#);
        let account =
            r#"{"Id":"9","UserType":"Member","Name":"Ada","Emails":[{"Address":"a@example.test"}]}"#;
        assert_eq!(
            flat(account, Resource::Member, &[]),
            r#"{"MemberKey":"9","UserType":"Member","Name":"Ada","Emails":[{"Address":"a@example.test"}]}"#
        );
        let hidden = r#"{"Id":"7","StandardFields":{"ListingKey":"********","City":"Fernhollow"}}"#;
        assert_eq!(flat(hidden, Resource::Property, &[]), r#"{"ListingKey":"7","City":"Fernhollow"}"#);
        // All records of a hidden key would be one.
        let nameless = r#"{"Id":"********","StandardFields":{}}"#;
        assert_eq!(flat(nameless, Resource::Property, &[]), r#"{"ListingKey@Core.Permissions":"None"}"#);
    }

    #[test]
    fn asterisks_are_hidden_in_any_field_at_any_depth_and_nothing_else_is() {
        let raw = r#"{"Id":"7","StandardFields":{"ListingKey":"7","ClosePrice":"********","PublicRemarks":"see ******** here",
            "View":{"Lake":true,"City":"********"},"List":[{"a":"********"},"********"]}}"#;
        assert_eq!(
            flat(raw, Resource::Property, &[]),
            r#"{"ListingKey":"7","ClosePrice@Core.Permissions":"None","PublicRemarks":"see ******** here","View":{"Lake":true,"City@Core.Permissions":"None"},"List":[{"a@Core.Permissions":"None"},"********"]}"#
        );
    }

    #[test]
    fn expansions_become_media_with_keys_categories_and_places() {
        let raw = r#"{"Id":"7","StandardFields":{"ListingKey":"7","Photos":[{"Id":"p1","ResourceUri":"/x","Name":"Front","Primary":true},{"Id":"p2"}],
            "Videos":[],"VirtualTours":[{"Id":"t1","Type":"branded"},{"Id":"t2","Type":"unbranded"}],"Documents":[{"Id":"d1"}],"FloPlans":[]}}"#;
        assert_eq!(
            flat(raw, Resource::Property, &[Relation::Media]),
            concat!(
                r#"{"ListingKey":"7","Media":[{"MediaKey":"p1","MediaCategory":"Photo","Order":1,"Name":"Front","Primary":true},"#,
                r#"{"MediaKey":"p2","MediaCategory":"Photo","Order":2},"#,
                r#"{"MediaKey":"t1","MediaCategory":"Branded Virtual Tour","Order":1,"Type":"branded"},"#,
                r#"{"MediaKey":"t2","MediaCategory":"Unbranded Virtual Tour","Order":2,"Type":"unbranded"},"#,
                r#"{"MediaKey":"d1","MediaCategory":"Document","Order":1}]}"#
            )
        );
        assert_eq!(flat(raw, Resource::Property, &[]), r#"{"ListingKey":"7"}"#, "nobody asked for them");
    }

    #[test]
    fn media_name_the_parts_that_did_not_come_and_those_that_were_not_asked_for() {
        let raw = r#"{"Id":"7","StandardFields":{"Photos":[{"Id":"p1"}],"Videos":[],"VirtualTours":[],"Documents":null}}"#;
        let photo = r#"{"MediaKey":"p1","MediaCategory":"Photo","Order":1}"#;
        assert_eq!(
            flat(raw, Resource::Property, &[Relation::Media]),
            format!(
                r#"{{"ListingKey":"7","Media":[{photo}],"Media@Spark.Absent":["Documents","FloPlans"]}}"#
            )
        );
        let query = Query {
            expand: vec![Relation::Media],
            omit: vec![MediaPart::FloPlans],
            ..Query::collection(Resource::Property)
        };
        let mut out = String::new();
        flatten(raw, &query, &mut out).unwrap();
        assert_eq!(
            out,
            format!(
                r#"{{"ListingKey":"7","Media":[{photo}],"Media@Spark.Absent":["Documents"],"Media@Spark.Omitted":["FloPlans"]}}"#
            )
        );
        let none = r#"{"Id":"7","StandardFields":{"Videos":null,"Documents":"********"}}"#;
        assert_eq!(flat(none, Resource::Property, &[Relation::Media]), r#"{"ListingKey":"7"}"#);
    }

    #[test]
    fn a_relation_that_cannot_be_read_leaves_the_record_its_key() {
        let raw = r#"{"Id":"7","StandardFields":{"Rooms":["x"],"Units":[]}}"#;
        assert_eq!(
            flat(raw, Resource::Property, &[Relation::Room, Relation::Unit]),
            r#"{"ListingKey":"7","Room":["x"],"Unit":[]}"#
        );
    }

    #[test]
    fn rooms_units_and_custom_fields_are_relations_too() {
        let raw = r#"{"Id":"7","StandardFields":{"Rooms":[{"Id":"r1","Name":"Kitchen"}],"Units":[]},
            "CustomFields":[{"Main":[{"Site":[{"Terrain":"Level"},{"Owner":"********"}]}]}]}"#;
        assert_eq!(
            flat(raw, Resource::Property, &[Relation::Room, Relation::Unit, Relation::CustomFields]),
            concat!(
                r#"{"ListingKey":"7","Room":[{"RoomKey":"r1","Name":"Kitchen"}],"Unit":[],"#,
                r#""CustomFields":[{"Main":[{"Site":[{"Terrain":"Level"},{"Owner@Core.Permissions":"None"}]}]}]}"#
            )
        );
    }

    #[test]
    fn a_record_of_any_depth_is_read_without_falling() {
        let deep = format!("{}\"********\"{}", "[".repeat(100_000), "]".repeat(100_000));
        let raw = format!(r#"{{"Id":"7","StandardFields":{{"Deep":{deep}}}}}"#);
        let mut out = String::new();
        let query = Query::collection(Resource::Property);
        let _ = flatten(&raw, &query, &mut out);
        assert!(flatten("[1]", &query, &mut String::new()).is_err());
    }
}
