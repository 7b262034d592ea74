//! What a guest sees in one image: its size, and runs of equal bytes that are not zero.

use std::collections::BTreeMap;

use crate::image::content::{Contents, Write};

/// Guest-visible contents that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The guest-visible size in bytes.
    pub size: u64,
    /// By their start: end and byte. They do not overlap, and no byte is zero.
    runs: BTreeMap<u64, (u64, u8)>,
}

impl View {
    /// All zeros.
    pub fn zeros(size: u64) -> Self {
        Self {
            size,
            runs: BTreeMap::new(),
        }
    }

    /// Fills [`start`, `end`) with `byte`, as far as the image reaches.
    pub fn fill(&mut self, start: u64, end: u64, byte: u8) {
        let end = end.min(self.size);
        if start >= end {
            return;
        }
        let overlapping: Vec<(u64, (u64, u8))> = self
            .runs
            .range(..end)
            .rev()
            .take_while(|(_, (stop, _))| *stop > start)
            .map(|(from, run)| (*from, *run))
            .collect();
        for (from, (stop, old)) in overlapping {
            self.runs.remove(&from);
            if from < start {
                self.runs.insert(from, (start, old));
            }
            if stop > end {
                self.runs.insert(end, (stop, old));
            }
        }
        if byte != 0 {
            self.runs.insert(start, (end, byte));
        }
    }

    /// The same in another size: cut, or with zeros behind it.
    pub fn resized(&self, size: u64) -> Self {
        let mut view = self.clone();
        view.fill(size, self.size, 0);
        view.size = size;
        view
    }

    /// Lays `other` over it: all that `other` reaches is what it is there.
    pub fn cover(&mut self, other: &Self) {
        self.size = self.size.max(other.size);
        self.fill(0, other.size, 0);
        for (start, (end, byte)) in &other.runs {
            self.fill(*start, *end, *byte);
        }
    }

    /// What it shows from `start` on for `length` bytes, moved to the beginning.
    pub fn window(&self, start: u64, length: u64) -> Self {
        let mut view = Self::zeros(length);
        for (from, (end, byte)) in &self.runs {
            let first = (*from).max(start);
            if first < *end {
                view.fill(first - start, end - start, *byte);
            }
        }
        view
    }

    /// The ranges [start, end) that hold anything but zeros, in ascending order; adjacent ones may be told apart.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|(start, (end, _))| (*start, *end))
    }

    /// The range [start, end) of equal bytes, as far as it is known as one, in which `place` lies, and the byte.
    pub fn run_at(&self, place: u64) -> (u64, u64, u8) {
        let before = self.runs.range(..=place).next_back();
        match before {
            Some((start, (end, byte))) if *end > place => (*start, *end, *byte),
            _ => {
                let start = before.map_or(0, |(_, (end, _))| *end);
                let next = self.runs.range(place..).next();
                (start, next.map_or(self.size, |(from, _)| *from), 0)
            }
        }
    }

    /// Whether a guest sees the same in both, where the longer one has zeros behind the end of the other.
    pub fn shows_the_same(&self, other: &Self) -> bool {
        let size = self.size.max(other.size);
        self.resized(size).contents() == other.resized(size).contents()
    }

    /// Whether [`start`, `end`) holds nothing but zeros.
    pub fn is_zero(&self, start: u64, end: u64) -> bool {
        let last = self.runs.range(..end).next_back();
        last.is_none_or(|(_, (stop, _))| *stop <= start)
    }

    /// In the form in which readings are compared.
    pub fn contents(&self) -> Contents {
        let writes: Vec<Write> = self
            .runs
            .iter()
            .map(|(start, (end, byte))| Write {
                offset: *start,
                length: end - start,
                byte: *byte,
            })
            .collect();
        Contents::of_writes(self.size, &writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_in_the_middle_of_a_run_leaves_both_its_ends() {
        let mut view = View::zeros(1000);
        view.fill(100, 900, 1);
        view.fill(300, 500, 0);
        view.fill(500, 600, 2);
        assert!(view.is_zero(300, 500) && !view.is_zero(299, 500) && !view.is_zero(300, 501));
        let mut same = View::zeros(1000);
        same.fill(600, 900, 1);
        same.fill(500, 600, 2);
        same.fill(100, 300, 1);
        assert_eq!(view, same);
    }

    #[test]
    fn a_run_is_known_by_any_place_in_it() {
        let mut view = View::zeros(1000);
        view.fill(100, 300, 1);
        view.fill(300, 400, 2);
        for (place, run) in [
            (0, (0, 100, 0)),
            (100, (100, 300, 1)),
            (299, (100, 300, 1)),
            (300, (300, 400, 2)),
            (400, (400, 1000, 0)),
            (999, (400, 1000, 0)),
        ] {
            assert_eq!(view.run_at(place), run);
        }
    }

    #[test]
    fn a_window_moves_what_lies_in_it_and_cuts_the_rest() {
        let mut view = View::zeros(1000);
        view.fill(100, 300, 1);
        view.fill(600, 900, 2);
        let mut window = View::zeros(500);
        window.fill(0, 100, 1);
        window.fill(400, 500, 2);
        assert_eq!(view.window(200, 500), window);
        assert_eq!(window.runs().collect::<Vec<_>>(), [(0, 100), (400, 500)]);
        assert!(view.shows_the_same(&view.resized(2000)));
        assert!(!view.shows_the_same(&view.resized(899)));
    }

    #[test]
    fn fills_agree_with_a_plain_array_of_bytes() {
        let mut view = View::zeros(64);
        let mut bytes = [0_u8; 64];
        let mut state = 12345_u64;
        for _ in 0..500 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (start, length) = ((state >> 40) % 64, (state >> 50) % 20);
            let byte = ((state >> 33) % 4) as u8;
            let end = (start + length).min(64);
            view.fill(start, start + length, byte);
            bytes[start as usize..end as usize].fill(byte);
        }
        for (index, byte) in bytes.iter().enumerate() {
            let index = index as u64;
            assert_eq!(view.is_zero(index, index + 1), *byte == 0);
        }
    }
}
