//! A little of a resource: how many records there are, and what a page of them weighs.

use spark_domain::fingerprint::FINGERPRINT_FIELDS;
use spark_domain::plan::page_size::MOST_PARENTS;
use spark_domain::{Filter, KeyListForm, Page, Query, RecordKey, Resource};
use spark_fetcher::{self as spark, Error};

use super::super::estimate::{Measured, bytes};
use super::Guest;
use super::shown::Shown;
use crate::commands::print;
use crate::http::view::float;

/// Records in the page that is weighed.
const SAMPLE: u32 = 100;

impl Guest {
    /// One record with the count, a page, and a page with relations. None if the feed does not count.
    pub(super) async fn measure(&self, resource: Resource) -> Result<Option<Measured>, Error> {
        let first = self.counted(resource).await?;
        let count = first.head.count;
        let plain = Query { count: false, ..Query::collection(resource) };
        let page = self.page(&plain, SAMPLE).await?;
        let (weight, seconds) = (per_record(&page), page.head.took.as_secs_f64());
        let (records, took) = (page.len(), first.head.took.as_secs_f64());
        let most_per_page = self.most_per_page(&page, resource);
        let shown = Shown::of(&page, resource);
        drop((first, page));
        let relations = self.settings.relations_of(resource);
        let relation_bytes = match relations {
            [] => None,
            relations => {
                let page = self.expanded(Query { expand: relations.to_vec(), ..plain }).await?;
                page.map(|page| per_record(&page).saturating_sub(weight))
            }
        };
        let counted =
            count.map_or_else(|| "records, not counted".to_owned(), |count| format!("{count:>9} records"));
        print(&format!(
            "  {resource:<10} {counted}; one in {took:.2} s, {records} in {seconds:.2} s, {} each{}",
            bytes(float(weight)),
            relation_bytes
                .map_or_else(String::new, |more| format!(" and {} of relations", bytes(float(more))))
        ));
        if let Some(told) = shown.told() {
            print(&format!("  {resource:<10} {told}"));
        }
        Ok(count.map(|count| Measured {
            count,
            record_bytes: weight,
            record_seconds: seconds / float(records.max(1) as u64),
            relation_bytes,
            most_per_page,
            keys_per_question: self.keys_per_question(resource, &shown.keys),
            // Natively a count is a question of its own, and a list ends with an empty page.
            beside_pages: if self.settings.fetcher.api.has_links() { 0 } else { 2 },
        }))
    }

    /// A page that goes on and is smaller than was asked for is as large as pages get.
    fn most_per_page(&self, page: &Page, resource: Resource) -> u32 {
        let spark::Settings { api, page_size, .. } = self.settings.fetcher;
        let most = api.most_per_page(resource).unwrap_or(page_size);
        match u32::try_from(page.len()) {
            Ok(len @ 1..) if len < SAMPLE && len < page_size && page.head.next.is_some() => len,
            _ => most,
        }
    }

    /// As many keys like these as fit into one question for relations, asked as the daemon asks.
    fn keys_per_question(&self, resource: Resource, keys: &[RecordKey]) -> u32 {
        let fields = if resource == Resource::Property { FINGERPRINT_FIELDS.len() } else { 1 };
        let query = Query {
            filter: Filter::Keys(Vec::new(), KeyListForm::In),
            select: std::iter::once(resource.key_field())
                .chain(FINGERPRINT_FIELDS)
                .take(1 + fields)
                .collect(),
            expand: self.settings.relations_of(resource).to_vec(),
            count: false,
            ..Query::collection(resource)
        };
        let most = usize::try_from(MOST_PARENTS).unwrap_or(usize::MAX);
        let many: Vec<RecordKey> = keys.iter().cycle().take(most).cloned().collect();
        u32::try_from(self.fetcher.keys_that_fit(&query, &many)).unwrap_or(MOST_PARENTS)
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
}

fn warn_uncounted(resource: Resource, why: &str) {
    print(&format!(
        "  {resource:<10} warning: {why}; downloads and updates go on without it, but every purge waits for an approval"
    ));
}

fn per_record(page: &Page) -> u64 {
    (page.head.bytes as u64).div_ceil(page.len().max(1) as u64)
}
