//! The body of an answer of success from the native API, and the flat records that are made of it.

use std::collections::HashMap;

use serde_json::value::RawValue;
use spark_fetcher::bytes;

use crate::page::strings_hold;
use crate::{is_a_line, unreadable};

/// Reads a list of listings with every expansion.
pub fn reads(input: &[u8]) {
    drop(bytes::native_page(input.to_vec()));
}

/// Every record is JSON that Postgres can hold, nothing hidden is left as text, and what is flat stays as it is.
pub fn holds(input: &[u8]) {
    let page = match bytes::native_page(input.to_vec()) {
        Ok(page) => page,
        Err(problem) => return is_a_line(&problem),
    };
    for record in page.records() {
        serde_json::from_str::<&RawValue>(record).unwrap_or_else(|error| unreadable(record, &error));
        strings_hold(record);
        // What is no object, or lies deeper than any real one, goes to quarantine as it came.
        let Ok(members) = serde_json::from_str::<HashMap<String, &RawValue>>(record) else { continue };
        if members.contains_key("StandardFields") {
            continue;
        }
        for (name, value) in &members {
            assert_ne!(value.get(), "\"********\"", "{name} is hidden and would be stored as text");
        }
    }
}
