//! What the headers of an answer say about time, support and other places.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::{DATE, LOCATION, RETRY_AFTER};
use spark_domain::Timestamp;
use tokio::time::Instant;

use crate::reso::url::origin_of;

/// The `Date` header, and when it was read.
pub(crate) fn date(response: &Response) -> Option<(Timestamp, Instant)> {
    let text = response.headers().get(DATE)?.to_str().ok()?;
    Some((httpdate::parse_http_date(text).ok()?.into(), Instant::now()))
}

/// `Retry-After`, as seconds or as a date; a date counts from the answer's own, so that skew does not matter.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = date(response).map_or_else(SystemTime::now, |(date, _)| date.into());
    Some(until.duration_since(now).unwrap_or_default())
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
