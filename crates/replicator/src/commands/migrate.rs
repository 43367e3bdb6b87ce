//! `migrate`: brings the database's schema up to date. `run` does so by itself; this is for those who give the
//! daemon a user that may not.

use anyhow::Context;
use spark_store::Store;

use super::print;
use crate::cli::Migrate;
use crate::exit::Exit;

pub(super) async fn run(store: &Store, arguments: &Migrate) -> anyhow::Result<Exit> {
    let (names, done) = if arguments.dry_run {
        (store.pending_migrations().await.context("cannot look at the schema")?, "is to be applied")
    } else {
        (store.migrate().await.context("cannot migrate the schema")?, "applied")
    };
    for name in &names {
        print(&format!("{name} {done}"));
    }
    if names.is_empty() {
        print("the schema is up to date");
    }
    Ok(Exit::Done)
}
