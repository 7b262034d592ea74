//! The state of a process group at its timeout: busy or stuck.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pulse::{ProcessState, Pulse};

/// Read from `/proc` just before the group is killed. What could not be read is zero or empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostMortem {
    /// How long it ran, in seconds: its limit, plus any extension for being busy.
    pub limit_seconds: f64,
    /// Whether CPU time or I/O progressed in the last tenth of its limit. A group without progress is stuck.
    #[serde(default)]
    pub is_busy: bool,
    /// The CPU time of the group, in seconds.
    pub cpu_seconds: f64,
    /// The bytes that the group sent to storage.
    pub bytes_written: u64,
    /// All processes of the group.
    pub processes: Vec<ProcessState>,
    /// The progress of its expected work, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}

impl PostMortem {
    pub(super) fn new(pulse: Pulse, ran: Duration, is_busy: bool) -> Self {
        Self {
            // Rounded to milliseconds for people.
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
