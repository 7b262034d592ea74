//! What a process group was doing when its time ran out: slow, busy or stuck.

use std::fmt;
use std::fs;
use std::time::Duration;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// Read from `/proc` just before the group is killed. What could not be read is zero or empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostMortem {
    /// The limit that was reached, in seconds.
    pub limit_seconds: f64,
    /// CPU time the group had used, in seconds.
    pub cpu_seconds: f64,
    /// Bytes the group had sent to storage.
    pub bytes_written: u64,
    /// Every process of the group.
    pub processes: Vec<ProcessState>,
}

/// One process of the group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessState {
    /// Its name, as the kernel keeps it (15 bytes).
    pub name: String,
    /// The kernel's letter: R running, S sleeping, D waiting for a device, T stopped, Z ended.
    pub state: String,
    /// The kernel function it waits in; "0" or empty when it runs or the kernel does not tell.
    pub wait_channel: String,
}

impl PostMortem {
    pub(super) fn of_group(leader: Pid, limit: Duration) -> Self {
        let mut post_mortem = Self {
            limit_seconds: limit.as_secs_f64(),
            cpu_seconds: 0.0,
            bytes_written: 0,
            processes: Vec::new(),
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let Some(process) = name
                .to_str()
                .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            else {
                continue;
            };
            post_mortem.add(process, leader);
        }
        post_mortem
    }

    fn add(&mut self, process: &str, leader: Pid) {
        let read =
            |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        // proc_pid_stat(5): pid (comm) state ppid pgrp ... utime is field 14, stime 15. The name may hold blanks and
        // parentheses, so fields are counted from the last ')'.
        let stat = read("stat");
        let Some((head, tail)) = stat.rsplit_once(')') else {
            return;
        };
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        };
        if number(2) != leader.as_raw_nonzero().get() as u64 {
            return;
        }
        let ticks = number(11) + number(12);
        self.cpu_seconds += ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        let written = read("io");
        let written = written
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        self.bytes_written += written
            .and_then(|bytes| bytes.trim().parse::<u64>().ok())
            .unwrap_or(0);
        self.processes.push(ProcessState {
            name: head
                .split_once('(')
                .map(|(_, name)| name)
                .unwrap_or_default()
                .to_owned(),
            state: fields.first().copied().unwrap_or_default().to_owned(),
            wait_channel: read("wchan"),
        });
    }
}

impl fmt::Display for PostMortem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "ran out of time after {} s ({:.2} s CPU, {} bytes written",
            self.limit_seconds, self.cpu_seconds, self.bytes_written
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
