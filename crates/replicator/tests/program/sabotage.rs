//! The program killed at a commit, or with a promise broken; and that a program built to be used knows neither.

use super::process::run;

#[cfg(not(any(feature = "failpoints", feature = "breakages")))]
#[test]
fn a_program_built_to_be_used_does_not_even_contain_the_words() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_spark-replicator")).unwrap();
    let contains = |word: &str| program.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(contains("SPARK_REPLICATOR__"), "the program hides its strings; this test cannot see");
    for word in ["SPARK_REPLICATOR_FAILPOINT", "SPARK_REPLICATOR_BREAKAGE", "older_over_newer"] {
        assert!(!contains(word), "{word} is in the program");
    }
    assert_eq!(run(["failpoints"]).code, Some(2));
}

#[cfg(feature = "failpoints")]
mod failpoints {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Output;

    use super::super::process::Ended;
    use super::super::stage::Stage;
    use super::run;

    const SIGKILL: i32 = 9;

    /// Runs a command under a failpoint, to its end.
    fn under(stage: &Stage, failpoint: &str, arguments: &[&str]) -> Output {
        stage.program(arguments).env("SPARK_REPLICATOR_FAILPOINT", failpoint).output().unwrap()
    }

    /// It killed itself, and said where.
    fn assert_died_at(point: &str, output: &Output) {
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SIGKILL), "{err}");
        assert!(err.lines().any(|line| line == format!("failpoint {point} reached")), "{err}");
    }

    #[tokio::test]
    async fn what_is_killed_before_a_commit_leaves_nothing_and_after_it_all() {
        let stage = Stage::new("program_failpoint_migrate", 0).await;
        let migrated = "select to_regclass('replicator.feed') is not null";
        assert_died_at("migrate.before", &under(&stage, "migrate.before", &["migrate"]));
        assert!(!stage.ask::<bool>(migrated).await);
        assert_died_at("migrate.after", &under(&stage, "migrate.after", &["migrate"]));
        assert!(stage.ask::<bool>(migrated).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_nth_pass_kills_and_the_next_run_goes_on_from_there() {
        let stage = Stage::new("program_failpoint_pages", 400).await;
        assert_eq!(stage.run(&["migrate"]).code, Some(0));
        let download = ["once", "initial_download", "--resource", "Property"];
        let listings = "select count(*) from mls.property";
        assert_died_at("commit_page.before", &under(&stage, "commit_page.before@3", &download));
        assert_eq!(stage.ask::<i64>(listings).await, 200, "two pages are durable, the third is not");
        assert_died_at("commit_page.after", &under(&stage, "commit_page.after", &download));
        assert_eq!(stage.ask::<i64>(listings).await, 300, "the third page is durable");
        let rest = stage.run(&download);
        assert_eq!(rest.code, Some(0), "{rest:?}");
        assert_eq!(stage.ask::<i64>(listings).await, 400);
    }

    #[tokio::test]
    async fn a_failpoint_that_does_not_exist_is_refused_at_start() {
        let stage = Stage::new("program_failpoint_unknown", 0).await;
        for (failpoint, complaint) in [
            ("commit_pages.before", "\"commit_pages\" is no commit boundary"),
            ("commit_page", "is not a failpoint"),
            ("commit_page.between", "is not a failpoint"),
            ("commit_page.after@0", "is not a failpoint"),
            ("", "is not a failpoint"),
        ] {
            let refused = Ended::of(&under(&stage, failpoint, &["migrate"]));
            assert_eq!(refused.code, Some(78), "{failpoint}: {refused:?}");
            assert!(refused.err.contains(complaint), "{failpoint}: {refused:?}");
        }
    }

    #[test]
    fn every_boundary_is_listed_for_the_prover() {
        let listed = run(["failpoints"]);
        assert_eq!(listed.code, Some(0), "{listed:?}");
        assert_eq!(listed.out.lines().collect::<Vec<_>>(), spark_store::failpoint::BOUNDARIES);
        assert!(listed.out.lines().any(|name| name == "commit_page"), "{listed:?}");
    }
}

#[cfg(feature = "breakages")]
#[test]
fn a_breakage_that_does_not_exist_is_refused_at_start() {
    let mut command = super::process::program(["config", "example"]);
    let refused =
        super::process::Ended::of(&command.env("SPARK_REPLICATOR_BREAKAGE", "no_fences").output().unwrap());
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(
        refused.err.contains("unknown breakage \"no_fences\"; known are cursor_moved_early,"),
        "{refused:?}"
    );
    assert_eq!(run(["config", "example"]).code, Some(0));
}

#[cfg(all(feature = "failpoints", feature = "breakages"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_commits_apart_from_its_checkpoint_is_lost_by_a_kill_between_them() {
    let stage = super::stage::Stage::new("program_broken_pages", 400).await;
    assert_eq!(stage.run(&["migrate"]).code, Some(0));
    let download = ["once", "initial_download", "--resource", "Property"];
    let mut broken = stage.program(&download);
    broken.env("SPARK_REPLICATOR_BREAKAGE", "checkpoint_apart");
    broken.env("SPARK_REPLICATOR_FAILPOINT", "commit_page.before@3");
    assert_eq!(broken.output().unwrap().status.code(), None, "it was not killed");
    let rest = stage.run(&download);
    assert_eq!(rest.code, Some(0), "{rest:?}");
    assert_eq!(stage.ask::<i64>("select count(*) from mls.property").await, 300, "the third page is lost");
}
