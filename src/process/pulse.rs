//! The activity of a process group: the resources that it has used, and whether it makes progress.
//!
//! Read from `/proc` while a call takes long. Two samples distinguish a busy tool from a stuck one: wall time alone
//! cannot, on a loaded machine or a slow disk.

use std::fs;
use std::io::Read;
use std::time::Duration;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// More bytes than `/proc/PID/stat` has: a name of 15 bytes and some fifty numbers.
pub(super) const STAT_BYTES: usize = 2048;

/// The processes of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kin {
    /// The leader of the group.
    pub(super) leader: Pid,
    /// The session of its server, if that serves this call alone; processes that left the group but not the session
    /// then count too.
    pub(super) session: Option<Pid>,
}

impl Kin {
    /// Whether a process of this number, group and session belongs to the call. The server, which leads the session,
    /// does not.
    fn has(self, process: u64, group: u64, session: u64) -> bool {
        let number = |id: Pid| id.as_raw_nonzero().get() as u64;
        let is_of = |own: Pid| number(own) == session && number(own) != process;
        group == number(self.leader) || self.session.is_some_and(is_of)
    }
}

/// The resources that a group has used so far. What could not be read is zero or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pulse {
    /// The CPU time in clock ticks.
    pub(super) ticks: u64,
    /// The bytes sent to storage.
    pub(super) bytes_written: u64,
    /// The bytes fetched from storage.
    bytes_read: u64,
    /// The number of system calls that read or wrote.
    calls: u64,
    /// The memory in use, in bytes.
    pub(super) memory_bytes: u64,
    /// Whether any of its threads runs or waits for a processor.
    wants_processor: bool,
    /// Whether any of its threads waits for a device.
    wants_device: bool,
    /// All processes of the group.
    pub(super) processes: Vec<ProcessState>,
    /// Their numbers.
    pub(super) numbers: Vec<u64>,
}

/// One process of the group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessState {
    /// The name, as the kernel keeps it (15 bytes).
    pub name: String,
    /// The kernel's letter: R running, S sleeping, D waiting for a device, T stopped, Z ended.
    pub state: String,
    /// The kernel function in which it waits; "0" or empty if it runs or the kernel does not report it.
    pub wait_channel: String,
}

impl Pulse {
    /// Samples all processes of the group.
    pub(super) fn of_group(kin: Kin) -> Self {
        Self::of_members(kin, |_| true)
    }

    /// Samples a group soon after its leader's start: only processes that were started after the leader are examined,
    /// because examining every process of a machine costs more than a short call.
    pub(super) fn of_young_group(kin: Kin) -> Self {
        let first = kin.leader.as_raw_nonzero().get() as u64;
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        // proc_loadavg(5): the fifth field is the most recent process id. Ids are assigned in increasing order, and
        // wrap around after the highest.
        let last = load.split_whitespace().nth(4);
        let last = last
            .and_then(|id| id.parse::<u64>().ok())
            .unwrap_or_default();
        match last < first {
            true => Self::of_members(kin, |id| id >= first || id <= last),
            false => Self::of_members(kin, |id| (first..=last).contains(&id)),
        }
    }

    fn of_members(kin: Kin, may_be: impl Fn(u64) -> bool) -> Self {
        let mut pulse = Self::default();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let process = name
                .to_str()
                .filter(|name| name.parse::<u64>().is_ok_and(&may_be));
            if let Some(process) = process {
                pulse.add(process, kin);
            }
        }
        pulse
    }

    /// Returns the CPU time in seconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Whether the group has made progress since `earlier`: CPU time or I/O increased, or a thread of it used, or only
    /// waits for, a processor or a device. On a loaded machine a thread may wait a long time, which is not the tool's
    /// fault.
    pub(super) fn has_moved_since(&self, earlier: &Self) -> bool {
        let counters = |pulse: &Self| {
            (
                pulse.ticks,
                pulse.bytes_written,
                pulse.bytes_read,
                pulse.calls,
            )
        };
        self.wants_processor || self.wants_device || counters(self) != counters(earlier)
    }

    /// Whether the group needs a processor and has had less than a quarter of one in this time, at whose beginning it
    /// had used `cpu_seconds_before`: then the machine is too slow.
    pub(super) fn is_starved(&self, cpu_seconds_before: f64, time: Duration) -> bool {
        let had = self.cpu_seconds() - cpu_seconds_before;
        self.wants_processor && had < time.as_secs_f64() / 4.0
    }

    fn add(&mut self, process: &str, kin: Kin) {
        let read =
            |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let mut buffer = [0; STAT_BYTES];
        let stat = stat_of(process, &mut buffer);
        let Some(Stat { name, fields }) = Stat::parse(stat) else {
            return;
        };
        let number = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        };
        if !kin.has(process.parse().unwrap_or(0), number(2), number(3)) {
            return;
        }
        self.ticks += number(11) + number(12);
        self.memory_bytes += number(21) * rustix::param::page_size() as u64;
        let io = read("io");
        let counter = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|count| count.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        self.bytes_written += counter("write_bytes: ");
        self.bytes_read += counter("read_bytes: ");
        self.calls += counter("syscr: ") + counter("syscw: ");
        for state in states_of_threads(process) {
            self.wants_processor |= state == "R";
            self.wants_device |= state == "D";
        }
        self.numbers.extend(process.parse::<u64>());
        self.processes.push(ProcessState {
            name: name.to_owned(),
            state: fields.first().copied().unwrap_or_default().to_owned(),
            wait_channel: read("wchan"),
        });
    }
}

/// The text of `/proc/PID/stat`, by one read: each look at a call asks every process of the machine, and the kernel writes the text anew for each read.
pub(super) fn stat_of<'buffer>(
    process: &str,
    buffer: &'buffer mut [u8; STAT_BYTES],
) -> &'buffer str {
    let opened = fs::File::open(format!("/proc/{process}/stat"));
    let length = opened.and_then(|mut file| file.read(buffer)).unwrap_or(0);
    // A name may be cut off within a character: such a process is passed over as one that has ended.
    std::str::from_utf8(&buffer[..length]).unwrap_or_default()
}

fn states_of_threads(process: &str) -> impl Iterator<Item = String> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            Some((*Stat::parse(&stat)?.fields.first()?).to_owned())
        })
}

/// The fields of `/proc/PID/stat`, proc_pid_stat(5): pid (comm) state ppid pgrp ... utime is field 14, stime 15, rss
/// 24. The name may contain blanks and parentheses, so fields are counted from the last ')': state is 0.
pub(super) struct Stat<'text> {
    name: &'text str,
    pub(super) fields: Vec<&'text str>,
}

impl<'text> Stat<'text> {
    pub(super) fn parse(text: &'text str) -> Option<Self> {
        let (head, tail) = text.rsplit_once(')')?;
        let name = head
            .split_once('(')
            .map(|(_, name)| name)
            .unwrap_or_default();
        Some(Self {
            name,
            fields: tail.split_whitespace().collect(),
        })
    }
}
