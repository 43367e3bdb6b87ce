//! The `$metadata` document.

use spark_fetcher::{Metadata, bytes};

use crate::is_a_line;

/// Reads it.
pub fn reads(input: &[u8]) {
    drop(bytes::metadata(input.to_vec()));
}

/// What is kept of a document reads the same when it is taken out again, and nothing is made up.
pub fn holds(input: &[u8]) {
    match bytes::metadata(input.to_vec()) {
        Ok(metadata) => {
            let names = metadata.entity_types.iter().flat_map(|each| {
                let fields = each.properties.iter().flat_map(|field| [&field.name, &field.type_]);
                fields.chain(&each.navigation).chain([&each.name])
            });
            let length: usize = names.chain(&metadata.entity_sets).map(String::len).sum();
            // A reference is never shorter than what it stands for; bad UTF-8 grows threefold.
            assert!(length <= 3 * input.len(), "{length} bytes of names in {} of input", input.len());
            assert_eq!(Metadata::parse(metadata.document.clone()), Some(metadata));
        }
        Err(problem) => is_a_line(&problem),
    }
}
