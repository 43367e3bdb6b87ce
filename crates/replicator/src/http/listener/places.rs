//! Who has a place, and who has to leave it when there is none left.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Whoever sends its request at once gets this far, however many come after it.
const GRACE: Duration = Duration::from_millis(100);

/// All places.
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    clients: BTreeMap<u64, Standing>,
}

/// What is known of a client.
struct Standing {
    /// Its request is complete and not answered yet.
    asks: bool,
    /// Since when we wait for its request.
    since: Instant,
    leave: CancellationToken,
}

/// A client's place; free again when dropped.
pub(super) struct Place {
    request: Request,
    given_away: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What a client asks for, as its place has to know it.
#[derive(Clone)]
pub(crate) struct Request {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), taken: Mutex::default() })
    }

    /// A place, if need be that of the client who has kept us waiting longest. While all of them are being
    /// answered, which takes seconds at most, the newcomer waits.
    pub(super) async fn take(places: &Arc<Self>) -> Place {
        let permit = loop {
            let patience = if places.free.available_permits() == 0 { places.give_one_away() } else { GRACE };
            if let Ok(permit) = timeout(patience, Arc::clone(&places.free).acquire_owned()).await {
                // The semaphore is never closed.
                break permit.ok();
            }
        };
        let leave = CancellationToken::new();
        let given_away = Box::pin(leave.clone().cancelled_owned());
        let mut taken = places.taken();
        let number = taken.next;
        taken.next += 1;
        taken.clients.insert(number, Standing { asks: false, since: Instant::now(), leave });
        drop(taken);
        Place { request: Request { places: Arc::clone(places), number }, given_away, _permit: permit }
    }

    /// Sends a client away; how long to wait before this is worth another try.
    pub(super) fn give_one_away(&self) -> Duration {
        let taken = self.taken();
        let waited_for = taken.clients.values().filter(|client| !client.asks && !client.leave.is_cancelled());
        let Some(slowest) = waited_for.min_by_key(|client| client.since) else { return GRACE };
        let left = GRACE.saturating_sub(slowest.since.elapsed());
        if left.is_zero() {
            slowest.leave.cancel();
            return GRACE;
        }
        left
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn request(&self) -> Request {
        self.request.clone()
    }

    /// Its answer is there: from now on we wait until it takes it, and for its next request.
    pub(super) fn is_answered(&self) {
        self.request.change(|client| (client.asks, client.since) = (false, Instant::now()));
    }

    /// Ready once somebody else needs the place more.
    pub(super) fn poll_given_away(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.given_away.as_mut().poll(context)
    }
}

impl Request {
    /// All of it is there: from now on the client waits for us.
    pub(crate) fn is_complete(&self) {
        self.change(|client| client.asks = true);
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        if let Some(client) = self.places.taken().clients.get_mut(&self.number) {
            change(client);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.request.places.taken().clients.remove(&self.request.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_kept_us_waiting_longest_gives_its_place_away_and_nobody_who_is_being_answered() {
        let places = Places::new(3);
        let asking = Places::take(&places).await;
        asking.request().is_complete();
        let mut slow = Places::take(&places).await;
        let mut quick = Places::take(&places).await;
        slow.is_answered();
        tokio::time::advance(Duration::from_secs(1)).await;
        quick.is_answered();
        let leaves = tokio::spawn(async move {
            poll_fn(|context| slow.poll_given_away(context)).await;
        });
        let newcomer = Places::take(&places).await;
        leaves.await.unwrap();
        let stays = poll_fn(|context| Poll::Ready(quick.poll_given_away(context).is_pending())).await;
        assert!(stays && places.taken().clients.len() == 3);
        drop((asking, newcomer));
        assert_eq!(places.free.available_permits(), 2);
    }
}
