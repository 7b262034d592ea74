//! What a guest sees in one image of the model: its size, and runs of data of one fill.

use std::collections::BTreeMap;

use crate::image::content::{Contents, Fill, Write};

/// Mutable guest-visible contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The guest-visible size in bytes.
    pub size: u64,
    /// Start offset to (end offset, fill). Runs do not overlap, and none is of zeros.
    runs: BTreeMap<u64, (u64, Fill)>,
}

impl View {
    /// A view of `size` zero bytes.
    pub fn zeros(size: u64) -> Self {
        Self {
            size,
            runs: BTreeMap::new(),
        }
    }

    /// Fills [`start`, `end`), up to the end of the image.
    pub fn fill(&mut self, start: u64, end: u64, fill: impl Into<Fill>) {
        let fill = fill.into();
        let end = end.min(self.size);
        if start >= end {
            return;
        }
        let overlapping: Vec<(u64, (u64, Fill))> = self
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
        if !fill.is_zero() {
            self.runs.insert(start, (end, fill));
        }
    }

    /// A copy of `size` bytes: cut at the new end, or extended with zeros.
    pub fn resized(&self, size: u64) -> Self {
        let mut view = self.clone();
        view.fill(size, self.size, 0);
        view.size = size;
        view
    }

    /// Replaces the first `other.size` bytes with those of `other`, and grows to that size if necessary.
    pub fn cover(&mut self, other: &Self) {
        self.size = self.size.max(other.size);
        self.fill(0, other.size, 0);
        for (start, (end, fill)) in &other.runs {
            self.fill(*start, *end, *fill);
        }
    }

    /// A new view of the `length` bytes from `start`.
    pub fn window(&self, start: u64, length: u64) -> Self {
        let mut view = Self::zeros(length);
        for (from, (end, fill)) in &self.runs {
            let first = (*from).max(start);
            if first < *end {
                view.fill(first - start, end - start, fill.moved_down(start));
            }
        }
        view
    }

    /// The ranges [start, end) of non-zero bytes, in ascending order. Two ranges may be adjacent.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|(start, (end, _))| (*start, *end))
    }

    /// The run that contains `place`, as (start, end, fill); zeros between runs count as a run. Neighbouring runs may have the same fill.
    pub fn run_at(&self, place: u64) -> (u64, u64, Fill) {
        let before = self.runs.range(..=place).next_back();
        match before {
            Some((start, (end, fill))) if *end > place => (*start, *end, *fill),
            _ => {
                let start = before.map_or(0, |(_, (end, _))| *end);
                let next = self.runs.range(place..).next();
                (
                    start,
                    next.map_or(self.size, |(from, _)| *from),
                    Fill::Byte(0),
                )
            }
        }
    }

    /// Whether both views are equal after the shorter one is extended with zeros.
    pub fn shows_the_same(&self, other: &Self) -> bool {
        let size = self.size.max(other.size);
        self.resized(size).contents() == other.resized(size).contents()
    }

    /// Whether all bytes in [`start`, `end`) are zero.
    pub fn is_zero(&self, start: u64, end: u64) -> bool {
        let last = self.runs.range(..end).next_back();
        last.is_none_or(|(_, (stop, _))| *stop <= start)
    }

    /// The view in the form in which contents are compared.
    pub fn contents(&self) -> Contents {
        Contents::of_runs(self.size, &self.writes())
    }

    /// The writes that turn an empty image of this size into this view: ascending, without overlap.
    pub fn writes(&self) -> Vec<Write> {
        let runs = self.runs.iter().map(|(start, (end, fill))| Write {
            offset: *start,
            length: end - start,
            fill: *fill,
        });
        runs.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_in_the_middle_of_a_run_keeps_both_ends_of_the_run() {
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
    fn a_run_is_found_from_every_place_in_it() {
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
            let (start, end, byte) = run;
            assert_eq!(view.run_at(place), (start, end, Fill::Byte(byte)));
        }
    }

    #[test]
    fn a_window_moves_the_runs_within_it_and_drops_the_rest() {
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
