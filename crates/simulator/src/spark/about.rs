//! What the surface says of itself: whose data it is, and which standard fields there are.

use serde_json::{Map, Value, json};

use super::results;
use crate::{
    odata::Answer,
    world::{Inner, Kind, Resource},
};

/// `/v1/system`, as far as a reader of listings can make use of it.
pub(super) fn system() -> Answer {
    let mls =
        json!([{ "Mls": "Example MLS", "MlsId": "20000426143505724628000000", "Name": "The simulator" }]);
    results(&mls.to_string(), 1, "")
}

/// `/v1/standardfields`: one object with a member for each field.
pub(super) fn standard_fields(inner: &Inner) -> Answer {
    let columns = inner.shelf(Resource::Property).columns.iter().flat_map(|columns| &columns.all);
    let fields: Map<String, Value> = columns
        .map(|column| {
            let kind = match column.kind {
                Kind::Text | Kind::Choice | Kind::Choices => "Character",
                Kind::Integer => "Integer",
                Kind::Decimal => "Decimal",
                Kind::Flag => "Boolean",
                Kind::Date => "Date",
                Kind::Stamp => "Datetime",
            };
            let field = json!({
                "ResourceUri": format!("/v1/standardfields/{}", column.name),
                "Label": column.name,
                "Type": kind,
                "Searchable": column.searchable(),
                "HasList": matches!(column.kind, Kind::Choice | Kind::Choices),
            });
            (column.name.clone(), field)
        })
        .collect();
    results(&Value::Array(vec![Value::Object(fields)]).to_string(), 1, "")
}
