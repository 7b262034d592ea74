//! What a process group was doing when its time ran out: busy or stuck.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pulse::{ProcessState, Pulse};

/// Read from `/proc` just before the group is killed. What could not be read is zero or empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostMortem {
    /// How long it ran, in seconds: its limit, and any time that it was given beyond for being busy.
    pub limit_seconds: f64,
    /// Whether it still moved in the last tenth of its limit: CPU time or I/O went on. One that did not is stuck.
    #[serde(default)]
    pub is_busy: bool,
    /// CPU time the group had used, in seconds.
    pub cpu_seconds: f64,
    /// Bytes the group had sent to storage.
    pub bytes_written: u64,
    /// Every process of the group.
    pub processes: Vec<ProcessState>,
    /// How far it had come with what it was known to have to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}

impl PostMortem {
    pub(super) fn new(pulse: Pulse, ran: Duration, is_busy: bool) -> Self {
        Self {
            // To the millisecond: it is read by people.
            limit_seconds: (ran.as_secs_f64() * 1e3).round() / 1e3,
            is_busy,
            cpu_seconds: pulse.cpu_seconds(),
            bytes_written: pulse.bytes_written,
            processes: pulse.processes,
            progress: None,
        }
    }

    /// "busy" or "stuck".
    pub fn word(&self) -> &'static str {
        match self.is_busy {
            true => "busy",
            false => "stuck",
        }
    }
}

impl fmt::Display for PostMortem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.progress.as_deref().unwrap_or("ran out of time");
        write!(
            formatter,
            "{}: {done} after {} s ({:.2} s CPU, {} bytes written",
            self.word(),
            self.limit_seconds,
            self.cpu_seconds,
            self.bytes_written
        )?;
        for process in &self.processes {
            write!(formatter, "; {} in state {}", process.name, process.state)?;
            if !matches!(process.wait_channel.as_str(), "" | "0") {
                write!(formatter, ", waiting in {}", process.wait_channel)?;
            }
        }
        formatter.write_str(")")
    }
}
