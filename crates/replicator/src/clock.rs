//! The one place where this room asks the machine what time it is: for what people read, never for data.

use spark_domain::Timestamp;

/// Now, by the machine's clock. It serves the calendar of a cron expression and the age of an outage of the
/// database, whose own clock is then out of reach.
#[expect(clippy::disallowed_methods, reason = "nothing that is stored or asked for depends on it")]
pub(crate) fn now() -> Timestamp {
    chrono::Utc::now()
}
