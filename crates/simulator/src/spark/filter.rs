//! `_filter`: SparkQL as far as a reader of feeds needs it, with its limits.
//!
//! Keywords in any case; texts in single quotes with backslash escapes; lists of values behind `Eq` and `Ne`;
//! `Bt` with two values, both included. A datetime without a zone means the server's own, five hours behind UTC:
//! a client that forgets the `Z` asks for the wrong hours and is found out.

use chrono::{DateTime, NaiveDateTime};

use super::{misread, refuse};
use crate::{
    literal::{Literal, Operator, texts},
    odata::Answer,
    world::{Cell, Columns, Kind, LOCAL_SECONDS, Resource, Scene, Schema},
};

const EXPRESSIONS: usize = 75;
const VALUES: usize = 200;
const DEPTH: usize = 2;

#[derive(Debug)]
pub(super) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// Any of the values will do.
    Is {
        field: Field,
        operator: Operator,
        literals: Vec<Literal>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `Id`, which stands in no column.
    Id,
    Column(usize),
}

impl Filter {
    pub(super) fn parse(text: &str, schema: &Schema, columns: &Columns) -> Result<Self, Answer> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, expressions: 0, schema, columns };
        let filter = parser.any()?;
        match parser.tokens.get(parser.at) {
            None => Ok(filter),
            Some(token) => Err(token.misread("Unexpected")),
        }
    }

    /// Whether the record answers; a comparison with nothing is false.
    pub(super) fn accepts(&self, schema: &Schema, columns: &Columns, scene: &Scene<'_>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.accepts(schema, columns, scene)),
            Self::Or(any) => any.iter().any(|filter| filter.accepts(schema, columns, scene)),
            Self::Not(filter) => !filter.accepts(schema, columns, scene),
            Self::Is { field, operator, literals } => {
                let cell = match field {
                    Field::Id => Cell::Text(scene.key.into()),
                    Field::Column(at) => columns.all[*at].cell(schema, scene),
                };
                let mut holds = literals.iter().map(|literal| operator.holds(&cell, literal));
                if *operator == Operator::Ne { holds.all(|holds| holds) } else { holds.any(|holds| holds) }
            }
        }
    }

    /// The only keys that can answer, if the filter names them: saves walking through the whole market.
    pub(super) fn keys(&self, schema: &Schema, columns: &Columns) -> Option<Vec<&str>> {
        let key = columns.find(schema.resource.key_field()).map(Field::Column);
        match self {
            Self::Is { field, operator: Operator::Eq, literals }
                if *field == Field::Id || Some(*field) == key =>
            {
                Some(texts(literals))
            }
            Self::And(all) => all.iter().find_map(|filter| filter.keys(schema, columns)),
            Self::Or(any) => {
                let lists: Option<Vec<Vec<&str>>> =
                    any.iter().map(|filter| filter.keys(schema, columns)).collect();
                Some(lists?.into_iter().flatten().collect())
            }
            Self::Not(_) | Self::Is { .. } => None,
        }
    }
}

/// The type of user that a filter asks for as a whole, as in `UserType Eq 'Member' And (...)`.
pub(super) fn user_type(filter: &str) -> Option<Resource> {
    let tokens = tokens(filter).ok()?;
    let mut depth = 0;
    let mut found = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            // An alternative, and the type says nothing of the whole.
            _ if depth == 0 && (token.is("or") || token.is("not")) => return None,
            _ if depth == 0 && token.is("usertype") => found = tokens.get(at + 1..),
            _ => {}
        }
    }
    match found? {
        [_, _, Token::Comma, ..] => None,
        [operator, Token::Quoted(wanted), ..] if operator.is("eq") => match wanted.as_str() {
            "Member" => Some(Resource::Member),
            "Office" => Some(Resource::Office),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Open,
    Close,
    Comma,
    /// A name, an operator, or an unquoted literal.
    Word(String),
    Quoted(String),
}

impl Token {
    pub(crate) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn misread(&self, what: &str) -> Answer {
        let text = match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Word(text) | Self::Quoted(text) => text,
        };
        misread(text, &format!("{what}: {text}"))
    }
}

/// The words of a filter.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Answer> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut taken = 1;
        match first {
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let (quoted, end) = quoted(rest)?;
                tokens.push(Token::Quoted(quoted));
                taken = end;
            }
            _ => {
                taken = rest.find([' ', '(', ')', ',', '\'']).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..taken].to_owned()));
            }
        }
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}

/// The text between the first quote and the next one without a backslash, and how far both reach.
fn quoted(rest: &str) -> Result<(String, usize), Answer> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Ok((text, at + 1)),
            '\\' => text.extend(letters.next().map(|(_, escaped)| escaped)),
            plain => text.push(plain),
        }
    }
    Err(misread(rest, "A quote is not closed."))
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    expressions: usize,
    schema: &'a Schema,
    columns: &'a Columns,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Filter, Answer> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) })
    }

    fn all(&mut self) -> Result<Filter, Answer> {
        let mut parts = vec![self.one()?];
        while self.keyword("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn one(&mut self) -> Result<Filter, Answer> {
        if self.keyword("not") {
            return Ok(Filter::Not(Box::new(self.comparison_or_group()?)));
        }
        self.comparison_or_group()
    }

    fn comparison_or_group(&mut self) -> Result<Filter, Answer> {
        if !self.token(&Token::Open) {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(too_complex("parentheses go more than two deep"));
        }
        let inner = self.any()?;
        self.depth -= 1;
        if self.token(&Token::Close) { Ok(inner) } else { Err(misread("(", "A parenthesis is not closed.")) }
    }

    fn comparison(&mut self) -> Result<Filter, Answer> {
        self.expressions += 1;
        if self.expressions > EXPRESSIONS {
            return Err(too_complex("more than 75 expressions"));
        }
        let name = self.next()?;
        let (field, kind) = self.field(&name)?;
        let word = self.next()?;
        let operators = [
            ("eq", Operator::Eq),
            ("ne", Operator::Ne),
            ("gt", Operator::Gt),
            ("ge", Operator::Ge),
            ("lt", Operator::Lt),
            ("le", Operator::Le),
        ];
        let found = operators.into_iter().find(|(keyword, _)| word.is(keyword)).map(|(_, operator)| operator);
        let mut literals = vec![self.literal(kind)?];
        while self.token(&Token::Comma) {
            literals.push(self.literal(kind)?);
        }
        if literals.len() > VALUES {
            return Err(too_complex("more than 200 values in a list"));
        }
        let is = |operator, literals| Filter::Is { field, operator, literals };
        match found {
            Some(operator) if literals.len() == 1 => Ok(is(operator, literals)),
            Some(operator @ (Operator::Eq | Operator::Ne)) if kind != Kind::Stamp => {
                Ok(is(operator, literals))
            }
            None if word.is("bt") && literals.len() == 2 => {
                let upper = literals.split_off(1);
                Ok(Filter::And(vec![is(Operator::Ge, literals), is(Operator::Le, upper)]))
            }
            _ => Err(word.misread("Not an operator for such values")),
        }
    }

    fn field(&self, token: &Token) -> Result<(Field, Kind), Answer> {
        let Token::Word(name) = token else { return Err(token.misread("Expected a field")) };
        if name == "Id" {
            return Ok((Field::Id, Kind::Text));
        }
        let found = self.columns.find(name).filter(|at| self.columns.all[*at].searchable());
        match found {
            Some(at) => Ok((Field::Column(at), self.columns.all[at].kind)),
            None => Err(token.misread(&format!("Unknown field of {}", self.schema.resource.as_str()))),
        }
    }

    fn literal(&mut self, kind: Kind) -> Result<Literal, Answer> {
        let token = self.next()?;
        let read = match (&token, kind) {
            (word, _) if word.is("null") => Some(Literal::Null),
            (Token::Quoted(text), Kind::Text | Kind::Choice | Kind::Choices) => {
                Some(Literal::Text(text.clone()))
            }
            (Token::Word(word), Kind::Flag) => word.to_ascii_lowercase().parse().ok().map(Literal::Flag),
            (Token::Word(word), Kind::Integer | Kind::Decimal) => word.parse().ok().map(Literal::Number),
            (Token::Word(word), Kind::Date) => word.parse().ok().map(Literal::Date),
            (Token::Word(word), Kind::Stamp) => moment(word).map(Literal::Stamp),
            _ => None,
        };
        read.ok_or_else(|| token.misread("Not a value for this field"))
    }

    fn next(&mut self) -> Result<Token, Answer> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token.ok_or_else(|| misread("", "The filter ends too early."))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let there = self.tokens.get(self.at).is_some_and(|token| token.is(keyword));
        self.at += usize::from(there);
        there
    }

    fn token(&mut self, token: &Token) -> bool {
        let there = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(there);
        there
    }
}

/// Milliseconds since 1970; a time without a zone is local.
fn moment(word: &str) -> Option<i64> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(word) {
        return Some(moment.timestamp_millis());
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let naive = local.iter().find_map(|form| NaiveDateTime::parse_from_str(word, form).ok())?;
    Some(naive.and_utc().timestamp_millis() - LOCAL_SECONDS * 1_000)
}

fn too_complex(why: &str) -> Answer {
    refuse(400, 1041, &format!("The filter is too complex: {why}."), None)
}
