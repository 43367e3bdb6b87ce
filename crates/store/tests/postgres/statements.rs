//! Nothing checks SQL when it is compiled; this does.

use spark_store::statements;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::harness::Database;

#[tokio::test]
async fn every_statement_prepares_against_a_migrated_database() {
    let database = Database::migrated().await;
    let mut connection = database.connection().await;
    let mut failures = Vec::new();
    for (file, name, text) in statements() {
        let text = AssertSqlSafe(text).into_sql_str();
        if let Err(error) = connection.prepare(text).await {
            failures.push(format!("{file}: {name}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(statements().len() > 50, "only {} statements are registered", statements().len());
}

#[test]
fn no_file_keeps_its_statements_to_itself() {
    let registered: std::collections::BTreeSet<_> =
        statements().into_iter().filter_map(|(_, name, _)| name.split(' ').next()).collect();
    for path in sources(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.lines().any(|line| line.starts_with("sql! {")) {
            let known = registered.iter().any(|file| path.ends_with(file));
            assert!(known, "the statements of {} are not in statements.rs", path.display());
        }
    }
}

/// The source files under a folder.
pub(crate) fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}
