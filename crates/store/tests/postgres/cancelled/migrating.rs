//! Migrations and the end of a store, dropped at any poll. They go through no pool, and end no unit of work.

use super::calls::READS;
use super::give_up;
use super::stage::Stage;
use crate::harness::{Database, until};

/// What a migration makes: schemas and tables, and how many of them are written down.
const MADE: &str = "select (select count(*) from pg_namespace where nspname in ('mls', 'replicator')) \
                         + (select count(*) from pg_class where relnamespace in \
                            (select oid from pg_namespace where nspname in ('mls', 'replicator')))";

async fn quiet(database: &Database) {
    until("no session of the store is left", async || {
        let left = "select count(*) from pg_stat_activity where application_name = 'spark-replicator' \
                    and datname = current_database()";
        database.ask::<i64>(left).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_migration_dropped_at_any_poll_happened_whole_or_not_at_all_and_the_next_one_goes_on() {
    let whole = Database::migrated().await.ask::<i64>(MADE).await;
    for answered in [false, true] {
        let mut database = Database::empty();
        for polls in 1.. {
            let ended =
                give_up(Box::pin(database.store.migrate()), polls, answered).await.transpose().unwrap();
            quiet(&database).await;
            let made: i64 = database.ask(MADE).await;
            if ended.is_some() {
                assert_eq!(made, whole);
                break;
            }
            assert!(made == 0 || made == whole, "dropped at poll {polls}: {made} of {whole} are made");
            if made == whole {
                assert!(database.store.migrate().await.unwrap().is_empty());
                database = Database::empty();
            }
            assert!(polls < 400, "a migration does not come to its end");
        }
    }
}

#[tokio::test]
async fn a_store_whose_closing_was_dropped_closes_and_its_work_comes_to_its_end() {
    let stage = Stage::set().await;
    let read = READS.iter().find(|call| call.method == "metadata").unwrap();
    for polls in 1..4 {
        let store = stage.store();
        let blocker = stage.lock_all_but(&[]).await;
        let mut work = (read.on)(&store, &stage);
        tokio::select! {
            biased;
            end = &mut work => panic!("{end:?}"),
            () = stage.until_waiting(1) => {}
        }
        let end = tokio::time::timeout(std::time::Duration::from_millis(20), async {
            give_up(Box::pin(store.close()), polls, true).await
        })
        .await;
        assert_ne!(end, Ok(Some(())), "it does not wait for the work");
        blocker.let_go().await;
        work.await.unwrap();
        store.close().await;
        stage.until_nothing_is_left("closed").await;
        store.now().await.unwrap_err();
    }
}
