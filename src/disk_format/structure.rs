//! Where the fields of an image's structures lie: what can be replaced in it, by name.
//!
//! Each format's room lays out an image into a [`Layout`]; [`damage`](crate::disk_format::damage) replaces what it names. The lists of
//! [`Structure`]s are also what `--fields` may name. No value is judged here: an image that is laid out was made by the reference.

/// A kind of structure of a format, and its fields.
#[derive(Debug)]
pub struct Structure {
    /// Its name, as the format's specification calls it.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [FieldKind],
}

/// A field of a structure.
#[derive(Debug)]
pub struct FieldKind {
    /// Its name, as the specification calls it.
    pub name: &'static str,
    /// Where it starts, in bytes from the start of the structure.
    pub offset: u64,
    /// Its length in bytes; 0 where that is another in every image.
    pub bytes: u64,
    /// What it holds.
    pub holds: Holds,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A number.
    Number,
    /// Bits that mean something each.
    Flags,
    /// A place in the file, in units of so many bytes; the bits of the mask mean something else.
    Offset {
        /// Bytes.
        unit: u64,
        /// The bits that are not part of the place.
        flags: u64,
    },
    /// Letters, or an identifier.
    Text,
}

impl FieldKind {
    /// A number of `bytes` at `offset`.
    pub const fn number(name: &'static str, offset: u64, bytes: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Number)
    }

    /// Bits.
    pub const fn flags(name: &'static str, offset: u64, bytes: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Flags)
    }

    /// Letters.
    pub const fn text(name: &'static str, offset: u64, bytes: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Text)
    }

    /// A place in the file.
    pub const fn place(name: &'static str, offset: u64, bytes: u64, unit: u64, flags: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Offset { unit, flags })
    }

    const fn new(name: &'static str, offset: u64, bytes: u64, holds: Holds) -> Self {
        Self {
            name,
            offset,
            bytes,
            holds,
        }
    }
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The most significant.
    Big,
    /// The least significant.
    Little,
}

/// A field of one image.
#[derive(Clone, Debug)]
pub struct Field {
    /// The structure it belongs to.
    pub structure: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Where it starts, in bytes from the start of the file.
    pub offset: u64,
    /// Its width in bits.
    pub bits: u64,
    /// The place of its lowest bit in its byte, for widths below 8.
    pub shift: u32,
    /// What it holds.
    pub holds: Holds,
}

/// A structure of one image.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its name.
    pub structure: &'static str,
    /// Where it starts, in bytes from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// A part of the file that is written as a whole, because a checksum is over it or because the tool that makes the image puts
/// other numbers into it every time.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Where it starts, in bytes from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Where the checksum is, counted from the seal's start, and how it is computed.
    pub sum: Option<(u64, Sum)>,
    /// Whether other numbers are in it every time, and readers choose between it and its like by them: when one is damaged, all are
    /// written, so that the same command damages another image made in the same way to the same effect.
    pub is_one_of_a_choice: bool,
}

/// How a checksum is computed, over its seal with the checksum's own four bytes taken as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// CRC-32C, little-endian ([MS-VHDX] 2.2.2).
    Crc32c,
    /// The complement of the sum of all bytes, big-endian (VHD specification 1.0, Hard Disk Footer Format, Checksum).
    ByteSum,
}

/// Everything that has a name in an image.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The byte order of its numbers.
    pub order: ByteOrder,
    /// Its fields. Of several of the same name, the first in the file is the first here.
    pub fields: Vec<Field>,
    /// Its structures.
    pub regions: Vec<Region>,
    /// Its seals; none lies over another.
    pub seals: Vec<Seal>,
}

impl Layout {
    /// Nothing yet.
    pub fn new(order: ByteOrder) -> Self {
        Self {
            order,
            fields: Vec::new(),
            regions: Vec::new(),
            seals: Vec::new(),
        }
    }

    /// A structure at `offset` with all of its fields that have a length; it ends where the last one does.
    pub fn add(&mut self, structure: &'static Structure, offset: u64) {
        self.add_fields(structure, offset);
        let ends = structure.fields.iter().map(|kind| kind.offset + kind.bytes);
        self.region(structure.name, offset, ends.max().unwrap_or_default());
    }

    /// The fields of a structure, which is a part of a region.
    pub fn add_fields(&mut self, structure: &'static Structure, offset: u64) {
        for kind in structure.fields.iter().filter(|kind| kind.bytes > 0) {
            self.fields.push(Field {
                structure: structure.name,
                name: kind.name,
                // A place beyond any file is outside this one too.
                offset: offset.saturating_add(kind.offset),
                bits: kind.bytes * 8,
                shift: 0,
                holds: kind.holds,
            });
        }
    }

    /// A field whose place or width is another in every image.
    pub fn add_field(
        &mut self,
        structure: &'static Structure,
        name: &str,
        offset: u64,
        bits: u64,
        shift: u32,
    ) {
        if let Some(kind) = structure.fields.iter().find(|kind| kind.name == name) {
            self.fields.push(Field {
                structure: structure.name,
                name: kind.name,
                offset,
                bits,
                shift,
                holds: kind.holds,
            });
        }
    }

    /// A structure's extent.
    pub fn region(&mut self, structure: &'static str, offset: u64, length: u64) {
        self.regions.push(Region {
            structure,
            offset,
            length,
        });
    }

    /// A part that is written as a whole.
    pub fn seal(&mut self, offset: u64, length: u64, sum: Option<(u64, Sum)>) {
        self.seals.push(Seal {
            offset,
            length,
            sum,
            is_one_of_a_choice: false,
        });
    }

    /// One of several such parts of which readers take the better one.
    pub fn seal_of_a_choice(&mut self, offset: u64, length: u64, sum: (u64, Sum)) {
        self.seals.push(Seal {
            offset,
            length,
            sum: Some(sum),
            is_one_of_a_choice: true,
        });
    }

    /// The unsigned number of `LENGTH` bytes at `offset`; bytes that are not there count as zero.
    pub fn number<const LENGTH: usize>(&self, bytes: &[u8], offset: u64) -> u64 {
        let byte = |place: u64| {
            let place = usize::try_from(place).ok();
            u64::from(
                place
                    .and_then(|place| bytes.get(place))
                    .copied()
                    .unwrap_or(0),
            )
        };
        let places = (0..LENGTH as u64).map(|place| match self.order {
            ByteOrder::Big => byte(offset.wrapping_add(place)),
            ByteOrder::Little => byte(offset.wrapping_add(LENGTH as u64 - 1 - place)),
        });
        places.fold(0, |number, byte| number << 8 | byte)
    }
}

/// Which entries of a table of `count` are worth a name each: the first ones, and the last.
pub fn entries_of_interest(count: u64) -> impl Iterator<Item = u64> {
    const FIRST: u64 = 24;
    let last = count.checked_sub(1).filter(|last| *last >= FIRST);
    (0..count.min(FIRST)).chain(last)
}
