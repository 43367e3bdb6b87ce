//! The log: lines on stderr, text for a person at a terminal and JSON for everybody else.

use std::io::{IsTerminal, stderr};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Log;
use crate::config::log::Format;

/// Starts writing. `count` is called for every line that the filter lets pass, with its level in lower case.
pub(crate) fn start(
    log: &Log,
    count: impl Fn(&'static str) + Send + Sync + 'static,
) -> Result<(), TryInitError> {
    let terminal = stderr().is_terminal();
    let json = match log.format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // One filter for the whole registry, so that only what is written is counted.
    let registry = tracing_subscriber::registry()
        .with(EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new(Log::FILTER)))
        .with(Counter(count));
    let lines = fmt::layer().with_writer(stderr);
    if json {
        registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init()
    } else {
        registry.with(lines.with_ansi(color).with_target(false)).try_init()
    }
}

/// Counts events by level.
struct Counter<F>(F);

impl<S: Subscriber, F: Fn(&'static str) + 'static> Layer<S> for Counter<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        (self.0)(match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn only_lines_that_pass_the_filter_are_counted() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let count = {
            let seen = Arc::clone(&seen);
            move |level| {
                if let Ok(mut seen) = seen.lock() {
                    seen.push(level);
                }
            }
        };
        let registry =
            tracing_subscriber::registry().with(EnvFilter::new("info,loud=warn")).with(Counter(count));
        tracing::subscriber::with_default(registry, || {
            tracing::info!("counted");
            tracing::debug!("too quiet");
            tracing::info!(target: "loud", "filtered");
            tracing::error!(target: "loud", "counted");
        });
        assert_eq!(seen.lock().map(|seen| seen.clone()).unwrap_or_default(), ["info", "error"]);
    }
}
