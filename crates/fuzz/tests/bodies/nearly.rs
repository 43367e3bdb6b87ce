//! Texts that are nearly what they should be: every part is legal, and some of them stand where none should.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{Alone, target};

/// Names that mean something, besides others.
const NAMES: [&str; 20] = [
    "ListingKey",
    "LookupKey",
    "ModificationTimestamp",
    "ListPrice",
    "City",
    "PrivateRemarks",
    "PhotosCount",
    "PhotosChangeTimestamp",
    "Media",
    "Media@odata.nextLink",
    "Room",
    "MediaKey",
    "MediaCategory",
    "RoomKey",
    "@odata.id",
    "Buyer@Core.Permissions",
    "value",
    "error",
    "D",
    "@odata.nextLink",
];

/// A JSON string with escapes, surrogates of all sorts and quotes, as it would be written.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(vec![
            "\\u0000",
            "\\ud83d",
            "\\ude00",
            "\\ud83d\\ude00",
            "\\\\",
            "\\\"",
            "\\n",
            "\\/",
            "\\u00e9"
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9 @.é€😀]{0,6}",
        select(NAMES.to_vec()).prop_map(str::to_owned),
        "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-5][0-9])",
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        select(vec!["1e9223372036854775807", "-0.0", "1e-9223372036854775808", "0e99999999999999999999"])
            .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![string(), number(), select(vec!["null", "true", "false"]).prop_map(str::to_owned)];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|elements| format!("[{}]", elements.join(" ,"))),
            members(inner).prop_map(|members| format!("{{{members}}}")),
        ]
    })
}

/// Members of an object; names repeat.
fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = prop_oneof![3 => select(NAMES.to_vec()).prop_map(|name| format!("\"{name}\"")), 1 => string()];
    vec((name, value), 0..7).prop_map(|members| {
        members.into_iter().map(|(name, value)| format!("{name} :{value}")).collect::<Vec<_>>().join(",")
    })
}

#[test]
fn what_must_hold_holds_for_records_of_strange_values() {
    let alone = Alone::wait();
    proptest!(|(members in members(value()), key in string())| {
        for field in ["ListingKey", "LookupKey"] {
            let comma = if members.is_empty() { "" } else { "," };
            let record = format!("{{\"{field}\":{key}{comma}{members}}}");
            alone.holds(target("record"), record.as_bytes());
        }
    });
}

#[test]
fn what_must_hold_holds_for_pages_and_errors_of_strange_members() {
    let alone = Alone::wait();
    proptest!(|(records in vec(value(), 0..4), members in members(value()), link in string())| {
        let comma = if members.is_empty() { "" } else { "," };
        let list = format!("{{{members}{comma}\"value\":[{}],\"@odata.nextLink\":{link}}}", records.join(","));
        alone.holds(target("page"), list.as_bytes());
        let error = format!("{{\"error\":{{\"code\":{link},\"message\":{link}{comma}{members}}}}}");
        alone.holds(target("page"), error.as_bytes());
        alone.holds(target("refusal"), error.as_bytes());
        alone.holds(target("refusal"), format!("{{\"D\":{{\"Code\":1020,\"Message\":{link}}}}}").as_bytes());
    });
}

#[test]
fn what_must_hold_holds_for_documents_of_strange_elements() {
    let alone = Alone::wait();
    let piece = select(vec![
        "<Schema>",
        "</Schema>",
        "<EntityType Name='A'>",
        "</EntityType>",
        "<EntityType Name=\"B\"/>",
        "<Property Name=\"P\" Type='Edm.String'/>",
        "<Property Name=\"&#65;&amp;&lt;\"/>",
        "<NavigationProperty/>",
        "<EntitySet Name=\"S\"/>",
        "<!-- -->",
        "<![CDATA[ ]]>",
        "<?x y?>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>",
        "<edmx:Edmx>",
        "</edmx:Edmx>",
        "<a:EntityType a:Name='C' Name='&#0;'>",
        "</a:EntityType>",
        "&b;",
        "text",
        "<Property Name='x' Name='y'>",
        "</Property>",
        "<",
        ">",
        "\u{feff}",
        "é",
    ]);
    proptest!(|(pieces in vec(piece, 0..14))| {
        alone.holds(target("metadata"), pieces.concat().as_bytes());
        alone.holds(target("metadata"), format!("<Schema>{}</Schema>", pieces.concat()).as_bytes());
    });
}

#[test]
fn what_must_hold_holds_for_texts_that_are_nearly_times() {
    let alone = Alone::wait();
    let stamp = "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,12})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])?";
    let date = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (Jan|Feb|Dec) [0-9]{4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] GMT";
    proptest!(|(text in prop_oneof![stamp, date, "[+-]?[0-9]{1,25}", " [0-9]{1,3} "])| {
        alone.holds(target("moment"), text.as_bytes());
    });
}

#[test]
fn what_must_hold_holds_for_texts_that_are_nearly_links() {
    let alone = Alone::wait();
    let piece = select(vec![
        "https:",
        "http:",
        "//",
        "/",
        "\\",
        "replication.example",
        ":8443",
        ":443",
        "@",
        "user",
        ":",
        "?",
        "&",
        "#",
        "$top=100",
        "%24top=5",
        "$top",
        "=",
        "..",
        ".",
        "Property",
        "%2e",
        "[::1]",
        "\t",
        "\n",
        " ",
        "é",
        "blob:",
        "data:",
        "javascript:",
        "REPLICATION.EXAMPLE",
        "Version/3/Reso/OData",
        "$skiptoken=a'b",
        "%",
        "%zz",
    ]);
    proptest!(|(pieces in vec(piece, 0..9))| {
        alone.holds(target("link"), pieces.concat().as_bytes());
        let home = "https://replication.example:8443/Version/3/Reso/OData/Property";
        alone.holds(target("link"), format!("{home}{}", pieces.concat()).as_bytes());
    });
}
