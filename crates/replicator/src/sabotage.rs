//! The variables by which a prover has the program fail on purpose.

use std::str::FromStr;

use crate::exit::{Exit, refuse};

#[cfg(feature = "failpoints")]
pub(crate) const FAILPOINT: &str = "SPARK_REPLICATOR_FAILPOINT";
#[cfg(feature = "breakages")]
pub(crate) const BREAKAGE: &str = "SPARK_REPLICATOR_BREAKAGE";

/// Prepares what the environment asks for.
pub(crate) fn prepare() -> anyhow::Result<()> {
    #[cfg(feature = "failpoints")]
    if let Some(failpoint) = asked_for(FAILPOINT)? {
        spark_store::failpoint::arm(failpoint);
    }
    #[cfg(feature = "breakages")]
    if let Some(breakage) = asked_for(BREAKAGE)? {
        spark_domain::breakage::switch_on(breakage);
    }
    Ok(())
}

/// What a variable asks for. What it asks for in vain would make a proof worthless, so it is refused.
fn asked_for<T: FromStr<Err: std::fmt::Display>>(variable: &str) -> anyhow::Result<Option<T>> {
    let Some(text) = std::env::var_os(variable) else { return Ok(None) };
    match text.to_string_lossy().parse() {
        Ok(asked) => Ok(Some(asked)),
        Err(error) => Err(refuse(Exit::Configuration, format!("{variable}: {error}"))),
    }
}
