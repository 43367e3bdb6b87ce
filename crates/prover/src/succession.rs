//! Who leads next: the leader is asked to go, and then its successor is killed. Neither comes back before another
//! one leads.
//!
//! Only at rest, since any trouble of a history excuses a stand-by; and only under the lease as it is, since the
//! promise is about seconds that nobody scales.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::{Error, judge, settings::LEASE_LIFE, trial::Trial};

/// What a stand-by may take when nobody gave the lease back.
const TAKE_OVER: Duration = Duration::from_secs(15);
/// And when somebody did: less than what is left of a lease in between two beats.
const HAND_OVER: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

impl Trial<'_> {
    pub(crate) async fn succeed(&mut self) -> Result<(), Error> {
        if self.stage.instances.len() < 2 || self.stage.climate.lease_life != LEASE_LIFE {
            return Ok(());
        }
        for (signal, name, patience) in
            [(Signal::TERM, "SIGTERM", HAND_OVER), (Signal::KILL, "SIGKILL", TAKE_OVER)]
        {
            let (leader, epoch) = self.stage.leader().await?;
            self.stage.instances[leader].signal(signal);
            let since = Instant::now();
            while self.stage.leader().await?.1 == epoch {
                if since.elapsed() > patience {
                    let seconds = patience.as_secs();
                    let what = format!("nobody took the lease within {seconds} s of its holder's {name}");
                    self.accuse(judge::SUCCESSION, what);
                    return Ok(());
                }
                self.pass(LOOK).await?;
                // It would be its own successor.
                self.restarts[leader] = None;
            }
            self.restarts[leader] = Some(Instant::now());
        }
        Ok(())
    }
}
