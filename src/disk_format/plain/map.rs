//! How a guest's address space is mapped: stretches that follow each other, made from the image and what shows through it from below.

/// A range of the guest's address space that is mapped in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Guest offset in bytes.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// Whether it is known to read as zeros.
    pub zero: bool,
    /// Whether an image of the chain describes it.
    pub present: bool,
}

/// A map that is being made.
pub(super) struct Map {
    pub(super) stretches: Vec<Stretch>,
    pub(super) size: u64,
}

impl Map {
    fn reached(&self) -> u64 {
        self.stretches.last().map_or(0, |last| last.end)
    }

    /// Adds a stretch up to `end`, within the image.
    pub(super) fn add(&mut self, end: u64, zero: bool, present: bool) {
        let (start, end) = (self.reached(), end.min(self.size));
        if start >= end {
            return;
        }
        match self.stretches.last_mut() {
            Some(last) if (last.zero, last.present) == (zero, present) => last.end = end,
            _ => self.stretches.push(Stretch {
                start,
                end,
                zero,
                present,
            }),
        }
    }

    /// Adds zeros up to `end`.
    pub(super) fn fill_to(&mut self, end: u64, present: bool) {
        self.add(end, true, present);
    }

    /// Adds what the image below shows up to `end`, and zeros behind its end.
    pub(super) fn show(&mut self, below: &[Stretch], end: u64) {
        let first = below.partition_point(|stretch| stretch.end <= self.reached());
        for stretch in &below[first..] {
            if self.reached() >= end {
                break;
            }
            self.add(stretch.end.min(end), stretch.zero, stretch.present);
        }
        self.add(end, true, false);
    }
}
