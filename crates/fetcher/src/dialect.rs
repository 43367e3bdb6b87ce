//! The two dialects behind one door: a question is spelled and an answer read by the one the feed speaks.

use spark_domain::walk::{Paging, Position};
use spark_domain::{Expansion, MediaPart, Query, RecordKey, Relation, Resource};
use url::Url;

use crate::envelope::{Envelope, Unread};
use crate::{reso, spark};

/// How a feed is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// The RESO Web API: OData.
    #[default]
    Reso,
    /// The native Spark API: `_filter`, `_skiptoken`, and the `D` envelope.
    Spark,
}

impl Api {
    /// Its word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reso => "reso",
            Self::Spark => "spark",
        }
    }

    /// Whether pages name the next one by a link. Where they do not, there is no paging but by their tokens.
    pub const fn has_links(self) -> bool {
        matches!(self, Self::Reso)
    }

    /// Whether the dialect describes itself.
    pub const fn has_metadata(self) -> bool {
        matches!(self, Self::Reso)
    }

    /// Whether the dialect lists the resource.
    pub const fn lists(self, resource: Resource) -> bool {
        match self {
            Self::Reso => true,
            Self::Spark => spark::url::lists(resource),
        }
    }

    /// Whether the dialect brings the relation along with records of the resource.
    pub fn expands(self, resource: Resource, relation: Relation) -> bool {
        match self {
            Self::Reso => !matches!(relation, Relation::CustomFieldsRaw | Relation::CustomFieldsExpandedRaw),
            Self::Spark => resource == Resource::Property && !spark::url::expansions(relation).is_empty(),
        }
    }

    /// More records of the resource are on no page, whoever asks for them; none if that is up to the server.
    pub const fn most_per_page(self, resource: Resource) -> Option<u32> {
        match self {
            Self::Reso => None,
            Self::Spark => Some(spark::url::most_per_page(resource)),
        }
    }

    /// The same question for each of its expansions alone: a refusal does not say which of them it means.
    pub fn apart(self, query: &Query) -> Vec<(Expansion, Query)> {
        let alone = |expansion, relation, omit| {
            (expansion, Query { expand: vec![relation], omit, count: false, ..query.clone() })
        };
        let mut apart = Vec::new();
        for relation in query.expand.iter().copied() {
            if self != Self::Spark || relation != Relation::Media {
                apart.push(alone(Expansion::Whole(relation), relation, Vec::new()));
                continue;
            }
            for part in MediaPart::ALL.into_iter().filter(|part| !query.omit.contains(part)) {
                let others = MediaPart::ALL.into_iter().filter(|other| *other != part).collect();
                apart.push(alone(Expansion::Part(part), relation, others));
            }
        }
        apart
    }
}

/// A dialect with the feed's root and standing filter.
#[derive(Debug, Clone)]
pub(crate) enum Dialect {
    Reso(reso::url::Service),
    Spark(spark::url::Service),
}

impl Dialect {
    pub(crate) fn new(api: Api, base_url: &Url, filter: &str) -> Self {
        match api {
            Api::Reso => Self::Reso(reso::url::Service::new(base_url, filter)),
            Api::Spark => Self::Spark(spark::url::Service::new(base_url, filter)),
        }
    }

    /// The address of a page that no link leads to. The error says why the question has no spelling.
    pub(crate) fn page(
        &self,
        query: &Query,
        position: &Position,
        paging: Paging,
        top: u32,
    ) -> Result<Url, &'static str> {
        match self {
            Self::Reso(service) => service.page(query, position, paging, top),
            Self::Spark(service) => service.page(query, position, paging, top),
        }
    }

    /// The address that counts what a page of this question would not count itself.
    pub(crate) fn count(&self, query: &Query, position: &Position) -> Option<Result<Url, &'static str>> {
        match self {
            Self::Spark(service) if query.count && *position == Position::Start => Some(service.count(query)),
            Self::Reso(_) | Self::Spark(_) => None,
        }
    }

    /// Where a stored link leads, with another page size if one is given. The error is the foreign origin.
    pub(crate) fn link(&self, resource: Resource, link: &str, top: Option<u32>) -> Result<Url, String> {
        match self {
            Self::Reso(service) => service.link(link, top),
            Self::Spark(service) => service.link(resource, link, top),
        }
    }

    /// The key of a question that is answered by one record.
    pub(crate) fn single<'q>(&self, query: &'q Query) -> Option<&'q RecordKey> {
        match self {
            Self::Reso(service) => service.single(query),
            Self::Spark(service) => service.single(query),
        }
    }

    /// How many leading keys one question holds; at least 1.
    pub(crate) fn keys_that_fit(&self, query: &Query, keys: &[RecordKey]) -> usize {
        match self {
            Self::Reso(service) => service.keys_that_fit(query, keys),
            Self::Spark(service) => service.keys_that_fit(query, keys),
        }
    }

    /// Reads the answer to a question that was asked at this address.
    pub(crate) fn read(
        &self,
        query: &Query,
        paging: Paging,
        asked: &Url,
        body: Vec<u8>,
    ) -> Result<Envelope, Unread> {
        match self {
            Self::Reso(service) => {
                let single = service.single(query).is_some();
                let mut page = if single { reso::wire::entity(body)? } else { reso::wire::list(body)? };
                // Paging by key follows no link, and an unordered server's is not to be trusted; that there is
                // one still tells an empty page from the end.
                if paging == Paging::NextLink {
                    let follow = |link: String| service.next(asked, &link).map_err(Unread::ForeignLink);
                    page.next = page.next.map(follow).transpose()?;
                }
                Ok(page)
            }
            Self::Spark(_) => {
                let mut page = spark::wire::list(body, query)?;
                page.next = spark::url::Service::next(asked, page.next.as_deref(), page.records.is_empty());
                Ok(page)
            }
        }
    }
}
