//! What a guest sees in a written image, made of the recipe alone: nothing here looks at a file.

use std::collections::BTreeSet;
use std::ops::Range;

use super::HostFile;
use crate::image::content::{Contents, Fill, Write};

/// The pieces of a raw file, in bytes.
const FLAT_BYTES: u64 = 64 << 10;

/// A guest's view of an image: zeros, with writes in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guest {
    /// The virtual size in bytes.
    pub size: u64,
    writes: Vec<Write>,
}

impl Guest {
    /// Returns the view of `size` bytes of zeros.
    pub fn zeros(size: u64) -> Self {
        Self {
            size,
            writes: Vec::new(),
        }
    }

    /// Returns the view of an image of `size` bytes that lies on this one: beyond this one's end there are zeros.
    pub fn below(&self, size: u64) -> Self {
        Self {
            size,
            writes: self.clipped(size),
        }
    }

    /// Returns the view after these writes.
    pub fn after(mut self, writes: &[Write]) -> Self {
        self.writes.extend_from_slice(writes);
        Self {
            writes: self.clipped(self.size),
            ..self
        }
    }

    /// Returns the view in which these ranges, in bytes, are zeros.
    pub fn zeroed(self, ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let writes: Vec<Write> = ranges.into_iter().map(zeros_in).collect();
        self.after(&writes)
    }

    fn clipped(&self, size: u64) -> Vec<Write> {
        let writes = self.writes.iter();
        writes
            .filter_map(|write| write.within(0, size.min(self.size)))
            .collect()
    }

    /// Returns the bytes of a range; beyond the end there are zeros.
    pub fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for write in &self.writes {
            if let Some(part) = write.within(range.start, range.end) {
                let start = (part.offset - range.start) as usize;
                let bytes = &mut bytes[start..start + part.length as usize];
                part.fill.put(part.offset, bytes);
            }
        }
        bytes
    }

    /// Whether no write lies in this range of bytes, so that it is certainly zeros.
    pub fn is_zero(&self, range: Range<u64>) -> bool {
        let mut writes = self.writes.iter();
        !writes.any(|write| write.within(range.start, range.end).is_some())
    }

    /// Returns a raw file of this name with these contents.
    pub fn flat(&self, name: &str) -> HostFile {
        let mut file = HostFile::new(name);
        for unit in touched(&self.writes, FLAT_BYTES, self.size) {
            let start = unit * FLAT_BYTES;
            let end = (start + FLAT_BYTES).min(self.size);
            file.put(start, self.bytes(start..end));
        }
        file.length = self.size;
        file
    }

    /// Returns the writes that make it, in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Returns the contents, in the form in which those that a tool reads are compared.
    pub fn contents(&self) -> Contents {
        Contents::of_writes(self.size, &self.writes)
    }
}

fn zeros_in(range: Range<u64>) -> Write {
    Write {
        offset: range.start,
        length: range.end - range.start,
        fill: Fill::Byte(0),
    }
}

/// Returns the numbers of the units of `unit` bytes that the writes touch within `size` bytes.
pub fn touched(writes: &[Write], unit: u64, size: u64) -> BTreeSet<u64> {
    let within = writes.iter().filter_map(|write| write.within(0, size));
    within
        .flat_map(|write| {
            let last = (write.offset + write.length - 1) / unit;
            write.offset / unit..=last
        })
        .collect()
}
