//! What of a feed's relations are to be had.

use std::collections::BTreeSet;

use spark_domain::{Expansion, MediaPart, Page, Query, Recovery, Relation, Resource};
use spark_fetcher::{Error, Metadata};

use super::Guest;
use crate::commands::print;

/// Records in the page that is weighed with its relations.
const EXPANDED_SAMPLE: u32 = 25;

impl Guest {
    /// Says which relations the key may have, be they configured or not.
    pub(super) async fn tell_relations(
        &self,
        metadata: Option<&Metadata>,
        resource: Resource,
    ) -> Result<(), Error> {
        let offered = match metadata {
            Some(metadata) => declared(metadata, resource),
            None if self.settings.fetcher.api.has_metadata() => None,
            None => self.answered(resource).await?,
        };
        if let Some(offered) = offered {
            let named = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
            print(&format!("  {resource:<10} relations that it offers: {named}"));
        }
        Ok(())
    }

    /// Natively nothing names them: one is offered if it is answered.
    async fn answered(&self, resource: Resource) -> Result<Option<Vec<String>>, Error> {
        let api = self.settings.fetcher.api;
        let expand = Relation::ALL.into_iter().filter(|relation| api.expands(resource, *relation)).collect();
        let query = Query { expand, count: false, ..Query::collection(resource) };
        if query.expand.is_empty() {
            return Ok(None);
        }
        let apart = api.apart(&query);
        let name = |expansion: &Expansion| expansion.to_string();
        match self.page(&query, 1).await {
            Ok(_) => return Ok(Some(apart.iter().map(|(expansion, _)| name(expansion)).collect())),
            Err(error) if error.recovery() == Recovery::SignIn => return Err(error),
            Err(_) => {}
        }
        let mut offered = Vec::new();
        for (expansion, alone) in apart {
            match self.page(&alone, 1).await {
                Ok(_) => offered.push(name(&expansion)),
                Err(error) if error.recovery() == Recovery::SignIn => return Err(error),
                Err(_) => {}
            }
        }
        Ok(Some(offered))
    }

    /// A page with those of the relations that are to be had, if any; warns of the others one by one.
    pub(super) async fn expanded(&self, mut query: Query) -> Result<Option<Page>, Error> {
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

/// The relations by the feed's own description; none if it does not describe the resource.
fn declared(metadata: &Metadata, resource: Resource) -> Option<Vec<String>> {
    let kind = metadata.entity_types.iter().find(|kind| kind.name == resource.as_str());
    kind.map(|kind| kind.navigation.clone())
}
