//! A native question in OData's words.
//!
//! Tests and faults ask of a request what it wants, not how it says it. So a native request has a translation
//! beside it: the same options, RESO's names, OData's operators. The type of an account is no filter there but
//! another entity set, and is left out.

use crate::{
    spark::{Token, tokens},
    world::{Resource, expansion, reso_name},
};

/// The options of a native request as the RESO surface would have been asked.
pub(crate) fn translated(resource: Option<Resource>, params: &[(String, String)]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut say = |name: &str, value: String| out.push((name.to_owned(), value));
    for (name, value) in params {
        match name.as_str() {
            "_limit" => say("$top", value.clone()),
            // An empty token starts a list: it leads nowhere.
            "_skiptoken" if !value.is_empty() => say("$skiptoken", value.clone()),
            "_orderby" => say("$orderby", renamed(resource, value.trim_start_matches('+'))),
            "_select" => say("$select", each(value, |field| Some(renamed(resource, field)))),
            "_expand" => say("$expand", each(value, |name| Some(expansion(name)?.1.to_owned()))),
            "_filter" => {
                let filter = filter(resource, value);
                if !filter.is_empty() {
                    say("$filter", filter);
                }
            }
            "_pagination" if value != "0" => say("$count", "true".to_owned()),
            _ => {}
        }
    }
    out
}

/// Each part of a list, translated, and none of them twice.
fn each(list: &str, translate: impl Fn(&str) -> Option<String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for part in list.split(',').filter_map(|part| translate(part.trim())) {
        if !all.contains(&part) {
            all.push(part);
        }
    }
    all.join(",")
}

fn renamed(resource: Option<Resource>, native: &str) -> String {
    resource.and_then(|resource| reso_name(resource, native)).unwrap_or(native).to_owned()
}

/// A filter that cannot be read is told as it was sent.
fn filter(resource: Option<Resource>, text: &str) -> String {
    let Ok(tokens) = tokens(text) else { return text.to_owned() };
    // One key alone is a short list; one of several alternatives is not.
    let alone = !tokens.iter().any(|token| token.is("or"));
    let mut words: Vec<String> = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            Token::Open => words.push("(".to_owned()),
            Token::Close => words.push(")".to_owned()),
            Token::Word(word) if ["and", "or", "not"].iter().any(|keyword| first.is(keyword)) => {
                words.push(word.to_ascii_lowercase());
            }
            Token::Word(field) => {
                let [operator, values @ ..] = rest else { return text.to_owned() };
                let many = 1 + 2 * values[1.min(values.len())..]
                    .chunks(2)
                    .take_while(|pair| pair[0] == Token::Comma)
                    .count();
                let (values, behind) = values.split_at(many.min(values.len()));
                rest = behind;
                let values: Vec<String> = values.iter().filter_map(literal).collect();
                if field != "UserType" {
                    words.push(comparison(resource, field, operator, &values, alone));
                } else if rest.first().is_some_and(|next| next.is("and")) {
                    rest = &rest[1..];
                } else if words.last().is_some_and(|last| last == "and") {
                    words.pop();
                }
            }
            Token::Comma | Token::Quoted(_) => return text.to_owned(),
        }
    }
    words.join(" ").replace("( ", "(").replace(" )", ")")
}

fn comparison(
    resource: Option<Resource>,
    field: &str,
    operator: &Token,
    values: &[String],
    alone: bool,
) -> String {
    let name = renamed(resource, field);
    let is_key = resource.is_some_and(|resource| name == resource.key_field());
    let listed = values.len() > 1 || (is_key && alone);
    match (operator, values) {
        (operator, _) if operator.is("eq") && listed => format!("{name} in ({})", values.join(",")),
        (operator, _) if operator.is("ne") && values.len() > 1 => {
            format!("not {name} in ({})", values.join(","))
        }
        (operator, [lower, upper]) if operator.is("bt") => format!("{name} ge {lower} and {name} le {upper}"),
        (Token::Word(operator), _) => {
            format!("{name} {} {}", operator.to_ascii_lowercase(), values.join(","))
        }
        _ => name,
    }
}

fn literal(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if token.is("null") => Some(word.to_ascii_lowercase()),
        Token::Word(word) => Some(word.clone()),
        Token::Quoted(text) => Some(format!("'{}'", text.replace('\'', "''"))),
        Token::Open | Token::Close | Token::Comma => None,
    }
}
