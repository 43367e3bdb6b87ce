//! Keeps `$metadata` and reports drift: fields that appear, vanish or change their type.

use std::collections::BTreeMap;

use spark_domain::Hash;
use spark_fetcher::Metadata;

use super::{Ended, Run};
use crate::error::JobError;

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    let context = run.context;
    let served = tokio::select! {
        served = context.fetcher.metadata(run.job.priority()) => served?,
        () = context.soft.cancelled() => return Err(JobError::Cancelled),
    };
    let known = crate::persist!(context, context.store.metadata(context.feed()))?;
    let hash = Hash::of_document(&served.document);
    if known.as_ref().is_some_and(|known| known.hash == hash) {
        return Ok(Ended::Done);
    }
    if let Some(before) = known.and_then(|known| Metadata::parse(known.document)) {
        report(run, &fields(&before), &fields(&served));
    }
    crate::persist!(context, context.store.save_metadata(&context.lease, hash, &served.document))?;
    context.forget_declared_fields();
    Ok(Ended::Done)
}

/// Entity type and field, with the field's type.
fn fields(metadata: &Metadata) -> BTreeMap<(&str, &str), &str> {
    metadata
        .entity_types
        .iter()
        .flat_map(|entity| {
            entity
                .properties
                .iter()
                .map(|field| ((entity.name.as_str(), field.name.as_str()), field.type_.as_str()))
        })
        .collect()
}

fn report(run: &Run<'_>, before: &BTreeMap<(&str, &str), &str>, after: &BTreeMap<(&str, &str), &str>) {
    let metrics = &run.context.metrics;
    let drifted = |kind: &'static str, (entity, field): (&str, &str), detail: String| {
        tracing::warn!(entity, field, kind, detail, "the feed's metadata has changed");
        metrics.schema_drifted(run.context.feed(), run.resource, kind);
    };
    for (name, type_) in after {
        match before.get(name) {
            None => drifted("new_field", *name, (*type_).to_owned()),
            Some(earlier) if earlier != type_ => {
                drifted("type_changed", *name, format!("{earlier} is now {type_}"));
            }
            Some(_) => {}
        }
    }
    for (name, type_) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        drifted("removed_field", *name, format!("it was {type_}"));
    }
}
