//! The parameters of one request, checked against the columns of its resource.

use serde_json::{Value, json};

use super::{filter::Filter, misread, refuse};
use crate::{
    odata::Answer,
    world::{Asked, Columns, Resource, Schema, expansion},
};

/// What one gets who does not ask for a size.
const DEFAULT: usize = 10;

/// Whether a page comes with figures about the whole list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pagination {
    No,
    Yes,
    /// Nothing but the figures.
    Only,
}

#[derive(Debug)]
pub(super) struct Query {
    pub(super) limit: usize,
    /// Pages before this one, for who counts pages instead of following tokens.
    pub(super) pages_before: usize,
    /// Empty at the start of a walk; `None` if none is wanted.
    pub(super) skiptoken: Option<String>,
    pub(super) pagination: Pagination,
    pub(super) asked: Asked,
    pub(super) filter: Option<Filter>,
    pub(super) ordered: bool,
}

impl Query {
    /// Reads the parameters for one resource, whose largest page is `most`.
    pub(super) fn read(
        params: &[(String, String)],
        schema: &Schema,
        columns: &Columns,
        most: usize,
    ) -> Result<Self, Answer> {
        let mut query = Self {
            limit: DEFAULT,
            pages_before: 0,
            skiptoken: None,
            pagination: Pagination::No,
            asked: Asked::default(),
            filter: None,
            ordered: false,
        };
        for (at, (name, value)) in params.iter().enumerate() {
            if params[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(constraint(name, "Once", &json!(1), &json!(2)));
            }
            query.parameter(name, value, schema, columns, most)?;
        }
        if query.skiptoken.is_some() && query.ordered {
            return Err(refuse(400, 1050, "_orderby does not go with _skiptoken.", None));
        }
        if query.skiptoken.is_some() && query.pages_before > 0 {
            return Err(refuse(400, 1050, "_page does not go with _skiptoken.", None));
        }
        Ok(query)
    }

    fn parameter(
        &mut self,
        name: &str,
        value: &str,
        schema: &Schema,
        columns: &Columns,
        most: usize,
    ) -> Result<(), Answer> {
        let unknown = |what: &str| Err(misread(what, &format!("Unknown field: {what}")));
        match name {
            "_limit" => match value.parse::<usize>() {
                Ok(limit) if limit <= most => self.limit = limit,
                Ok(limit) => {
                    return Err(constraint(name, "Maximum", &json!(as_float(most)), &json!(as_float(limit))));
                }
                Err(_) => return Err(constraint(name, "Type", &json!("Integer"), &json!(value))),
            },
            "_page" => match value.parse::<usize>() {
                Ok(page @ 1..=100_000) => self.pages_before = page - 1,
                _ => return Err(constraint(name, "Maximum", &json!(100_000.0), &json!(value))),
            },
            "_pagination" => {
                self.pagination = match value {
                    "0" => Pagination::No,
                    "1" => Pagination::Yes,
                    "count" => Pagination::Only,
                    _ => return Err(constraint(name, "Values", &json!(["0", "1", "count"]), &json!(value))),
                }
            }
            "_skiptoken" => self.skiptoken = Some(value.to_owned()),
            "_select" => {
                let mut chosen = Vec::new();
                for field in value.split(',').map(str::trim) {
                    match columns.find(field) {
                        Some(at) => chosen.push(at),
                        // Both come with every record.
                        None if field == "Id" || field == "ResourceUri" => {}
                        None => return unknown(field),
                    }
                }
                self.asked.select = Some(chosen);
            }
            "_expand" => {
                for wanted in value.split(',').map(str::trim) {
                    match expansion(wanted) {
                        Some((expansion, _)) if schema.resource == Resource::Property => {
                            self.asked.expand.push(expansion);
                        }
                        _ => return unknown(wanted),
                    }
                }
            }
            "_filter" => self.filter = Some(Filter::parse(value, schema, columns)?),
            "_orderby" => {
                let field = value.strip_prefix('+').unwrap_or(value);
                if field != "Id" && field != schema.resource.key_field() {
                    return Err(misread(value, "Only the key, ascending, is served."));
                }
                self.ordered = true;
            }
            _ => return Err(constraint(name, "Known", &json!(true), &json!(false))),
        }
        Ok(())
    }
}

/// 1053, with the rule that a parameter broke.
fn constraint(name: &str, rule: &str, allowed: &Value, given: &Value) -> Answer {
    let broken = json!({
        "RuleName": rule, "RuleValue": allowed, "Value": given, "RuleField": null, "RuleFieldValue": null,
    });
    let details = json!([{ name: [broken] }]).to_string();
    refuse(400, 1053, &format!("{name} is out of range."), Some(("Details", &details)))
}

fn as_float(whole: usize) -> f64 {
    f64::from(u32::try_from(whole).unwrap_or(u32::MAX))
}
