//! Contents from writes, and writes from contents: recipes and the model say what a guest sees by writes, scripts write it out.

use std::collections::BTreeMap;

use super::{BLOCK_BYTES, Contents, ContentsBuilder, Fill, Texture, Write};

/// The most writes that [`Contents::writes`] returns for contents that were read.
const WRITES_MAX: usize = 4096;

/// The most non-zero bytes that [`Contents::writes`] expresses as writes.
const WRITES_BYTES_MAX: u64 = 1 << 29;

impl Contents {
    /// The contents of an image of `size` zero bytes after `writes`, which are ascending and do not overlap. No more than a block is held at a
    /// time.
    pub fn of_runs(size: u64, writes: &[Write]) -> Self {
        let mut builder = ContentsBuilder::new(size);
        let mut block = [0; BLOCK_BYTES as usize];
        // The block that is being filled; a write may end in it and the next one begin.
        let mut open = None;
        for write in writes {
            let mut offset = write.offset;
            let end = write.offset.saturating_add(write.length).min(size);
            while offset < end {
                let index = offset / BLOCK_BYTES;
                if let Some(done) = open.filter(|done| *done != index) {
                    builder.add_whole(done, 1, &block);
                    open = None;
                }
                let start = offset % BLOCK_BYTES;
                let whole = (end - offset) / BLOCK_BYTES;
                if let (Fill::Byte(byte), 0, 2..) = (write.fill, start, whole) {
                    block.fill(byte);
                    builder.add_whole(index, whole, &block);
                    offset += whole * BLOCK_BYTES;
                    continue;
                }
                if open.is_none() {
                    block.fill(0);
                    open = Some(index);
                }
                let stop = (start + (end - offset)).min(BLOCK_BYTES);
                write
                    .fill
                    .put(offset, &mut block[start as usize..stop as usize]);
                offset += stop - start;
            }
        }
        if let Some(done) = open {
            builder.add_whole(done, 1, &block);
        }
        let made_by = Some(writes.into());
        Self {
            made_by,
            ..builder.finish()
        }
    }

    /// The contents of an image of `size` zero bytes after `writes`, in order.
    pub fn of_writes(size: u64, writes: &[Write]) -> Self {
        let mut blocks: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for write in writes {
            let mut offset = write.offset;
            let end = (write.offset + write.length).min(size);
            while offset < end {
                let block = blocks
                    .entry(offset / BLOCK_BYTES)
                    .or_insert_with(|| vec![0; BLOCK_BYTES as usize]);
                let start = offset % BLOCK_BYTES;
                let stop = (start + (end - offset)).min(BLOCK_BYTES);
                write
                    .fill
                    .put(offset, &mut block[start as usize..stop as usize]);
                offset += stop - start;
            }
        }
        let mut builder = ContentsBuilder::new(size);
        for (index, block) in &blocks {
            builder.add(index * BLOCK_BYTES, block);
        }
        builder.finish()
    }

    /// Writes that turn an empty image of this size into these contents: those that made it, if they are known. `None` if the contents are
    /// larger than [`WRITES_BYTES_MAX`], if a run has no sample, or if it takes more than [`WRITES_MAX`].
    pub fn writes(&self) -> Option<Vec<Write>> {
        if self.non_zero_bytes() > WRITES_BYTES_MAX {
            return None;
        }
        if let Some(writes) = &self.made_by {
            // What a guest sees in an image from outside is no recipe that could be written down.
            let is_outside = |write: &Write| match write.fill {
                Fill::Data(recipe) => recipe.texture == Texture::Outside,
                Fill::Byte(_) => false,
            };
            return (!writes.iter().any(is_outside)).then(|| writes.to_vec());
        }
        let mut writes: Vec<Write> = Vec::new();
        for run in &self.runs {
            let sample = run.sample.as_ref()?;
            let blocks = (run.first..run.first + run.count).map(|block| block * BLOCK_BYTES);
            let bytes = blocks.flat_map(|block| (block..).zip(sample.iter().copied()));
            for (offset, byte) in bytes.filter(|(offset, byte)| *byte != 0 && *offset < self.size) {
                if writes.len() > WRITES_MAX {
                    return None;
                }
                match writes.last_mut() {
                    Some(last)
                        if last.fill == Fill::Byte(byte) && last.offset + last.length == offset =>
                    {
                        last.length += 1;
                    }
                    _ => writes.push(Write {
                        offset,
                        length: 1,
                        fill: Fill::Byte(byte),
                    }),
                }
            }
        }
        Some(writes)
    }
}
