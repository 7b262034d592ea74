//! The source image of a case: its recipe, its expected guest-visible contents, and the model of what later steps do to them.
//!
//! The generations draw a recipe, the differential runner builds the image with qemu-img and qemu-io, and the judges compare against the
//! expected contents. Only `content` does I/O.

/// Image formats.
pub mod format;

/// Guest-visible contents, in a sparse form.
pub mod content;

/// Checks of the values in a case that was read from a file.
pub mod validity;

/// Guest-visible model: the expected contents of an image after any steps.
pub mod model;

/// Actions on dirty bitmaps.
pub mod bitmap_action;

/// The options to create or amend an image with.
pub mod options;

use serde::{Deserialize, Serialize};

use crate::base::simpler::{self, CaseSize};
use crate::base::size::Size;
use crate::image::content::{Contents, Write};
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Subformat};
use crate::image::validity::Validity;

/// A source image as a generation drew it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRecipe {
    /// The image format.
    pub format: Format,
    /// The virtual size to create the image with.
    pub virtual_size: Size,
    /// How the image is filled.
    pub pattern: Pattern,
    /// The cluster size in bytes, for qcow2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<u64>,
    /// The guest writes of [`Pattern::Random`], in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Vec<Write>>,
}

/// How a new image is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// No data.
    Zeros,
    /// One to four short runs of one byte.
    Random,
    /// No data: the Python harness has this pattern, but never wrote anything for it.
    Sparse,
    /// A partition table, in raw images only.
    Mbr,
}

/// Where the partition table lies in the master boot record: bytes 446 to 511 hold four entries and the signature.
const PARTITION_TABLE_OFFSET: u64 = 446;

/// The formats that an image can shrink to, the simplest first. A format that is not listed is less simple than both.
const SIMPLER_FORMATS: [Format; 2] = [Format::Raw, Format::Qcow2];

impl ImageRecipe {
    /// Checks a recipe that was read from a file.
    pub fn validity(&self) -> Validity {
        let size = self.virtual_size.bytes();
        validity::number("virtual_size", size, 1..=validity::BYTES_MAX)?;
        if let Some(bytes) = self.cluster_size {
            validity::cluster_size("cluster_size", bytes)?;
        }
        validity::writes("writes", self.writes())
    }

    /// The `-o` options to create the image with, in order.
    pub fn create_options(&self) -> CreateOptions {
        let option = match self.format {
            Format::Vmdk => Some(CreateOption::Subformat(Subformat::MonolithicSparse)),
            _ => self.cluster_size.map(CreateOption::ClusterSize),
        };
        option.into_iter().collect()
    }

    /// The guest writes, in order.
    pub fn writes(&self) -> &[Write] {
        self.writes.as_deref().unwrap_or_default()
    }

    /// The partition table of a raw image with [`Pattern::Mbr`], as (offset in bytes, bytes): one bootable entry of type 0x83 from sector 2048, then
    /// the signature. `None` for any other image.
    pub fn partition_table(&self) -> Option<(u64, [u8; 66])> {
        if self.pattern != Pattern::Mbr || self.format != Format::Raw {
            return None;
        }
        let mut table = [0; 66];
        table[..5].copy_from_slice(&[0x80, 0, 1, 0, 0x83]);
        table[8..12].copy_from_slice(&2048_u32.to_le_bytes());
        table[64..].copy_from_slice(&[0x55, 0xaa]);
        Some((PARTITION_TABLE_OFFSET, table))
    }

    /// The contents that a guest must see in the new image.
    pub fn contents(&self) -> Contents {
        let size = self.format.created_size(self.virtual_size.bytes());
        Contents::of_writes(size, &self.all_writes())
    }

    /// Everything that is written into the image, in order: the guest writes, then the partition table byte by byte.
    pub fn all_writes(&self) -> Vec<Write> {
        let table = self
            .partition_table()
            .into_iter()
            .flat_map(|(offset, bytes)| {
                let bytes = bytes.into_iter().enumerate();
                bytes.map(move |(index, byte)| Write {
                    offset: offset + index as u64,
                    length: 1,
                    byte,
                })
            });
        self.writes().iter().copied().chain(table).collect()
    }

    /// The size of the recipe, for the shrinker.
    pub fn case_size(&self) -> CaseSize {
        CaseSize {
            operations: 0,
            options: self.create_options().beyond_defaults(),
            writes: self.writes().len(),
        }
    }

    /// Shrink candidates of the recipe, those that remove most first.
    pub fn simpler(&self) -> Vec<Self> {
        let empty = |format| Self {
            format,
            virtual_size: Size::literal("1M"),
            pattern: Pattern::Zeros,
            cluster_size: None,
            writes: None,
        };
        let formats = || {
            SIMPLER_FORMATS
                .into_iter()
                .take_while(|format| *format != self.format)
        };
        let mut versions: Vec<Self> = formats().map(empty).collect();
        versions.push(empty(self.format));
        versions.extend(formats().map(|format| Self {
            format,
            cluster_size: None,
            ..self.clone()
        }));
        versions.push(Self {
            cluster_size: None,
            ..self.clone()
        });
        versions.extend(simpler::shorter(self.writes()).into_iter().map(|writes| {
            let pattern = if writes.is_empty() {
                Pattern::Zeros
            } else {
                self.pattern
            };
            let writes = (!writes.is_empty()).then_some(writes);
            Self {
                pattern,
                writes,
                ..self.clone()
            }
        }));
        versions.extend(
            simpler::sizes(&self.virtual_size)
                .into_iter()
                .flat_map(|virtual_size| {
                    let at_their_places = |write: &Write| write.within(0, virtual_size.bytes());
                    let at_the_start = |write: &Write| {
                        let start = Write {
                            offset: 0,
                            ..*write
                        };
                        at_their_places(write).or_else(|| start.within(0, virtual_size.bytes()))
                    };
                    let with = |writes: Vec<Write>| Self {
                        virtual_size: virtual_size.clone(),
                        writes: (!writes.is_empty()).then_some(writes),
                        ..self.clone()
                    };
                    [
                        with(self.writes().iter().filter_map(at_their_places).collect()),
                        with(self.writes().iter().filter_map(at_the_start).collect()),
                    ]
                }),
        );
        let simpler_writes = simpler::elementwise(self.writes(), Write::simpler);
        versions.extend(simpler_writes.into_iter().map(|writes| Self {
            writes: Some(writes),
            ..self.clone()
        }));
        versions.retain(|version| version != self);
        versions
    }
}
