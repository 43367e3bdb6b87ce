//! Which fields a resource has, of which kind, and where their values come from.
//!
//! One list serves the records, `$metadata`, `$select` and `$filter`, so they cannot disagree. The Property
//! list grows until a listing has the size that the shape asks for: standard fields first, then an MLS' own.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::{
    Shape, names, people, property,
    record::{Ground, Planted, Record, Resource, below, pick},
    render,
};

/// The kind of a field, in the words of its `$metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Decimal,
    Flag,
    Date,
    Stamp,
    Choice,
    Choices,
}

/// A value on its way into an answer or a comparison.
#[derive(Debug)]
pub(crate) enum Cell<'a> {
    /// Nothing is sent.
    Absent,
    /// Only the permission annotation is sent.
    Hidden,
    Null,
    Text(Cow<'a, str>),
    Integer(i64),
    Decimal(f64),
    /// A decimal that comes as a string, as room sizes do.
    DecimalText(f64),
    Flag(bool),
    Date(i64),
    Stamp(i64),
    Choices(Vec<&'a str>),
    Raw(&'a str),
}

/// A record together with the ground it was drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) key: &'a str,
    pub(crate) record: &'a Record,
    pub(crate) ground: &'a Ground,
}

pub(crate) type Core = for<'a> fn(&Scene<'a>) -> Cell<'a>;

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Core(Core),
    /// Drawn from the kind alone; hideable ones are mostly hidden.
    Drawn {
        salt: u64,
        hideable: bool,
    },
}

/// The fields of one resource.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) resource: Resource,
    pub(crate) fields: Vec<Field>,
    by_name: HashMap<String, usize>,
}

impl Schema {
    pub(crate) fn of(resource: Resource, ground: &Ground) -> Arc<Self> {
        let core = match resource {
            Resource::Property => property::CORE,
            Resource::Member => people::MEMBER,
            Resource::Office => people::OFFICE,
            Resource::Teams => people::TEAM,
            Resource::OpenHouse => people::OPEN_HOUSE,
            Resource::Lookup => people::LOOKUP,
        };
        let mut fields: Vec<Field> = core
            .iter()
            .map(|(name, kind, core)| Field {
                name: (*name).to_owned(),
                kind: *kind,
                source: Source::Core(*core),
            })
            .collect();
        if resource == Resource::Property {
            fill(&mut fields, ground);
        }
        let by_name = fields.iter().enumerate().map(|(at, field)| (field.name.clone(), at)).collect();
        Arc::new(Self { resource, fields, by_name })
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

impl Field {
    /// The value that a record shows in this field.
    pub(crate) fn cell<'a>(&self, scene: &Scene<'a>) -> Cell<'a> {
        match scene.record.planted(&self.name) {
            Some(Planted::Raw(raw)) => Cell::Raw(raw),
            Some(Planted::Hidden) => Cell::Hidden,
            Some(Planted::Absent) => Cell::Absent,
            None => match self.source {
                Source::Core(core) => core(scene),
                Source::Drawn { salt, hideable } => drawn(&self.name, self.kind, salt, hideable, scene),
            },
        }
    }
}

impl Scene<'_> {
    pub(crate) fn pick(&self, salt: u64) -> u64 {
        pick(self.record.seed, salt)
    }

    pub(crate) fn one_in(&self, salt: u64, n: u64) -> bool {
        self.pick(salt).is_multiple_of(n)
    }

    pub(crate) fn one<T: Copy>(&self, salt: u64, of: &[T]) -> T {
        of[usize::try_from(self.pick(salt)).unwrap_or(0) % of.len()]
    }
}

fn drawn<'a>(name: &str, kind: Kind, salt: u64, hideable: bool, scene: &Scene<'a>) -> Cell<'a> {
    let draw = scene.pick(salt);
    if hideable && draw % 100 < 93 {
        return Cell::Hidden;
    }
    if (draw >> 8).is_multiple_of(4) && kind != Kind::Choices {
        return Cell::Null;
    }
    let draw = draw >> 16;
    match kind {
        Kind::Text => {
            let words = 2 + draw % 3;
            let phrase: Vec<&str> =
                (0..words).map(|word| scene.one(salt + (word << 32), &names::WORDS)).collect();
            Cell::Text(phrase.join(" ").into())
        }
        Kind::Integer => Cell::Integer(below(draw, 20)),
        Kind::Decimal if scene.ground.shape.decimals_as_strings => Cell::DecimalText(hundredths(draw)),
        Kind::Decimal => Cell::Decimal(hundredths(draw)),
        Kind::Flag => Cell::Flag(draw.is_multiple_of(2)),
        Kind::Date => Cell::Date(scene.record.entered + below(draw, 90 * 86_400)),
        Kind::Stamp => Cell::Stamp(scene.record.entered),
        Kind::Choice => Cell::Text(scene.one(salt, names::values_of(name)).into()),
        Kind::Choices => {
            let chosen = names::values_of(name).iter().enumerate();
            Cell::Choices(
                chosen
                    .filter(|(at, _)| (draw >> (at * 2)).is_multiple_of(4))
                    .map(|(_, value)| *value)
                    .collect(),
            )
        }
    }
}

fn hundredths(draw: u64) -> f64 {
    f64::from(u32::try_from(draw % 10_000_000).unwrap_or(0)) / 100.0
}

/// Adds standard and own fields until an average listing has the size asked for.
fn fill(fields: &mut Vec<Field>, ground: &Ground) {
    let samples: Vec<Record> = (0..12).map(|n| Record::new(pick(ground.seed, n), ground.birth)).collect();
    let average = |field: &Field| -> usize {
        let total: usize = samples
            .iter()
            .map(|record| {
                render::member_bytes(field, &Scene { key: "20260101000000000000000000", record, ground })
            })
            .sum();
        total / samples.len()
    };
    let mut bytes: usize = 120 + fields.iter().map(average).sum::<usize>();
    let mut hidden = 0;
    for (n, (name, kind)) in offered(&ground.shape).enumerate() {
        if bytes >= ground.shape.listing_bytes {
            break;
        }
        // Every second field is hideable until there are enough: hidden ones stand among the others.
        let hideable = hidden < ground.shape.hidden_fields && n % 2 == 0;
        hidden += usize::from(hideable);
        let field = Field { name, kind, source: Source::Drawn { salt: 1_000 + n as u64, hideable } };
        bytes += average(&field);
        fields.push(field);
    }
}

/// Standard and own fields in turn, and own ones without end.
fn offered(shape: &Shape) -> impl Iterator<Item = (String, Kind)> + use<> {
    let mut standard: Vec<(String, Kind)> = Vec::new();
    let mut lists = [
        (names::MULTI, Kind::Choices),
        (names::TEXTS, Kind::Text),
        (names::DECIMALS, Kind::Decimal),
        (names::FLAGS, Kind::Flag),
        (names::INTEGERS, Kind::Integer),
        (names::CHOICES, Kind::Choice),
        (names::DATES, Kind::Date),
        (names::STAMPS, Kind::Stamp),
    ]
    .map(|(list, kind)| (list.split_whitespace(), kind));
    loop {
        let before = standard.len();
        for (list, kind) in &mut lists {
            standard.extend(list.next().map(|name| (name.to_owned(), *kind)));
        }
        if standard.len() == before {
            break;
        }
    }
    let longest = shape.custom_name_bytes;
    let mut own = (0..).map(move |n| own_field(n, longest));
    let mut standard = standard.into_iter();
    (0..).map_while(move |n| if n % 4 == 3 { own.next() } else { standard.next().or_else(|| own.next()) })
}

/// `Group_sp_Name_co_Field`, of changing length up to the longest.
fn own_field(n: usize, longest: usize) -> (String, Kind) {
    let group = names::GROUPS[n % names::GROUPS.len()];
    let mut name = format!("{group}_co_");
    let wanted = name.len() + (n * 7) % longest.saturating_sub(name.len() + 4).max(1);
    for word in 0.. {
        let next =
            names::WORDS[(n * 5 + word * 11) % 64].split(|letter: char| !letter.is_ascii_alphabetic()).next();
        name.push_str(next.unwrap_or("Other"));
        if name.len() >= wanted {
            break;
        }
        name.push_str("_sp_");
    }
    name.truncate(longest.saturating_sub(4).max(group.len() + 8));
    let kind = [Kind::Text, Kind::Flag, Kind::Decimal, Kind::Choices, Kind::Date][n % 5];
    // A trailing number is how Spark itself keeps such names apart.
    (format!("{name}{n}"), kind)
}
