//! Tracks what a guest must see after a chain of snapshots and writes, in the image and in every snapshot, as lists of
//! writes.
//!
//! The operation uses it once it knows which commands succeeded. An argument selects a snapshot as in qemu-img from 4.0
//! on, measured with 10.0.2: `-d` takes only a name, `-a` prefers an id to a name, and of several matches the first in
//! the table counts. A new snapshot's id is the highest existing id plus one.

use crate::image::content::Write;

/// The history of an image.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// The writes that determine what the guest sees now, in order.
    pub(super) active: Vec<Write>,
    /// The snapshots, in the order of the table.
    pub(super) snapshots: Vec<Taken>,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The id.
    pub(super) id: u64,
    /// The name.
    name: String,
    /// The writes that determine what the guest saw when it was taken.
    pub(super) writes: Vec<Write>,
}

impl History {
    /// Returns an image without snapshots and with these writes.
    pub(super) fn new(writes: Vec<Write>) -> Self {
        Self {
            active: writes,
            snapshots: Vec::new(),
        }
    }

    /// `-c NAME`.
    pub(super) fn create(&mut self, name: &str) {
        let highest = self.snapshots.iter().map(|taken| taken.id).max();
        self.snapshots.push(Taken {
            id: highest.unwrap_or(0) + 1,
            name: name.to_owned(),
            writes: self.active.clone(),
        });
    }

    /// `-d NAME`.
    pub(super) fn delete(&mut self, name: &str) {
        if let Some(place) = self.snapshots.iter().position(|taken| taken.name == name) {
            self.snapshots.remove(place);
        }
    }

    /// `-a ARGUMENT`.
    pub(super) fn apply(&mut self, argument: &str) {
        let by_id = |taken: &&Taken| taken.id.to_string() == argument;
        let by_name = |taken: &&Taken| taken.name == argument;
        let snapshots = &self.snapshots;
        let found = snapshots.iter().find(by_id);
        if let Some(taken) = found.or_else(|| snapshots.iter().find(by_name)) {
            self.active = taken.writes.clone();
        }
    }
}

#[cfg(test)]
mod tests;
