//! `search`: records as the feed shows them now, as JSON. Nothing is stored.

use std::collections::BTreeSet;

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;
use spark_domain::Query;
use spark_scheduler::Inquiry;
use spark_store::Store;

use super::once::{chosen, migrate};
use super::print_json;
use crate::assembly;
use crate::cli::Search;
use crate::config::Loaded;
use crate::exit::{Exit, refuse};

pub(super) async fn run(store: &Store, loaded: &Loaded, arguments: &Search) -> anyhow::Result<Exit> {
    let Search { feed, resource, filter, limit, count, expand } = arguments;
    let settings = chosen(&loaded.config, Some(feed))?.remove(0);
    let api = settings.fetcher.api;
    if !api.lists(*resource) {
        return Err(refuse(
            Exit::Usage,
            format!("{feed} speaks the native API, which does not list {resource}"),
        ));
    }
    if let Some(relation) = expand.iter().find(|relation| !api.expands(*resource, **relation)) {
        return Err(refuse(Exit::Usage, format!("{resource} of {feed} has no relation {relation}")));
    }
    // Its requests are counted there.
    migrate(store).await?;
    let expand: BTreeSet<_> = expand.iter().copied().collect();
    let query = Query { expand: expand.into_iter().collect(), count: *count, ..Query::collection(*resource) };
    let inquiry = Inquiry::open(settings, filter.as_deref(), store, &assembly::metrics()?)?;
    let answer = inquiry.first(&query, usize::try_from(*limit).unwrap_or(usize::MAX)).await;
    inquiry.close().await;
    let found = answer?;
    let records = found.records.into_iter().map(RawValue::from_string);
    print_json(&Found {
        feed: feed.as_str(),
        resource: resource.as_str(),
        count: found.count,
        records: records.collect::<Result<_, _>>().context("a record is no JSON")?,
    })?;
    Ok(Exit::Done)
}

/// Records go out as they came: a number of 26 digits must not become a float on the way.
#[derive(Serialize)]
struct Found<'a> {
    feed: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    records: Vec<Box<RawValue>>,
}
