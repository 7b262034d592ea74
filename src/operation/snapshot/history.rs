//! What a guest must see after a chain of snapshots and writes, now and in every snapshot: plain bookkeeping of writes.
//!
//! Asked by the operation when it knows what the tools did. The rules by which an argument names a snapshot are those of
//! qemu-img from 4.0 on, measured with 10.0.2: `-d` takes a name only, `-a` an id before a name, and of several that fit the
//! first in the table. A new snapshot's id is one more than the highest there is.

use crate::image::content::Write;

/// An image's past.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// What was written, in order, into what the guest sees now.
    pub(super) active: Vec<Write>,
    /// The snapshots, in the order of the table.
    pub(super) snapshots: Vec<Taken>,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// Its id.
    pub(super) id: u64,
    /// Its name.
    name: String,
    /// What was written into what the guest saw then.
    pub(super) writes: Vec<Write>,
}

impl History {
    /// An image without snapshots into which this was written.
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

    fn write(byte: u8) -> Write {
        Write {
            offset: 0,
            length: 512,
            byte,
        }
    }

    /// Four snapshots: 1 "alpha" of byte 1, 2 "2" of byte 2, 3 "1" and 4 "alpha" of byte 3.
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
    fn deleting_takes_a_name_only_and_the_first_of_equals() {
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
    fn a_new_id_is_one_more_than_the_highest_there_is() {
        let mut history = measured();
        history.delete("alpha");
        history.delete("alpha");
        history.create("beta");
        let ids: Vec<u64> = history.snapshots.iter().map(|taken| taken.id).collect();
        assert_eq!(ids, [2, 3, 4]);
    }
}
