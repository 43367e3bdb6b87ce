use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{advance, timeout};

use spark_domain::job::Priority;

use super::*;

const HOUR: Duration = Duration::from_hours(1);
const STEP: Duration = Duration::from_millis(258);

/// The keeper in small: a next free moment that only grows, reserved in blocks of what is wanted.
async fn keep(control: PacerControl, rate: Duration, block: u32) {
    let mut next_free = Instant::now();
    loop {
        let wanted = u32::try_from(control.wanted().await).unwrap();
        next_free = next_free.max(Instant::now());
        let count = wanted.min(block);
        control.grant(next_free, rate, count);
        next_free += rate * count;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_not_served_before_its_time_and_not_ten_seconds_after() {
    let (pacer, control) = Pacer::new();
    let start = Instant::now();
    control.grant(start + Duration::from_secs(3), STEP, 1);
    let slot = pacer.acquire(Priority::Update).await;
    assert_eq!((slot.at(), Instant::now()), (start + Duration::from_secs(3), start + Duration::from_secs(3)));

    control.grant(Instant::now(), STEP, 1);
    advance(SLOT_LIFE + Duration::from_millis(1)).await;
    assert!(timeout(HOUR, pacer.acquire(Priority::Update)).await.is_err(), "an expired slot was served");
}

#[tokio::test(start_paused = true)]
async fn a_silence_holds_everybody_and_is_told_to_the_keeper() {
    let (pacer, control) = Pacer::new();
    let start = Instant::now();
    control.grant(start, STEP, 4);
    pacer.throttle(Duration::from_secs(5));
    pacer.throttle(Duration::from_secs(2));
    assert_eq!(control.throttled().await, Duration::from_secs(5), "the longer silence counts");
    let _ = pacer.acquire(Priority::Update).await;
    assert_eq!(Instant::now(), start + Duration::from_secs(5));
    assert!(timeout(HOUR, control.throttled()).await.is_err(), "one 429 was told twice");
}

#[tokio::test(start_paused = true)]
async fn the_keeper_is_asked_only_when_somebody_waits_without_a_slot() {
    let (pacer, control) = Pacer::new();
    assert!(timeout(HOUR, control.wanted()).await.is_err(), "asked though nobody waits");
    let mut waiters = JoinSet::new();
    for _ in 0..3 {
        let pacer = pacer.clone();
        waiters.spawn(async move { pacer.acquire(Priority::Bulk).await });
    }
    tokio::task::yield_now().await;
    assert_eq!(timeout(HOUR, control.wanted()).await, Ok(3));
    let start = Instant::now();
    control.grant(start + Duration::from_mins(1), STEP, 3);
    assert!(timeout(HOUR, control.wanted()).await.is_err(), "asked though there is a slot for each");
    assert_eq!(waiters.join_all().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn during_a_silence_the_keeper_is_asked_only_at_its_end() {
    let (pacer, control) = Pacer::new();
    let start = Instant::now();
    control.silence_until(start + Duration::from_mins(5));
    let waiter = pacer.acquire(Priority::Update);
    tokio::pin!(waiter);
    tokio::select! {
        biased;
        _ = &mut waiter => unreachable!("there is no slot"),
        wanted = control.wanted() => assert_eq!(wanted, 1),
    }
    assert_eq!(Instant::now(), start + Duration::from_secs(299));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_holds_up_nobody() {
    let (pacer, control) = Pacer::new();
    assert!(timeout(STEP, pacer.acquire(Priority::Update)).await.is_err());
    control.grant(Instant::now(), STEP, 1);
    assert!(
        timeout(STEP, pacer.acquire(Priority::Bulk)).await.is_ok(),
        "the one that left is still waited for"
    );
}

#[tokio::test(start_paused = true)]
async fn updates_go_first_and_bulk_still_gets_its_share() {
    let (pacer, control) = Pacer::new();
    let served: &'static [AtomicUsize; 3] = Box::leak(Box::default());
    let mut waiters = JoinSet::new();
    for (kind, priority) in [Priority::Update, Priority::Relations, Priority::Bulk].into_iter().enumerate() {
        for _ in 0..3 {
            let pacer = pacer.clone();
            waiters.spawn(async move {
                loop {
                    let _ = pacer.acquire(priority).await;
                    served[kind].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    tokio::task::yield_now().await;
    control.grant(Instant::now(), STEP, 600);
    tokio::time::sleep(STEP * 600).await;
    let [update, relations, bulk] = [0, 1, 2].map(|kind: usize| served[kind].load(Ordering::Relaxed));
    assert_eq!(update + relations + bulk, 600);
    assert!(bulk >= 90, "bulk got {bulk} of 600 slots, less than 15 %");
    assert_eq!(bulk, 100, "one slot in six");
    assert_eq!(relations, 0, "relations were served while an update waited");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The promise behind the budget row: rate = (limit - burst) / 310 s, and blocks that expire after 10 s.
    #[test]
    fn no_window_of_five_minutes_holds_more_than_the_limit(
        limit in 10_u32..400,
        block in 1_u32..10,
        pauses in proptest::collection::vec((0_u64..40_000, 0_u64..4), 20..120),
    ) {
        let burst = block.min(limit / 2).max(1);
        let rate = Duration::from_secs(310) / (limit - burst);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let sent = runtime.block_on(async move {
            let (pacer, control) = Pacer::new();
            let keeper = tokio::spawn(keep(control, rate, block));
            let sent: Arc<Mutex<Vec<Instant>>> = Arc::default();
            let mut askers = JoinSet::new();
            for chunk in pauses.chunks(10).map(<[_]>::to_vec) {
                let (pacer, sent) = (pacer.clone(), Arc::clone(&sent));
                askers.spawn(async move {
                    for (pause, kind) in chunk {
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                        let priority = [Priority::Update, Priority::Relations, Priority::Bulk][(pause % 3) as usize];
                        for _ in 0..=kind * 10 {
                            let slot = pacer.acquire(priority).await;
                            assert!(Instant::now() <= slot.expires() && Instant::now() >= slot.at());
                            sent.lock().unwrap().push(Instant::now());
                        }
                    }
                });
            }
            askers.join_all().await;
            keeper.abort();
            Arc::into_inner(sent).unwrap().into_inner().unwrap()
        });
        let window = Duration::from_mins(5);
        for (n, begin) in sent.iter().enumerate() {
            let held = sent[n..].iter().take_while(|at| **at < *begin + window).count();
            prop_assert!(held <= limit as usize, "{held} requests in five minutes, {limit} are allowed");
        }
    }
}
