//! The process' byte allowance: how much of all feeds' answers may be in memory at once.
//!
//! A share is taken before a page is asked for and held until the page is dropped, so memory is bounded by
//! bytes and not by the number of feeds. A share that proves too small grows while the body is read; if
//! nothing is left, one page at a time may overdraw. That page waits for nobody, so it gets done and the
//! others after it: a page larger than the whole allowance is slow, and never a deadlock.
//!
//! Rule for whoever holds a page: do not wait for another page before dropping it. Fetching the next one
//! while this one is being stored is fine as long as the storing ends by itself.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit stands for. Coarse, because permits are counted in 32 bits and pages are megabytes.
const UNIT: usize = 64 * 1024;

/// The bytes that all pages together may occupy; clones share it.
#[derive(Debug, Clone)]
pub struct Allowance {
    units: Arc<Semaphore>,
    total: u32,
    overdraft: Arc<Semaphore>,
}

/// A page's part of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    held: Vec<OwnedSemaphorePermit>,
    overdrawn: Option<OwnedSemaphorePermit>,
    allowance: Allowance,
}

impl Allowance {
    /// An allowance of that many bytes; 48 MB is the default of the process.
    pub fn new(bytes: usize) -> Self {
        let total = units(bytes).max(1);
        let permits = usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(permits)), total, overdraft: Arc::new(Semaphore::new(1)) }
    }

    /// Waits for a share of so many bytes, or for all there is if that is less.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        let wanted = units(bytes).clamp(1, self.total);
        // The semaphore is never closed, so a permit always comes.
        let held = Arc::clone(&self.units).acquire_many_owned(wanted).await.ok();
        Share { held: held.into_iter().collect(), overdrawn: None, allowance: self.clone() }
    }
}

impl Share {
    /// Makes sure that so many bytes are covered; waits only while another page overdraws.
    pub(crate) async fn cover(&mut self, bytes: usize) {
        let missing = units(bytes).saturating_sub(self.covered());
        if missing == 0 || self.overdrawn.is_some() {
            return;
        }
        let Allowance { units, overdraft, .. } = self.allowance.clone();
        if let Ok(permit) = Arc::clone(&units).try_acquire_many_owned(missing) {
            self.held.push(permit);
            return;
        }
        tokio::select! {
            biased;
            more = units.acquire_many_owned(missing) => self.held.extend(more.ok()),
            over = overdraft.acquire_owned() => self.overdrawn = over.ok(),
        }
    }

    /// Gives back what a page of so many bytes does not need.
    pub(crate) fn trim(&mut self, bytes: usize) {
        let mut surplus = self.covered().saturating_sub(units(bytes).max(1));
        while surplus > 0 {
            let Some(mut permit) = self.held.pop() else { break };
            let size = u32::try_from(permit.num_permits()).unwrap_or(u32::MAX);
            if size > surplus {
                drop(permit.split(usize::try_from(surplus).unwrap_or_default()));
                self.held.push(permit);
                break;
            }
            surplus -= size;
        }
    }

    fn covered(&self) -> u32 {
        let permits: usize = self.held.iter().map(OwnedSemaphorePermit::num_permits).sum();
        u32::try_from(permits).unwrap_or(u32::MAX)
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_allowance_blocks_when_it_is_spent_and_frees_with_the_page() {
        let allowance = Allowance::new(10 * UNIT);
        let first = allowance.take(6 * UNIT).await;
        assert!(timeout(SOON, allowance.take(6 * UNIT)).await.is_err(), "12 of 10 were given out");
        drop(first);
        assert!(timeout(SOON, allowance.take(6 * UNIT)).await.is_ok(), "a freed share was not given out");
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_page_gives_back_what_it_did_not_need() {
        let allowance = Allowance::new(10 * UNIT);
        let mut first = allowance.take(9 * UNIT).await;
        first.trim(2 * UNIT);
        let second = timeout(SOON, allowance.take(8 * UNIT)).await;
        assert!(second.is_ok(), "a trimmed share was not given out");
        assert!(timeout(SOON, allowance.take(1)).await.is_err(), "too much was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_larger_than_the_whole_allowance_gets_through() {
        let allowance = Allowance::new(4 * UNIT);
        let mut share = timeout(SOON, allowance.take(100 * UNIT)).await.unwrap();
        assert!(timeout(SOON, share.cover(100 * UNIT)).await.is_ok(), "the only page waited");
        drop(share);
        assert!(timeout(SOON, allowance.take(4 * UNIT)).await.is_ok(), "the overdraft cost the allowance");
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_page_overdraws_and_the_next_goes_on_when_it_is_done() {
        let allowance = Allowance::new(4 * UNIT);
        let mut first = allowance.take(2 * UNIT).await;
        let mut second = allowance.take(2 * UNIT).await;
        first.cover(9 * UNIT).await;
        assert!(timeout(SOON, second.cover(3 * UNIT)).await.is_err(), "two pages overdrew at once");
        drop(first);
        assert!(timeout(SOON, second.cover(3 * UNIT)).await.is_ok(), "the second page never went on");
        assert!(second.overdrawn.is_none(), "it overdrew although there was enough");
    }
}
