//! The two surfaces of one market.

use crate::{odata, spark, world::Resource};

/// In which of its two languages Spark is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// The RESO Web API.
    #[default]
    Reso,
    /// The native Spark API.
    Spark,
}

const SPARK_LISTING: [&str; 7] =
    ["Media", "Room", "Unit", "OpenHouse", "CustomFields", "CustomFieldsRaw", "CustomFieldsExpandedRaw"];

impl Dialect {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Reso, Self::Spark];

    /// Its word, as a replicator's configuration has it too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reso => "reso",
            Self::Spark => "spark",
        }
    }

    /// Whether the surface has such records at all.
    pub fn offers(self, resource: Resource) -> bool {
        match self {
            Self::Reso => true,
            Self::Spark => !matches!(resource, Resource::Teams | Resource::Lookup),
        }
    }

    /// What hangs on such a record, by its RESO name. The custom fields of the native surface hang on a listing
    /// too; on the RESO side they are fields.
    pub fn relations(self, resource: Resource) -> &'static [&'static str] {
        match (self, resource) {
            (Self::Reso, _) => resource.relations(),
            (Self::Spark, Resource::Property) => &SPARK_LISTING,
            (Self::Spark, _) => &[],
        }
    }

    /// Whose surface a path lies on; a stranger gets his refusal in OData's words.
    pub(crate) fn of(path: &str) -> Self {
        let below =
            path.strip_prefix(spark::PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below && !path.starts_with(odata::PATH) { Self::Spark } else { Self::Reso }
    }
}
