//! Structures and fields of image formats, and the `Layout` that locates them in one image.
//!
//! Each format has a module that computes the layout of an image; [`damage`](crate::disk_format::damage) uses it to replace fields by name. The
//! flag `--fields` accepts the names of all `Structure`s. Values are not checked: the reference has just created the image.

/// A kind of structure of a format.
#[derive(Debug)]
pub struct Structure {
    /// The name in the format's specification.
    pub name: &'static str,
    /// The kinds of its fields.
    pub fields: &'static [FieldKind],
}

/// A kind of field of a structure.
#[derive(Debug)]
pub struct FieldKind {
    /// The name in the format's specification.
    pub name: &'static str,
    /// The offset of its first byte from the start of the structure, in bytes.
    pub offset: u64,
    /// Its length in bytes; 0 if the length differs from image to image.
    pub bytes: u64,
    /// The type of its value.
    pub holds: Holds,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// An unsigned integer.
    Number,
    /// Bits with a meaning each.
    Flags,
    /// An offset in the file, possibly with flags in the same field.
    Offset {
        /// The unit of the offset, in bytes.
        unit: u64,
        /// The mask of the bits that are flags, not part of the offset.
        flags: u64,
    },
    /// Text, or an identifier such as a GUID.
    Text,
    /// A hexadecimal number as text. A random one has decimal digits alone now and then, and is none of decimals all the same.
    Hexadecimal,
}

impl FieldKind {
    /// An integer of `bytes` bytes at `offset`.
    pub const fn number(name: &'static str, offset: u64, bytes: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Number)
    }

    /// Flags in `bytes` bytes at `offset`.
    pub const fn flags(name: &'static str, offset: u64, bytes: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Flags)
    }

    /// Text of `bytes` bytes at `offset`.
    pub const fn text(name: &'static str, offset: u64, bytes: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Text)
    }

    /// A hexadecimal number as text, of `bytes` bytes at `offset`.
    pub const fn hexadecimal(name: &'static str, offset: u64, bytes: u64) -> Self {
        Self::new(name, offset, bytes, Holds::Hexadecimal)
    }

    /// An offset in the file, in units of `unit` bytes, with the mask `flags` of other bits; stored in `bytes` bytes at `offset`.
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

/// The byte order of a format's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The most significant byte comes first.
    Big,
    /// The least significant byte comes first.
    Little,
}

/// A field of one image.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name of its structure.
    pub structure: &'static str,
    /// The name of its kind.
    pub name: &'static str,
    /// The offset of its first byte in the file, in bytes.
    pub offset: u64,
    /// Its width in bits.
    pub bits: u64,
    /// The position of its lowest bit within its byte, for widths below 8.
    pub shift: u32,
    /// The type of its value.
    pub holds: Holds,
}

/// A structure of one image.
#[derive(Clone, Debug)]
pub struct Region {
    /// The name of the structure.
    pub structure: &'static str,
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// A part of the file that a mutation rewrites as a whole, because a checksum covers it, or because the tool that creates the image writes
/// different numbers into it every time.
#[derive(Clone, Debug)]
pub struct ChecksummedRegion {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The offset of the checksum from the start of this part, in bytes, and the algorithm; `None` if no checksum covers it.
    pub sum: Option<(u64, Checksum)>,
    /// Whether this is one of several copies between which readers choose by numbers that differ in every image, such as sequence numbers. If a
    /// mutation changes one copy, it rewrites all of them, so that the same command has the same effect on another image of the same recipe.
    pub is_one_of_a_choice: bool,
}

/// A checksum algorithm. The sum covers the whole part, with the four bytes of the checksum itself taken as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// CRC-32C, little-endian ([MS-VHDX] 2.2.2).
    Crc32c,
    /// The one's complement of the sum of all bytes, big-endian (VHD specification 1.0, Hard Disk Footer Format, Checksum).
    ByteSum,
}

/// The locations of all named structures and fields in one image.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The byte order of the image's integers.
    pub order: ByteOrder,
    /// The fields. Fields of the same name are in the order in which they lie in the file.
    pub fields: Vec<Field>,
    /// The structures.
    pub regions: Vec<Region>,
    /// The parts that mutations rewrite as a whole; they do not overlap.
    pub seals: Vec<ChecksummedRegion>,
}

impl Layout {
    /// An empty layout.
    pub fn new(order: ByteOrder) -> Self {
        Self {
            order,
            fields: Vec::new(),
            regions: Vec::new(),
            seals: Vec::new(),
        }
    }

    /// Adds a structure at `offset` and all its fields of fixed length. The structure ends with its last field.
    pub fn add(&mut self, structure: &'static Structure, offset: u64) {
        self.add_fields(structure, offset);
        let ends = structure.fields.iter().map(|kind| kind.offset + kind.bytes);
        self.region(structure.name, offset, ends.max().unwrap_or_default());
    }

    /// Adds the fixed-length fields of a structure at `offset`, without a region for the structure itself.
    pub fn add_fields(&mut self, structure: &'static Structure, offset: u64) {
        for kind in structure.fields.iter().filter(|kind| kind.bytes > 0) {
            self.fields.push(Field {
                structure: structure.name,
                name: kind.name,
                // A corrupt table may give any offset; one that overflows is beyond the file anyway.
                offset: offset.saturating_add(kind.offset),
                bits: kind.bytes * 8,
                shift: 0,
                holds: kind.holds,
            });
        }
    }

    /// Adds the field `name` of a structure at the file offset `offset`, with `bits` bits whose lowest is bit `shift` of its byte. For fields
    /// whose location or width differs from image to image. Does nothing if the structure has no such field.
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

    /// Adds the region of a structure: `length` bytes at `offset`.
    pub fn region(&mut self, structure: &'static str, offset: u64, length: u64) {
        self.regions.push(Region {
            structure,
            offset,
            length,
        });
    }

    /// Adds a part that mutations rewrite as a whole, with the offset and the algorithm of its checksum, if any.
    pub fn seal(&mut self, offset: u64, length: u64, sum: Option<(u64, Checksum)>) {
        self.seals.push(ChecksummedRegion {
            offset,
            length,
            sum,
            is_one_of_a_choice: false,
        });
    }

    /// Adds one of several copies of a part, between which readers choose.
    pub fn seal_of_a_choice(&mut self, offset: u64, length: u64, sum: (u64, Checksum)) {
        self.seals.push(ChecksummedRegion {
            offset,
            length,
            sum: Some(sum),
            is_one_of_a_choice: true,
        });
    }

    /// The unsigned integer of `LENGTH` bytes at `offset` in `bytes`; bytes beyond their end count as zero.
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

/// The indices of the entries that a layout contains for a table of `count` entries: the first 24, and the last.
pub fn entries_of_interest(count: u64) -> impl Iterator<Item = u64> {
    const FIRST: u64 = 24;
    let last = count.checked_sub(1).filter(|last| *last >= FIRST);
    (0..count.min(FIRST)).chain(last)
}
