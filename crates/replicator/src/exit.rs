//! What the program ends with. Scripts and systemd act on these numbers, so they never change their meaning.

use std::process::ExitCode;

use spark_domain::Recovery;
use spark_fetcher::grant::GrantError;
use spark_scheduler::JobError;
use spark_simulator::postgres::PostgresError;

use crate::config;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is done.
    Done,
    /// It failed, and repeating it changes nothing.
    Failed,
    /// The command line was not understood; clap says so itself.
    Usage,
    /// Some resource failed, the rest is done.
    Partial,
    /// `status`: something is further behind than allowed.
    Stale,
    /// The database or the feed does not answer.
    Unavailable,
    /// Not now: another instance is at it.
    Temporary,
    /// The token or the database's password was refused.
    Denied,
    /// The configuration is wrong; systemd does not restart us then.
    Configuration,
    /// Ended by a second SIGINT.
    Interrupted,
    /// Ended by a second SIGTERM.
    Terminated,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Stale => 4,
            Self::Unavailable => 69,
            Self::Temporary => 75,
            Self::Denied => 77,
            Self::Configuration => 78,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// How an error ends the program: the first cause in its chain that knows decides.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Failed)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return Some(refusal.exit);
        }
        if let Some(error) = cause.downcast_ref::<spark_store::Error>() {
            return Some(Self::of_store(error));
        }
        if let Some(error) = cause.downcast_ref::<spark_fetcher::Error>() {
            return Some(Self::of_feed(error));
        }
        if let Some(error) = cause.downcast_ref::<GrantError>() {
            return Some(Self::of_grant(error));
        }
        if let Some(JobError::LeaseLost | JobError::Cancelled) = cause.downcast_ref() {
            return Some(Self::Temporary);
        }
        if let Some(PostgresError::NotInstalled | PostgresError::NoOtherUser) = cause.downcast_ref() {
            return Some(Self::Unavailable);
        }
        let configured = cause.is::<config::Error>() || cause.is::<spark_fetcher::SettingsError>();
        configured.then_some(Self::Configuration)
    }

    fn of_feed(error: &spark_fetcher::Error) -> Self {
        match error.recovery() {
            Recovery::SignIn => Self::Denied,
            Recovery::Retry { .. } | Recovery::WaitForSync => Self::Unavailable,
            Recovery::Shrink | Recovery::StartOver | Recovery::TurnOff | Recovery::GiveUp => Self::Failed,
        }
    }

    fn of_grant(error: &GrantError) -> Self {
        match error {
            GrantError::Void(_) | GrantError::Misconfigured(_) | GrantError::Refused(_) => Self::Denied,
            GrantError::Throttled { .. } | GrantError::Unsent(_) | GrantError::Unknown { .. } => {
                Self::Unavailable
            }
        }
    }

    fn of_store(error: &spark_store::Error) -> Self {
        use spark_store::Error;
        match error {
            Error::Unreachable(_) => Self::Unavailable,
            Error::Busy(_) | Error::LeaseLost { .. } => Self::Temporary,
            Error::Denied(_) => Self::Denied,
            Error::BadUrl(_) => Self::Configuration,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// An error that knows how the program should end.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    exit: Exit,
    message: String,
}

/// An error with a message and an end.
pub(crate) fn refuse(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    Refusal { exit, message: message.into() }.into()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_numbers_are_those_that_are_documented() {
        let table = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Partial, 3),
            (Exit::Stale, 4),
            (Exit::Unavailable, 69),
            (Exit::Temporary, 75),
            (Exit::Denied, 77),
            (Exit::Configuration, 78),
            (Exit::Interrupted, 130),
            (Exit::Terminated, 143),
        ];
        let help = crate::cli::Cli::command_help();
        for (exit, code) in table {
            assert_eq!(exit.code(), code, "{exit:?}");
            assert!(help.contains(&format!("{code}")), "{code} is not in the help");
        }
    }

    #[test]
    fn the_cause_deep_in_a_chain_decides() {
        let error = refuse(Exit::Denied, "no").context("outer").context("outermost");
        assert_eq!(Exit::of(&error), Exit::Denied);
        let invalid: anyhow::Error = config::Error::Invalid(Vec::new()).into();
        assert_eq!(Exit::of(&invalid.context("while starting")), Exit::Configuration);
        let plain: anyhow::Result<()> = Err(anyhow::anyhow!("what")).context("ever");
        assert_eq!(plain.map_err(|error| Exit::of(&error)), Err(Exit::Failed));
    }
}
