//! What becomes durable does so under a name of its own. Whether every transaction has one, the compiler knows.

use std::collections::BTreeMap;
use std::path::Path;

use spark_store::statements;

use crate::statements::sources;

/// The crate's files, by path.
fn texts() -> BTreeMap<String, String> {
    let paths = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    paths.iter().map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn no_two_commits_share_a_name() {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts().values() {
        for rest in text.split("Boundary::").skip(1) {
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            *uses.entry(name).or_default() += 1;
        }
    }
    // `Boundary::NAMES` is the list itself.
    uses.remove("NAMES");
    assert!(uses.len() > 40, "only {} commits were found", uses.len());
    uses.retain(|_, count| *count > 1);
    assert!(uses.is_empty(), "used more than once: {uses:?}");
}

#[test]
fn a_statement_that_writes_on_its_own_names_its_boundary() {
    let writes =
        |text: &str| ["insert into", "update ", "delete from"].iter().any(|verb| text.contains(verb));
    let statements = statements();
    let writing = statements.iter().filter(|(_, name, text)| name.contains(".rs ") && writes(text));
    let texts = texts();
    let mut alone = 0;
    for (_, place, _) in writing {
        let (file, name) = place.split_once(' ').unwrap();
        let (_, text) = texts.iter().find(|(path, _)| path.ends_with(file)).unwrap();
        let of_name = |function: &&str| function.contains(&format!("({name})"));
        for function in text.split("fn ").filter(of_name) {
            let autocommits = function.contains("self.unit()") || function.contains("self.beat()");
            alone += usize::from(autocommits);
            let named = function.contains("durable(Boundary::");
            assert!(named || !autocommits, "{place} commits by itself and without a name");
        }
    }
    assert!(alone >= 6, "only {alone} statements that commit by themselves were found");
}
