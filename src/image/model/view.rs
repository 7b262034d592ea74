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
mod tests;
