//! `--log`: a log for debugging the harness itself. It writes spans and events of the `tracing` crate to standard error.
//!
//! The log is off by default. Spans are `case` (level info), `operation` and `call` (debug) and `step` (trace); each line names the spans that
//! enclose it. No verdict and no report depends on the log, and tools never see it.

use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::base::error::{Error, Result};

/// Selects the spans and events that the log writes, by level and module.
#[derive(Clone, Debug)]
pub struct Filter(Targets);

impl FromStr for Filter {
    type Err = Error;

    /// Parses a comma-separated list of `LEVEL` and `MODULE=LEVEL`: `debug`, `info,imgduel::run=trace`. Refuses a module without a level, because
    /// a misspelled level would be taken for a module.
    fn from_str(text: &str) -> Result<Self> {
        let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        let is_sound = text.split(',').all(|part| match part.split_once('=') {
            Some((module, level)) => !module.is_empty() && is_level(level),
            None => is_level(part),
        });
        let filter = is_sound.then(|| text.parse().ok()).flatten();
        filter.map(Self).ok_or_else(|| {
            Error::usage(
                "write a level (off, error, warn, info, debug, trace) or MODULE=LEVEL, with commas, as in info,imgduel::run=trace",
            )
        })
    }
}

/// Starts the log with `filter`. Each span is written when it ends, with its duration. A second call has no effect.
pub fn begin(filter: &Filter) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE);
    // Fails when a log is already installed: each trial of the test target calls this, and the first one installs it.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(filter.0.clone())
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules_with_levels_are_accepted_and_misspelled_levels_are_refused() {
        for good in ["debug", "off", "info,imgduel::run=trace", "imgduel=debug"] {
            assert!(good.parse::<Filter>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "debgu",
            "imgduel::run",
            "imgduel=loud",
            "=debug",
            "info,",
        ] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
