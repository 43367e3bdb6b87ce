//! The query options of one request, checked against the schema.

use super::{Answer, filter::Filter};
use crate::world::{Resource, Schema};

/// Most records a replication key gets in one page.
const MOST: usize = 1_000;
/// What one gets who does not ask for a size.
const DEFAULT: usize = 10;

#[derive(Debug)]
pub(super) struct Query {
    pub(super) top: usize,
    pub(super) skip: usize,
    pub(super) count: bool,
    pub(super) select: Option<Vec<usize>>,
    pub(super) expand: Vec<&'static str>,
    pub(super) filter: Option<Filter>,
    pub(super) skiptoken: Option<String>,
    pub(super) ordered: bool,
}

impl Query {
    pub(super) fn read(params: &[(String, String)], schema: &Schema) -> Result<Self, Answer> {
        let mut query = Self {
            top: DEFAULT,
            skip: 0,
            count: false,
            select: None,
            expand: Vec::new(),
            filter: None,
            skiptoken: None,
            ordered: false,
        };
        for (at, (name, value)) in params.iter().enumerate() {
            if params[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Answer::bad(name, 1050, "The option was given twice."));
            }
            query.option(name, value, schema)?;
        }
        Ok(query)
    }

    fn option(&mut self, name: &str, value: &str, schema: &Schema) -> Result<(), Answer> {
        let bad = |code, message: &str| Err(Answer::bad(name, code, message));
        match name {
            "$top" => match value.parse() {
                Ok(top @ 1..=MOST) => self.top = top,
                _ => return bad(1053, "Must be a whole number from 1 to 1000."),
            },
            "$skip" => match value.parse() {
                Ok(skip) => self.skip = skip,
                Err(_) => return bad(1053, "Must be a whole number."),
            },
            "$count" => match value {
                "true" => self.count = true,
                "false" => self.count = false,
                _ => return bad(1053, "Must be true or false."),
            },
            "$select" => {
                let mut chosen = Vec::new();
                for field in value.split(',').map(str::trim) {
                    let Some(at) = schema.find(field) else {
                        return bad(1040, &format!("Unknown field: {field}"));
                    };
                    chosen.push(at);
                }
                self.select = Some(chosen);
            }
            "$expand" => {
                for wanted in value.split(',').map(str::trim) {
                    match relation(schema.resource, wanted) {
                        Some(relation) => self.expand.push(relation),
                        None => return bad(1040, &format!("Unknown navigation property: {wanted}")),
                    }
                }
            }
            "$filter" => match Filter::parse(value, schema) {
                Ok(filter) => self.filter = Some(filter),
                Err(why) => return bad(1040, &why),
            },
            "$orderby" => {
                let field = value.strip_suffix(" asc").unwrap_or(value);
                if field != schema.resource.key_field() {
                    return bad(1040, "Only the key, ascending, is served.");
                }
                self.ordered = true;
            }
            // An empty token starts at the beginning: FBS' own sample sends it.
            "$skiptoken" => self.skiptoken = (!value.is_empty()).then(|| value.to_owned()),
            _ => return bad(1050, &format!("Unknown option: {name}")),
        }
        Ok(())
    }
}

pub(super) fn relation(resource: Resource, name: &str) -> Option<&'static str> {
    resource.relations().iter().copied().find(|relation| *relation == name)
}
