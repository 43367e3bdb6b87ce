//! A unit of work that is dropped half way costs its connection, and nothing else.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use spark_domain::{Checkpoint, Job, Resource};
use spark_store::{Error, Lease, Store};

use crate::harness::{Database, LONG, feed, until};

/// Polls a future so many times and then gives it up.
struct GivenUp<F> {
    work: Pin<Box<F>>,
    polls: u32,
}

impl<F: Future> Future for GivenUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The next poll may come before there is anything to read: dropping between two packets counts too.
            Poll::Pending => {
                if self.polls == 0 {
                    return Poll::Ready(None);
                }
                Poll::Pending
            }
        }
    }
}

/// Whether the work came to its end before it was given up.
async fn give_up<T>(polls: u32, work: impl Future<Output = Result<T, Error>>) -> bool {
    GivenUp { work: Box::pin(work), polls }.await.is_some_and(|result| {
        result.unwrap();
        true
    })
}

async fn some_work(which: u32, polls: u32, store: &Store, lease: &Lease) -> bool {
    let name = feed("beaches");
    match which {
        0 => give_up(polls, store.now()).await,
        1 => give_up(polls, store.begin_run(lease, Resource::Property, Job::Update)).await,
        2 => {
            let checkpoint = Checkpoint::default();
            give_up(polls, store.save_checkpoint(lease, Resource::Office, Job::Update, &checkpoint)).await
        }
        3 => give_up(polls, store.acquire_lease(&name, "test", LONG)).await,
        4 => give_up(polls, store.reserve_requests(&[7; 32], 5, Duration::from_millis(1))).await,
        _ => give_up(polls, store.take_requests(lease)).await,
    }
}

#[tokio::test]
async fn a_unit_dropped_at_any_poll_leaves_the_pool_usable_and_no_lock_held() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let store = &database.store;
    for which in 0..6 {
        let mut polls = 1;
        while !some_work(which, polls, store, &lease).await {
            polls += 1;
            assert!(polls < 200, "work {which} never comes to its end");
        }
    }
    until("no transaction is left open and no lock held", || async {
        let held: i64 = database
            .ask(
                "select count(*) from pg_stat_activity a where a.datname = current_database() \
                  and a.pid <> pg_backend_pid() and (a.state like 'idle in transaction%' or exists \
                  (select from pg_locks l where l.pid = a.pid and l.locktype in ('relation', 'tuple')))",
            )
            .await;
        held == 0
    })
    .await;
    // More at once than the pool has connections: a slot that was lost would show.
    let clocks = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.now().await })
    });
    for clock in clocks.collect::<Vec<_>>() {
        clock.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_write_after_a_dropped_one_is_committed_for_all_to_see() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    for polls in 1..40 {
        some_work(1, polls, &database.store, &lease).await;
        let request = spark_store::RequestKind::Pause;
        let id = database.store.submit_request(&feed("beaches"), &request, "somebody").await.unwrap();
        let seen: i64 = database
            .ask(&format!("select count(*) from replicator.operator_request where request = {}", id.0))
            .await;
        assert_eq!(seen, 1, "after {polls} polls");
    }
}

#[tokio::test]
async fn a_unit_that_waits_for_a_lock_and_is_dropped_lets_go_of_its_own() {
    let database = Database::migrated().await;
    let lease = database.feed("beaches").await;
    let mut blocker = database.connection().await;
    sqlx::raw_sql("begin; lock table replicator.checkpoint").execute(&mut blocker).await.unwrap();
    let store = database.store.clone();
    let work = tokio::spawn(async move {
        store.save_checkpoint(&lease, Resource::Office, Job::Update, &Checkpoint::default()).await
    });
    until("the work waits for the lock", || async {
        let waiting: i64 = database
            .ask(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                  and datname = current_database()",
            )
            .await;
        waiting == 1
    })
    .await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    sqlx::raw_sql("rollback").execute(&mut blocker).await.unwrap();
    until("the lease's row can be locked by a taker", || async {
        let mut connection = database.connection().await;
        let lock = "select from replicator.lease where feed = 'beaches' for update nowait";
        sqlx::raw_sql(lock).execute(&mut connection).await.is_ok()
    })
    .await;
    let written: i64 = database.ask("select count(*) from replicator.checkpoint").await;
    assert_eq!(written, 0, "what was dropped must not have happened");
}
