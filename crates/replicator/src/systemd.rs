//! What systemd is told: that we stand, how we are, that we are alive, that we stop.
//!
//! Without `NOTIFY_SOCKET` all of it does nothing. READY means that configuration, listener and tasks stand; it
//! does not wait for the database or the feed, which may be away for hours. The watchdog is fed only while the
//! scheduler's loop lives: a bare timer would go on feeding it through a deadlock.

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// We stand.
pub(crate) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// How we are, for `systemctl status`.
pub(crate) fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// We stop.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Feeds the watchdog, twice as often as it must be, as long as `alive` says so.
pub(crate) async fn feed_watchdog(alive: impl Fn() -> bool + Send, stop: CancellationToken) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut beat = interval(period / 2);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        if alive() {
            send(&[NotifyState::Watchdog]);
        } else {
            warn!("the scheduler's loop stands still; the watchdog is not fed");
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(error = &error as &dyn std::error::Error, "systemd was not reached");
    }
}
