//! The register of static SQL: nothing checks a statement when it is compiled, so one test prepares each of
//! them on a migrated database. A statement that is not declared through `sql!` escapes that test.

use crate::columns::{ByRelation, ByResource};

/// Declares a file's statements as constants, and registers them: `sql! { NAME = "select ..."; }`.
macro_rules! sql {
    ($($name:ident = $text:expr;)+) => {
        $(const $name: &str = $text;)+
        /// Every statement of this file, by path and name.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((concat!(file!(), " ", stringify!($name)), $name)),+];
    };
}

/// Every static statement of the crate, as `(file, name, text)`.
#[doc(hidden)]
pub fn statements() -> Vec<(&'static str, &'static str, &'static str)> {
    let files: &[(&str, &[(&str, &str)])] = &[
        ("connection", crate::connection::STATEMENTS),
        ("migrate", crate::migrate::STATEMENTS),
        ("lease", crate::lease::STATEMENTS),
        ("feed", crate::feed::STATEMENTS),
        ("resource", crate::resource::STATEMENTS),
        ("expansion", crate::expansion::STATEMENTS),
        ("checkpoint", crate::checkpoint::STATEMENTS),
        ("job_run", crate::job_run::STATEMENTS),
        ("budget", crate::budget::STATEMENTS),
        ("oauth_token", crate::oauth_token::STATEMENTS),
        ("operator_request", crate::operator_request::STATEMENTS),
        ("metadata", crate::metadata::STATEMENTS),
        ("freshness", crate::freshness::STATEMENTS),
        ("status", crate::status::STATEMENTS),
        ("commit_page", crate::commit_page::STATEMENTS),
        ("verdicts", crate::commit_page::VERDICT_STATEMENTS),
        ("due", crate::relations::DUE_STATEMENTS),
        ("relation_set", crate::relations::STATE_STATEMENTS),
        ("members", crate::relations::MEMBER_STATEMENTS),
        ("sweep", crate::sweep::STATEMENTS),
        ("findings", crate::sweep::FINDING_STATEMENTS),
        ("purge_plan", crate::purge::PLAN_STATEMENTS),
        ("purge", crate::purge::STATEMENTS),
        ("reread", crate::reread::STATEMENTS),
        ("event", crate::event::STATEMENTS),
        ("quarantine", crate::quarantine::STATEMENTS),
        ("records_read", crate::records_read::STATEMENTS),
        ("refill", crate::refill::STATEMENTS),
    ];
    let fixed =
        files.iter().flat_map(|(file, list)| list.iter().map(move |(name, text)| (*file, *name, *text)));
    fixed.chain(per_table()).collect()
}

/// The statements that exist once per table of `mls`.
fn per_table() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let of_resources = crate::commit_page::per_table()
        .chain(crate::relations::per_table())
        .chain(crate::sweep::per_table())
        .chain(crate::purge::PER_TABLE)
        .chain(crate::records_read::PER_TABLE)
        .chain(crate::refill::PER_TABLE);
    let of_relations = crate::relations::per_relation_table()
        .chain(crate::records_read::PER_RELATION_TABLE)
        .chain(crate::refill::PER_RELATION_TABLE);
    let texts = of_resources.flat_map(ByResource::all).chain(of_relations.flat_map(ByRelation::all));
    texts.map(|text| ("per table", "mls", text.as_str()))
}
