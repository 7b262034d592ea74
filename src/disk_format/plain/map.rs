//! How a guest's address space is mapped: mapped_ranges that follow each other, made from the image and what shows through it from below.

/// A range of the guest's address space that is mapped in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedRange {
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
    pub(super) mapped_ranges: Vec<MappedRange>,
    pub(super) size: u64,
}

impl Map {
    fn reached(&self) -> u64 {
        self.mapped_ranges.last().map_or(0, |last| last.end)
    }

    /// Adds a range up to `end`, within the image.
    pub(super) fn add(&mut self, end: u64, zero: bool, present: bool) {
        let (start, end) = (self.reached(), end.min(self.size));
        if start >= end {
            return;
        }
        match self.mapped_ranges.last_mut() {
            Some(last) if (last.zero, last.present) == (zero, present) => last.end = end,
            _ => self.mapped_ranges.push(MappedRange {
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
    pub(super) fn show(&mut self, below: &[MappedRange], end: u64) {
        let first = below.partition_point(|mapped| mapped.end <= self.reached());
        for mapped in &below[first..] {
            if self.reached() >= end {
                break;
            }
            self.add(mapped.end.min(end), mapped.zero, mapped.present);
        }
        self.add(end, true, false);
    }
}
