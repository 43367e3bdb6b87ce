//! `$filter`: a small language, read strictly.
//!
//! A literal must be of its field's kind, as in `ModificationTimestamp gt 2026-03-01T12:00:00Z` without
//! quotes. What Spark answers otherwise is not known, and a client must not depend on it.

use chrono::DateTime;

use crate::{
    literal::{Literal, Operator, texts},
    world::{Kind, Scene, Schema},
};

/// Deeper than anybody writes by hand; protects the stack.
const DEPTH: usize = 64;

#[derive(Debug)]
pub(super) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Is { field: usize, operator: Operator, literal: Literal },
    In { field: usize, literals: Vec<Literal> },
}

impl Filter {
    pub(super) fn parse(text: &str, schema: &Schema) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, schema, since: 0 };
        let filter = parser.any()?;
        match parser.tokens.get(parser.at) {
            None => Ok(filter),
            Some(token) => Err(format!("Unexpected {token:?}")),
        }
    }

    /// Whether the record answers; a comparison with nothing is false.
    pub(super) fn accepts(&self, schema: &Schema, scene: &Scene<'_>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.accepts(schema, scene)),
            Self::Or(any) => any.iter().any(|filter| filter.accepts(schema, scene)),
            Self::Not(filter) => !filter.accepts(schema, scene),
            Self::In { field, literals } => {
                let cell = schema.fields[*field].cell(scene);
                literals.iter().any(|literal| Operator::Eq.holds(&cell, literal))
            }
            Self::Is { field, operator, literal } => {
                operator.holds(&schema.fields[*field].cell(scene), literal)
            }
        }
    }

    /// The only keys that can answer, if the filter names them: saves walking through the whole market.
    pub(super) fn keys(&self, schema: &Schema) -> Option<Vec<&str>> {
        let key = schema.find(schema.resource.key_field())?;
        match self {
            Self::In { field, literals } if *field == key => Some(texts(literals)),
            Self::Is { field, operator: Operator::Eq, literal } if *field == key => Some(texts([literal])),
            Self::And(all) => all.iter().find_map(|filter| filter.keys(schema)),
            Self::Or(any) => {
                let lists: Option<Vec<Vec<&str>>> = any.iter().map(|filter| filter.keys(schema)).collect();
                Some(lists?.into_iter().flatten().collect())
            }
            Self::Not(_) | Self::In { .. } | Self::Is { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    /// A name, an operator, or an unquoted literal.
    Word(String),
    Quoted(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut quoted = String::new();
                let mut letters = rest[1..].char_indices();
                let end = loop {
                    match letters.next() {
                        None => return Err("A quote is not closed.".to_owned()),
                        Some((at, '\'')) if rest[1 + at + 1..].starts_with('\'') => {
                            letters.next();
                            quoted.push('\'');
                        }
                        Some((at, '\'')) => break at,
                        Some((_, letter)) => quoted.push(letter),
                    }
                };
                tokens.push(Token::Quoted(quoted));
                rest = &rest[1 + end..];
            }
            _ => {
                let end = rest.find([' ', '(', ')', ',', '\'']).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                rest = rest[end..].trim_start();
                continue;
            }
        }
        rest = rest[1..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    schema: &'a Schema,
    /// How often `ModificationTimestamp gt` occurred.
    since: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.all()?];
        while self.word("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) })
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.one()?];
        while self.word("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn one(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("The filter is too complex.".to_owned());
        }
        let filter = if self.word("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.token(&Token::Open) {
            let inner = self.any()?;
            self.expect(&Token::Close)?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Result<Filter, String> {
        let name = self.name()?;
        let field = self.schema.find(&name).ok_or_else(|| format!("Unknown field: {name}"))?;
        let kind = self.schema.fields[field].kind;
        let word = self.name()?;
        let operator = match word.as_str() {
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            "in" => {
                self.expect(&Token::Open)?;
                let mut literals = vec![self.literal(&name, kind)?];
                while self.token(&Token::Comma) {
                    literals.push(self.literal(&name, kind)?);
                }
                self.expect(&Token::Close)?;
                return Ok(Filter::In { field, literals });
            }
            other => return Err(format!("Unknown operator: {other}")),
        };
        if name == "ModificationTimestamp" && operator == Operator::Gt {
            self.since += 1;
            if self.since > 1 {
                return Err("ModificationTimestamp gt may occur once only.".to_owned());
            }
        }
        Ok(Filter::Is { field, operator, literal: self.literal(&name, kind)? })
    }

    fn literal(&mut self, name: &str, kind: Kind) -> Result<Literal, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("A value is missing.")?;
        self.at += 1;
        let read = match (&token, kind) {
            (Token::Word(word), _) if word == "null" => Some(Literal::Null),
            (Token::Quoted(text), Kind::Text | Kind::Choice | Kind::Choices) => {
                Some(Literal::Text(text.clone()))
            }
            (Token::Word(word), Kind::Flag) => word.parse().ok().map(Literal::Flag),
            (Token::Word(word), Kind::Integer | Kind::Decimal) => word.parse().ok().map(Literal::Number),
            (Token::Word(word), Kind::Date) => word.parse().ok().map(Literal::Date),
            (Token::Word(word), Kind::Stamp) => DateTime::parse_from_rfc3339(word)
                .ok()
                .map(|moment| Literal::Stamp(moment.timestamp_millis())),
            _ => None,
        };
        read.ok_or_else(|| format!("Not a value for {name}: {token:?}"))
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.clone())
            }
            other => Err(format!("Expected a name, found {other:?}")),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        self.token(&Token::Word(word.to_owned()))
    }

    fn token(&mut self, token: &Token) -> bool {
        let there = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        if self.token(token) { Ok(()) } else { Err(format!("Expected {token:?}")) }
    }
}
