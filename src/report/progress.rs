//! The progress of a campaign on standard error: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal;
use crate::base::prose::{counted, printable};
use crate::run::record::{Class, Record};

/// The interval between plain lines.
const PLAIN_LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The progress of one campaign.
pub struct Progress {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    done: u64,
    divergences: u64,
    inconclusive: u64,
    last_line: Instant,
}

impl Progress {
    /// Begins with no case completed; `total` is `None` if the number of cases depends on the time.
    pub fn new(total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let (bar, template) = match total {
                Some(total) => (
                    ProgressBar::new(total),
                    "{bar:30} {pos}/{len} {per_sec} {eta} {msg}",
                ),
                None => (ProgressBar::no_length(), "{pos} {per_sec} {elapsed} {msg}"),
            };
            let style = ProgressStyle::with_template(template);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            bar,
            total,
            done: 0,
            divergences: 0,
            inconclusive: 0,
            last_line: Instant::now(),
        }
    }

    /// Counts a completed case. A case that is neither a match nor known is printed in a line of its own.
    pub fn add(&mut self, record: &Record) {
        self.done += 1;
        self.divergences += u64::from(record.class().is_open());
        self.inconclusive += u64::from(record.class() == Class::Inconclusive);
        let figures = format!(
            "{}, {} inconclusive",
            counted(self.divergences, "divergence"),
            self.inconclusive
        );
        if let Some(bar) = &self.bar {
            bar.set_message(figures.clone());
            bar.inc(1);
        }
        let class = record.class();
        if matches!(
            class,
            Class::Divergence | Class::KnownElsewhere | Class::Flaky | Class::Inconclusive
        ) {
            self.print(&terminal::line(record));
        }
        if self.bar.is_none() && self.last_line.elapsed() >= PLAIN_LINE_INTERVAL {
            self.last_line = Instant::now();
            let so_far = match self.total {
                Some(total) => format!("{} of {}", self.done, counted(total, "case")),
                None => counted(self.done, "case"),
            };
            self.print(&format!("{so_far}, {figures}"));
        }
    }

    /// Counts a case that the resumed run completed.
    pub fn add_resumed(&mut self) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Hides the bar while `print` writes to the terminal.
    pub fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Removes the bar at the end of the campaign.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        let line = &*printable(line);
        match &self.bar {
            Some(bar) => bar.println(line),
            // Without a reader, nothing is lost.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }
}
