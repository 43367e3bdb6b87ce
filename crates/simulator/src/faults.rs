//! Faults on demand: what goes wrong, at which request, how often.
//!
//! A fault waits until a request matches and then takes part in its answer. Several may take part in one. Each
//! does on the native surface what comes closest to what it does on the RESO side; its conditions read a native
//! request in OData's words, so one body of tests serves both.
//! The rule: nothing here is left to chance, so a test that failed fails again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{dialect::Dialect, journal::Entry};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// A refusal in Spark's or OData's words.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The Spark code.
        code: i64,
        /// Which of the two bodies carries it.
        shape: ErrorShape,
        /// A `Retry-After` header, as seconds or as a date.
        retry_after: Option<String>,
    },
    /// Any status with any body; HTML with 200, nothing at all, a proxy's page.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The `Content-Type` header.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// 200 and a list without a single record, under a count of none.
    NoRecords,
    /// 302 to this address.
    Redirect(String),
    /// The true body ends early, but `Content-Length` agrees with what is sent.
    CutShort {
        /// Bytes that are sent.
        after: usize,
    },
    /// `Content-Length` promises the whole body, the connection closes early.
    Truncate {
        /// Bytes of the body, as sent on the wire, before the end.
        after: usize,
    },
    /// The connection is reset before a byte of the answer.
    Reset,
    /// The connection is reset within the body.
    ResetWithin {
        /// Bytes of the body, as sent on the wire, before the reset.
        after: usize,
    },
    /// The answer waits this long, in real time.
    Stall(Duration),
    /// The body comes in small pieces.
    Drip {
        /// Bytes a piece.
        bytes: usize,
        /// Real time between two pieces.
        every: Duration,
    },
    /// `nextLink` points to this origin, as in `http://127.0.0.1:1`. A native list has no links: it waits.
    ForeignLink(String),
    /// `nextLink` is the address of the page itself. A native token leads back to the start instead: one that
    /// stands still would be the end.
    RepeatedLink,
    /// `nextLink` lacks scheme and host. A native list has no links: it waits.
    RelativeLink,
    /// The page has no `nextLink` or token, whatever is left: the list ends early.
    NoLink,
    /// The page has no records, but its `nextLink`, or a token that differs from the one sent.
    EmptyPage,
    /// A request with `$skiptoken` or `$skip` is refused with 400; a first page passes.
    ExpiredToken,
    /// `@odata.count` is off by this many.
    CountOff(i64),
    /// `@odata.count` is missing.
    NoCount,
    /// How a filter with `in (...)` goes wrong.
    In(InTrouble),
    /// An expansion is left out, as if it had not been asked for; natively also one part of `Media`, as in `FloPlans`.
    NoExpansion(&'static str),
    /// An expansion comes empty, whatever there is.
    EmptyExpansion(&'static str),
    /// An expansion has a link to more of it: the set is not complete. A native one lacks its first part, as in
    /// `Media` without `Photos`.
    PartialExpansion(&'static str),
    /// 503 with code 1515 if `$top` is above this.
    TooSlowAbove(usize),
    /// 500 with code 1026 wherever this record would be, alone or on a page.
    BadRecord(String),
    /// Lists come in no order and page by `$skip`, unless `$orderby` is given.
    Unsorted,
    /// The page ends so many records early and its link goes on from there: nothing is lost.
    ShortPage(usize),
    /// So many records of the page are left out; count and `nextLink` are right.
    LeavesOut(usize),
    /// The page's records come in reverse; its `nextLink` is right.
    Reversed,
    /// The page's first record comes again at its end.
    Doubled,
    /// The members of every object come in another order at every request.
    ShuffledMembers,
    /// Whole numbers come as `1.0`.
    IntegersAsFloats,
    /// `@odata.id` and `@odata.context` name this host, and more `@odata` members appear.
    OtherHost(String),
}

/// What a server makes of `in (...)` when it does not understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InTrouble {
    /// The filter is ignored: every record answers.
    Ignored,
    /// The filter and `$top` are ignored: a page of ten.
    PageOfTen,
    /// 200 and no records.
    Nothing,
    /// 400.
    Refused,
}

/// In which of the two shapes an error comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorShape {
    /// `{"error":{"code":..,"message":..}}`
    #[default]
    Error,
    /// `{"D":{"Success":false,"Code":..,"Message":..}}`
    D,
}

/// A trouble with its occasion: any next request, once, unless said otherwise.
#[derive(Debug, Clone)]
pub struct Fault {
    trouble: Trouble,
    resource: Option<String>,
    urls: Vec<String>,
    without: Vec<String>,
    when: Option<fn(&Entry) -> bool>,
    after: u64,
    left: Option<u64>,
}

/// The faults that wait; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

/// Cuts a page short, as troubles have it; whether anything was cut off.
pub(crate) fn shorten<T>(records: &mut Vec<T>, troubles: &[Trouble]) -> bool {
    let full = records.len();
    for trouble in troubles {
        if let Trouble::ShortPage(by) = trouble {
            records.truncate(records.len().saturating_sub(*by).max(1));
        }
    }
    records.len() < full
}

/// Leaves records of a page out, turns them round and doubles them, as troubles have it.
pub(crate) fn disarrange<T: Copy>(records: &mut Vec<T>, troubles: &[Trouble]) {
    for trouble in troubles {
        if let Trouble::LeavesOut(many) = trouble {
            // From the middle: where the next page begins, the page's last key says.
            let from = (records.len() / 2).saturating_sub(many / 2);
            records.drain(from..(from + many).min(records.len()));
        }
    }
    if troubles.contains(&Trouble::Reversed) {
        records.reverse();
    }
    if troubles.contains(&Trouble::Doubled) {
        records.extend(records.first().copied());
    }
}

/// Whether one of these records breaks whatever answer it stands in.
pub(crate) fn breaks(keys: &[&str], troubles: &[Trouble]) -> bool {
    let bad = |trouble: &Trouble| matches!(trouble, Trouble::BadRecord(bad) if keys.contains(&&**bad));
    troubles.iter().any(bad)
}

/// What the refusal of such an answer says.
pub(crate) const BROKEN: &str = "An unexpected problem with the requested data.";

impl Trouble {
    /// A refusal in OData's shape.
    pub fn error(status: u16, code: i64) -> Self {
        Self::Refuse { status, code, shape: ErrorShape::Error, retry_after: None }
    }

    /// A refusal in Spark's own shape.
    pub fn d(status: u16, code: i64) -> Self {
        Self::Refuse { status, code, shape: ErrorShape::D, retry_after: None }
    }

    /// 429 with code 1550, and a hint if there is one.
    pub fn throttle(retry_after: Option<&str>) -> Self {
        let retry_after = retry_after.map(str::to_owned);
        Self::Refuse { status: 429, code: 1550, shape: ErrorShape::D, retry_after }
    }

    /// 200 with a page for people.
    pub fn html() -> Self {
        let body = "<html><body><h1>We will be back soon</h1></body></html>".to_owned();
        Self::Answer { status: 200, content_type: "text/html", body }
    }

    /// 200 without a body.
    pub fn empty() -> Self {
        Self::Answer { status: 200, content_type: "application/json", body: String::new() }
    }

    /// Which trouble it is, for the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse { .. } => "refuse",
            Self::Answer { .. } => "answer",
            Self::NoRecords => "no_records",
            Self::Redirect(_) => "redirect",
            Self::CutShort { .. } => "cut_short",
            Self::Truncate { .. } => "truncate",
            Self::Reset => "reset",
            Self::ResetWithin { .. } => "reset_within",
            Self::Stall(_) => "stall",
            Self::Drip { .. } => "drip",
            Self::ForeignLink(_) => "foreign_link",
            Self::RepeatedLink => "repeated_link",
            Self::RelativeLink => "relative_link",
            Self::NoLink => "no_link",
            Self::EmptyPage => "empty_page",
            Self::ExpiredToken => "expired_token",
            Self::CountOff(_) => "count_off",
            Self::NoCount => "no_count",
            Self::In(_) => "in",
            Self::NoExpansion(_) => "no_expansion",
            Self::EmptyExpansion(_) => "empty_expansion",
            Self::PartialExpansion(_) => "partial_expansion",
            Self::TooSlowAbove(_) => "too_slow_above",
            Self::BadRecord(_) => "bad_record",
            Self::Unsorted => "unsorted",
            Self::ShortPage(_) => "short_page",
            Self::LeavesOut(_) => "leaves_out",
            Self::Reversed => "reversed",
            Self::Doubled => "doubled",
            Self::ShuffledMembers => "shuffled_members",
            Self::IntegersAsFloats => "integers_as_floats",
            Self::OtherHost(_) => "other_host",
        }
    }

    /// Whether the server makes its own answer, whatever becomes of it on the wire.
    pub(crate) fn lets_answer(&self) -> bool {
        !matches!(self, Self::Refuse { .. } | Self::Answer { .. } | Self::Redirect(_))
    }

    /// Whether the trouble has anything to do with such a request: the rest must not use it up.
    fn concerns(&self, entry: &Entry) -> bool {
        let native = entry.dialect == Dialect::Spark;
        match self {
            Self::ForeignLink(_) | Self::RelativeLink => !native,
            // Without a token there is nowhere to go on from: it would be a lie that nobody can see.
            Self::EmptyPage | Self::ShortPage(_) => !native || entry.param("_skiptoken").is_some(),
            Self::ExpiredToken => entry.after().is_some() || entry.param("$skip").is_some(),
            Self::CountOff(_) | Self::NoCount => entry.param("$count").is_some(),
            Self::In(_) => entry.param("$filter").is_some_and(|filter| filter.contains(" in ")),
            Self::NoExpansion(name) | Self::EmptyExpansion(name) | Self::PartialExpansion(name) => {
                entry.expands(name)
            }
            Self::TooSlowAbove(top) => entry.top().is_some_and(|asked| asked > *top),
            _ => true,
        }
    }
}

impl Fault {
    /// This trouble at the next request that it concerns, once.
    pub fn new(trouble: Trouble) -> Self {
        Self {
            trouble,
            resource: None,
            urls: Vec::new(),
            without: Vec::new(),
            when: None,
            after: 0,
            left: Some(1),
        }
    }

    /// Only for this entity set.
    pub fn on(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Only if the request is of this kind, as in `when(Entry::is_key_list)`.
    pub fn when(mut self, wanted: fn(&Entry) -> bool) -> Self {
        self.when = Some(wanted);
        self
    }

    /// Only if the decoded path and query contain this; may be said several times.
    pub fn matching(mut self, part: &str) -> Self {
        self.urls.push(part.to_owned());
        self
    }

    /// Only if the decoded path and query do not contain this.
    pub fn unless(mut self, part: &str) -> Self {
        self.without.push(part.to_owned());
        self
    }

    /// Not before the nth matching request from now; the first is 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.after = n.saturating_sub(1);
        self
    }

    /// That many times in a row.
    pub fn times(mut self, n: u64) -> Self {
        self.left = Some(n);
        self
    }

    /// Until it is cleared.
    pub fn forever(mut self) -> Self {
        self.left = None;
        self
    }

    /// The name of its trouble.
    pub fn name(&self) -> &'static str {
        self.trouble.name()
    }

    fn matches(&self, entry: &Entry) -> bool {
        let url = entry.url();
        self.resource.as_ref().is_none_or(|name| entry.resource.as_ref() == Some(name))
            && self.urls.iter().all(|part| url.contains(part))
            && !self.without.iter().any(|part| url.contains(part))
            && self.when.is_none_or(|wanted| wanted(entry))
            && self.trouble.concerns(entry)
    }
}

impl Faults {
    /// Lets a fault wait for its request.
    pub fn push(&self, fault: Fault) {
        self.list().push(fault);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.list().clear();
    }

    /// How many faults still wait or last.
    pub fn pending(&self) -> usize {
        self.list().len()
    }

    /// The troubles of one request, in the order they were pushed; uses them up.
    pub(crate) fn take(&self, entry: &Entry) -> Vec<Trouble> {
        let mut taken = Vec::new();
        self.list().retain_mut(|fault| {
            if !fault.matches(entry) {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            taken.push(fault.trouble.clone());
            match &mut fault.left {
                None => true,
                Some(left) => {
                    *left = left.saturating_sub(1);
                    *left > 0
                }
            }
        });
        taken
    }

    fn list(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
