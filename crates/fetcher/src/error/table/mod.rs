//! What each Spark code and each HTTP status means for a reader: the one table.
//!
//! Spark's own advice is to branch on the code first, then on the status, never on the message.

/// How an answer that is no success is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The whole key is over its limit.
    Throttled,
    /// The token is not accepted.
    Unauthorized,
    /// The key may not do this.
    Restricted,
    /// The key belongs on another host.
    WrongHost,
    /// The feed has not caught up with its source.
    NotInSync,
    /// It may work when asked again.
    Passing,
    /// It may work when less is asked for.
    TooMuch,
    /// One of the records asked for breaks the answer.
    BadRecord,
    /// The resource is not for this key.
    NotOffered,
    /// An expansion is not for this key.
    ExpansionOff,
    /// There is nothing under this address.
    NotFound,
    /// The question is not understood; what follows depends on what was asked.
    BadQuestion,
    /// Asking again changes nothing.
    Refused,
    /// The answer is elsewhere.
    Redirected,
}

/// A row of the table: codes `first..=last`.
pub(super) struct Row {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) class: Class,
    pub(super) meaning: &'static str,
}

const fn row(first: i64, last: i64, class: Class, meaning: &'static str) -> Row {
    Row { first, last, class, meaning }
}

/// Spark's codes; the first row that holds a code decides.
pub(super) const CODES: &[Row] = &[
    row(1000, 1000, Class::Unauthorized, "invalid access token; a personal token was revoked or mistyped"),
    row(1005, 1005, Class::Restricted, "the key is not set up; contact FBS"),
    row(1010, 1010, Class::Unauthorized, "the key is disabled; contact FBS"),
    row(
        1013,
        1013,
        Class::Restricted,
        "the key may not sign in this way; try the other authorization scheme",
    ),
    row(1015, 1015, Class::Restricted, "the key's user is unknown or inactive; contact FBS"),
    row(1016, 1016, Class::Refused, "the User-Agent is missing; a proxy on the way may strip it"),
    row(1017, 1018, Class::Refused, "the method is not allowed for this key"),
    row(1019, 1019, Class::Restricted, "the key is bound to other IP addresses or another User-Agent"),
    row(1020, 1020, Class::Unauthorized, "the access token has expired"),
    row(
        1021,
        1021,
        Class::WrongHost,
        "a replication key must use replication.sparkapi.com; correct base_url",
    ),
    row(1022, 1022, Class::Refused, "invalid authenticity token"),
    row(1023, 1023, Class::NotInSync, "the user's account is not yet available in Spark"),
    row(1024, 1024, Class::NotInSync, "the data is not yet in sync with its source"),
    row(1025, 1025, Class::Restricted, "the key's portal group may not do this"),
    row(1026, 1026, Class::BadRecord, "unexpected problem with the requested data"),
    row(1030, 1030, Class::Refused, "TLS is required; begin base_url with https"),
    row(1035, 1035, Class::Refused, "the body is not JSON"),
    row(1040, 1040, Class::BadQuestion, "bad filter or unknown field"),
    row(1041, 1041, Class::TooMuch, "the filter is too long or too complex"),
    row(1050, 1050, Class::Refused, "a parameter is missing"),
    row(
        1053,
        1053,
        Class::Refused,
        "a parameter is out of range; without the replication role a page holds 25",
    ),
    row(1055, 1061, Class::Refused, "conflict; only writers meet it"),
    row(1100, 1100, Class::Restricted, "a portal account is needed"),
    row(1110, 1110, Class::Refused, "conflict; only writers meet it"),
    row(1500, 1500, Class::NotOffered, "not part of this key's service level"),
    row(1505, 1505, Class::ExpansionOff, "the feature is off for this MLS"),
    row(1510, 1510, Class::Passing, "the API is temporarily unavailable"),
    row(1515, 1515, Class::TooMuch, "the request took too long and was cancelled"),
    row(1516, 1516, Class::TooMuch, "the request is too slow because of its filter or order"),
    row(1550, 1550, Class::Throttled, "over the rate limit"),
    row(2005, 2005, Class::NotInSync, "the filter refers to data that is not yet migrated"),
    row(2500, 2505, Class::Refused, "only for searches and their subscribers"),
    row(2000, 2999, Class::BadQuestion, "bad value in the filter"),
    row(3000, 3000, Class::Refused, "the Data Dictionary version is not supported; correct base_url's path"),
];

/// How to take an answer by its code, if it has one of its own, else by its status.
pub(crate) fn classify(code: Option<i64>, status: u16) -> Class {
    code.and_then(find).map_or_else(|| by_status(status), |row| row.class)
}

/// What a code means, for the message.
pub(crate) fn meaning(code: i64) -> Option<&'static str> {
    find(code).map(|row| row.meaning)
}

fn find(code: i64) -> Option<&'static Row> {
    CODES.iter().find(|row| (row.first..=row.last).contains(&code))
}

fn by_status(status: u16) -> Class {
    match status {
        300..=399 => Class::Redirected,
        400 | 501 => Class::BadQuestion,
        401 => Class::Unauthorized,
        403 => Class::Restricted,
        404 | 410 => Class::NotFound,
        413 | 414 | 431 => Class::TooMuch,
        429 => Class::Throttled,
        408 | 425 | 500..=599 => Class::Passing,
        _ => Class::Refused,
    }
}

#[cfg(test)]
mod tests;
