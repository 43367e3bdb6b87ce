//! How much may go without a person's word.

/// The limits of one purge, counted together with what went unapproved in the last 24 hours.
/// Approved records and ended open houses never count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guard {
    /// Up to this many records no ratio applies; 100.
    pub floor_records: u64,
    /// Above the floor: the largest share of the rows held; 0.05.
    pub ratio: f64,
    /// The most records in any case, unless `max_ratio` allows more; 5,000.
    pub max_records: u64,
    /// The share of a very large table that may exceed `max_records`; 0.01.
    pub max_ratio: f64,
    /// Tables with fewer rows than this are small; 1,000.
    pub small_rows: u64,
    /// In a small table: up to this many records no ratio applies; 10.
    pub small_floor_records: u64,
    /// In a small table: the largest share; 0.30.
    pub small_ratio: f64,
}

/// Why a plan is refused. The label names the limit for metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than the allowed share would go.
    #[error(
        "{planned} of {rows} records would go{}, more than the {percent} % that may go without approval",
        already(*recent)
    )]
    Ratio {
        /// Records that would go.
        planned: u64,
        /// Records that went unapproved in the last 24 hours.
        recent: u64,
        /// Rows held.
        rows: u64,
        /// The limit, in percent.
        percent: u64,
    },
    /// More than the allowed number would go.
    #[error("{planned} records would go{}, more than the {limit} that may go without approval", already(*recent))]
    Records {
        /// Records that would go.
        planned: u64,
        /// Records that went unapproved in the last 24 hours.
        recent: u64,
        /// The limit.
        limit: u64,
    },
    /// Nothing would be left.
    #[error("all {rows} records would go")]
    Everything {
        /// Rows held.
        rows: u64,
    },
    /// The key list is complete only as far as we can tell.
    #[error("{0}")]
    Unproved(String),
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            floor_records: 100,
            ratio: 0.05,
            max_records: 5_000,
            max_ratio: 0.01,
            small_rows: 1_000,
            small_floor_records: 10,
            small_ratio: 0.30,
        }
    }
}

impl Guard {
    /// Whether `planned` records may go from `rows`, after `recent` went unapproved in the last 24 hours.
    #[expect(clippy::cast_precision_loss, reason = "shares of row counts; a unit in 2^53 does not matter")]
    pub fn check(&self, planned: u64, recent: u64, rows: u64) -> Result<(), Refusal> {
        let records = planned + recent;
        let share = |ratio: f64| records as f64 > rows as f64 * ratio;
        let ratio = |ratio: f64| Refusal::Ratio { planned, recent, rows, percent: percent(ratio) };
        if planned == 0 {
            Ok(())
        } else if planned >= rows {
            Err(Refusal::Everything { rows })
        } else if records > self.floor_records && share(self.ratio) {
            Err(ratio(self.ratio))
        } else if records > self.max_records && share(self.max_ratio) {
            Err(Refusal::Records { planned, recent, limit: self.max_records })
        } else if rows < self.small_rows && records > self.small_floor_records && share(self.small_ratio) {
            Err(ratio(self.small_ratio))
        } else {
            Ok(())
        }
    }
}

impl Refusal {
    /// The label of `purge_guard_trips_total`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Ratio { .. } => "max_ratio",
            Self::Records { .. } => "max_records",
            Self::Everything { .. } => "everything",
            Self::Unproved(_) => "incomplete_listing",
        }
    }
}

fn already(recent: u64) -> String {
    if recent == 0 { String::new() } else { format!(", and {recent} already went in the last 24 hours") }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage for a message")]
fn percent(ratio: f64) -> u64 {
    (ratio * 100.0).round() as u64
}
