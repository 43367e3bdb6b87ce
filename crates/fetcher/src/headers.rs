//! What the headers of an answer say about time, support and other places.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::{DATE, LOCATION, RETRY_AFTER};
use spark_domain::Timestamp;
use tokio::time::Instant;

use crate::address::origin_of;

/// Whoever names a longer time is asked again after this one. A number out of range would overflow every clock that
/// it is added to, and one of years, a slip of a server, would silence the key for years.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// The `Date` header, and when it was read.
pub(crate) fn date(response: &Response) -> Option<(Timestamp, Instant)> {
    Some((moment(response.headers().get(DATE)?.to_str().ok()?)?, Instant::now()))
}

/// `Retry-After`; a date counts from the answer's own, so that skew does not matter.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    wait(text, || date(response).map_or_else(|| SystemTime::now().into(), |(date, _)| date))
}

/// A date as HTTP spells it.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}

/// A wait as seconds or as the date of its end.
pub(crate) fn wait(text: &str, now: impl FnOnce() -> Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        (moment(text)? - now()).to_std().unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Scheme, host and port that an answer points to instead of being one.
pub(crate) fn redirect_origin(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(location).ok().map(|url| origin_of(&url))
}

/// For FBS's support.
pub(crate) fn request_id(response: &Response) -> Option<&str> {
    response.headers().get("x-request-id")?.to_str().ok()
}

/// The whole second at or before that long before a moment.
pub(crate) fn before(moment: Timestamp, ago: Duration) -> Option<Timestamp> {
    let earlier = moment.checked_sub_signed(chrono::TimeDelta::from_std(ago).ok()?)?;
    chrono::DateTime::from_timestamp(earlier.timestamp(), 0)
}
