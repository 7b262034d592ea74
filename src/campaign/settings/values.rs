//! Parses the values of settings and checks their ranges.
//!
//! The settings and the flags of the test target use these parsers. Values out of range would lead to a panic, a hang or exhausted memory,
//! so each error names the range. Names of generations and tools are checked where they are looked up.

use std::time::Duration;

use crate::base::error::{Error, Result};
use crate::case::generation::ITERATION_MAX;
use crate::process::CHILD_ENVIRONMENT;

/// The maximum time limit of one tool call in seconds: one day. A call may be allowed ten times the limit, and sums must not overflow.
const TIMEOUT_MAX_SECONDS: f64 = 86_400.0;

/// The minimum time limit of one tool call in seconds: no program finishes in less.
const TIMEOUT_MIN_SECONDS: f64 = 0.001;

/// The maximum number of cases or trials at a time. Each needs one or two threads and its own processes.
const JOBS_MAX: usize = 1024;

/// Parses the value of a switch, as environment variables set it.
pub fn switch(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "y" | "t" => Ok(true),
        "0" | "false" | "no" | "off" | "n" | "f" => Ok(false),
        _ => Err(Error::usage(
            "write 1 or 0 (or true, false, yes, no, on, off)",
        )),
    }
}

/// Parses the name of a variable for `--pass-env`. Fails for variables that imgduel sets itself.
pub(super) fn variable(text: &str) -> Result<String> {
    let is_own = |name: &str| CHILD_ENVIRONMENT.iter().any(|(own, _)| *own == name);
    let is_ours = ["PATH", "TMPDIR", "LD_PRELOAD", "LD_BIND_NOW"].contains(&text)
        || is_own(text)
        || text.starts_with("IMGDUEL_");
    if is_ours {
        return Err(Error::usage("imgduel sets this variable for tools itself"));
    }
    let is_name = !text.is_empty() && !text.contains(['=', '\0']);
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(Error::usage("this is not the name of a variable")),
    }
}

/// Parses a seed. The sign is ignored, as in Python's Random.
pub(super) fn seed(text: &str) -> Result<u64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .ok_or_else(|| Error::usage("a seed is a whole number of at most 64 bits"))
}

/// Parses the time limit of one tool call in seconds.
pub(super) fn seconds(text: &str) -> Result<Duration> {
    let seconds = text.parse::<f64>().ok();
    let seconds =
        seconds.filter(|seconds| (TIMEOUT_MIN_SECONDS..=TIMEOUT_MAX_SECONDS).contains(seconds));
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| {
        Error::usage(format!(
            "a timeout is a number of seconds above 0, from {TIMEOUT_MIN_SECONDS} to {TIMEOUT_MAX_SECONDS}"
        ))
    })
}

/// Parses a number of jobs.
pub fn jobs(text: &str) -> Result<usize> {
    let jobs = text.parse().ok();
    let jobs = jobs.filter(|jobs| (1..=JOBS_MAX).contains(jobs));
    jobs.ok_or_else(|| Error::usage(format!("write a whole number above 0, up to {JOBS_MAX}")))
}

/// Parses a number of cases.
pub(super) fn iterations(text: &str) -> Result<u64> {
    let most = ITERATION_MAX + 1;
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| Error::usage(format!("write a whole number above 0, up to {most}")))
}

/// Parses the number of an iteration.
pub(super) fn iteration(text: &str) -> Result<u64> {
    let number = text.parse().ok().filter(|number| *number <= ITERATION_MAX);
    number.ok_or_else(|| Error::usage(format!("iterations are numbered from 0 to {ITERATION_MAX}")))
}

#[cfg(test)]
mod tests;
