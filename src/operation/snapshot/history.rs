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
mod tests {
    use super::*;
    use crate::image::content::Fill;

    fn write(byte: u8) -> Write {
        Write {
            offset: 0,
            length: 512,
            fill: Fill::Byte(byte),
        }
    }

    /// Returns four snapshots: 1 "alpha" of byte 1, 2 "2" of byte 2, 3 "1" and 4 "alpha" of byte 3.
    fn measured() -> History {
        let mut history = History::new(Vec::new());
        for (byte, names) in [(1, &["alpha"][..]), (2, &["2"]), (3, &["1", "alpha"])] {
            history.active.push(write(byte));
            names.iter().for_each(|name| history.create(name));
        }
        history
    }

    #[test]
    fn applying_takes_an_id_before_a_name_as_qemu_img_10_0_2_does() {
        for (argument, byte) in [
            ("1", 1),
            ("2", 2),
            ("3", 3),
            ("4", 3),
            ("alpha", 1),
            ("5", 9),
        ] {
            let mut history = measured();
            history.active.push(write(9));
            history.apply(argument);
            assert_eq!(history.active.last(), Some(&write(byte)), "{argument}");
        }
    }

    #[test]
    fn deleting_takes_only_a_name_and_of_equal_names_the_first() {
        for (argument, left) in [
            ("1", vec![1, 2, 4]),
            ("2", vec![1, 3, 4]),
            ("3", vec![1, 2, 3, 4]),
            ("alpha", vec![2, 3, 4]),
        ] {
            let mut history = measured();
            history.delete(argument);
            let ids: Vec<u64> = history.snapshots.iter().map(|taken| taken.id).collect();
            assert_eq!(ids, left, "{argument}");
        }
    }

    #[test]
    fn a_new_id_is_the_highest_existing_id_plus_one() {
        let mut history = measured();
        history.delete("alpha");
        history.delete("alpha");
        history.create("beta");
        let ids: Vec<u64> = history.snapshots.iter().map(|taken| taken.id).collect();
        assert_eq!(ids, [2, 3, 4]);
    }
}
