//! The variables by which a prover has the program fail on purpose.

use spark_store::failpoint;

use crate::exit::{Exit, refuse};

const FAILPOINT: &str = "SPARK_REPLICATOR_FAILPOINT";

/// Arms what the environment asks for. What it asks for in vain would make a proof worthless, so it is refused.
pub(crate) fn arm() -> anyhow::Result<()> {
    if let Some(text) = std::env::var_os(FAILPOINT) {
        let failpoint = text.to_string_lossy().parse::<failpoint::Failpoint>();
        let failpoint = failpoint
            .map_err(|unreadable| refuse(Exit::Configuration, format!("{FAILPOINT}: {unreadable}")))?;
        failpoint::arm(failpoint);
    }
    Ok(())
}
