//! A little of a resource: how many records there are, and what a page of them weighs.

use std::collections::BTreeSet;

use spark_domain::{Expansion, MediaPart, Page, Query, Recovery, Relation, Resource};
use spark_fetcher::Error;

use super::super::estimate::{Measured, bytes};
use super::Guest;
use crate::commands::print;
use crate::http::view::float;

/// Records in the page that is weighed.
const SAMPLE: u32 = 100;

/// Records in the page that is weighed with its relations.
const EXPANDED_SAMPLE: u32 = 25;

impl Guest {
    /// One record with the count, a page, and a page with relations. None if the feed does not count.
    pub(super) async fn measure(&self, resource: Resource) -> Result<Option<Measured>, Error> {
        let first = self.counted(resource).await?;
        let count = first.head.count;
        let plain = Query { count: false, ..Query::collection(resource) };
        let page = self.page(&plain, SAMPLE).await?;
        let (weight, seconds) = (per_record(&page), page.head.took.as_secs_f64());
        let (records, took) = (page.len(), first.head.took.as_secs_f64());
        drop((first, page));
        let relations = self.settings.relations_of(resource);
        let relation_bytes = match relations {
            [] => None,
            relations => {
                let page = self.expanded(Query { expand: relations.to_vec(), ..plain }).await?;
                page.map(|page| (per_record(&page) - weight).max(0.0))
            }
        };
        let counted =
            count.map_or_else(|| "records, not counted".to_owned(), |count| format!("{count:>9} records"));
        print(&format!(
            "  {resource:<10} {counted}; one in {took:.2} s, {records} in {seconds:.2} s, {} each{}",
            bytes(weight),
            relation_bytes.map_or_else(String::new, |more| format!(" and {} of relations", bytes(more)))
        ));
        let record_seconds = seconds / float(records.max(1) as u64);
        Ok(count.map(|count| Measured { count, record_bytes: weight, record_seconds, relation_bytes }))
    }

    /// The first record, with the count. Other servers than Spark may refuse the whole question for it.
    async fn counted(&self, resource: Resource) -> Result<Page, Error> {
        let collection = Query::collection(resource);
        let refusal = match self.page(&collection, 1).await {
            Err(error) if matches!(error.exchange().status, Some(400 | 501)) => error,
            answer => {
                if answer.as_ref().is_ok_and(|page| page.head.count.is_none()) {
                    warn_uncounted(resource, "the feed does not count");
                }
                return answer;
            }
        };
        let Ok(page) = self.page(&Query { count: false, ..collection }, 1).await else { return Err(refusal) };
        let refusal = anyhow::Error::new(refusal);
        warn_uncounted(resource, &format!("the feed refuses to count: {refusal:#}"));
        Ok(page)
    }

    /// A page with those of the relations that are to be had, if any; warns of the others one by one.
    async fn expanded(&self, mut query: Query) -> Result<Option<Page>, Error> {
        let warn = |what: &str, error: Error| {
            let (resource, error) = (query.resource, anyhow::Error::new(error));
            print(&format!("  {resource:<10} warning: {what} not to be had: {error:#}"));
        };
        let refusal = match self.page(&query, EXPANDED_SAMPLE).await {
            Ok(page) => return Ok(Some(page)),
            Err(error) if error.recovery() == Recovery::TurnOff => error,
            Err(error) => return Err(error),
        };
        let (mut refused, mut parts_left) = (BTreeSet::new(), false);
        for (expansion, alone) in self.settings.fetcher.api.apart(&query) {
            match self.page(&alone, 1).await {
                Ok(_) => parts_left |= matches!(expansion, Expansion::Part(_)),
                Err(error) if error.recovery() == Recovery::TurnOff => {
                    warn(&format!("{expansion} is"), error);
                    refused.insert(expansion);
                }
                Err(error) => return Err(error),
            }
        }
        if refused.is_empty() {
            warn("its relations together are", refusal);
            return Ok(None);
        }
        let parts = MediaPart::ALL.into_iter().filter(|part| refused.contains(&Expansion::Part(*part)));
        query.omit = parts.collect();
        let whole = |relation: Relation| {
            let of_parts = relation == Relation::Media && !query.omit.is_empty();
            !refused.contains(&Expansion::Whole(relation)) && (parts_left || !of_parts)
        };
        let expand: Vec<Relation> =
            query.expand.iter().copied().filter(|relation| whole(*relation)).collect();
        query.expand = expand;
        if query.expand.is_empty() { Ok(None) } else { self.page(&query, EXPANDED_SAMPLE).await.map(Some) }
    }
}

fn warn_uncounted(resource: Resource, why: &str) {
    print(&format!(
        "  {resource:<10} warning: {why}; downloads and updates go on without it, but every purge waits for an approval"
    ));
}

fn per_record(page: &Page) -> f64 {
    float(page.head.bytes as u64) / float(page.len().max(1) as u64)
}
