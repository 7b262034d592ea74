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

/// The recipe of a dmg.
pub mod dmg;

/// The image from outside with which a case begins.
pub mod outside;

/// The unusual features that a valid image may have.
pub mod unusual_feature;

use serde::{Deserialize, Serialize};

use crate::base::size::Size;
use crate::base::variants::{self, CaseSize};
use crate::image::content::{Contents, Fill, Write};
use crate::image::dmg::DmgRecipe;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Subformat};
use crate::image::validity::Validity;

/// A source image as a generation drew it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRecipe {
    /// The image format.
    pub format: Format,
    /// The virtual size to create the image with; `None` for a dmg, whose chunks determine it, and where there is no image.
    pub virtual_size: Option<Size>,
    /// How the image is filled; `None` for a dmg, and where there is no image.
    pub pattern: Option<Pattern>,
    /// The cluster size in bytes, for qcow2 and parallels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<u64>,
    /// Whether a vdi has its full length from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#static: Option<bool>,
    /// The guest writes of [`Pattern::Random`], in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Vec<Write>>,
    /// Whether a qcow is converted into one with compressed clusters after the writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<bool>,
    /// The chunks of a dmg.
    #[serde(flatten)]
    pub dmg: Option<DmgRecipe>,
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
    /// The recipe of an empty image, or one with these writes.
    pub fn plain(format: Format, virtual_size: Size) -> Self {
        Self {
            virtual_size: Some(virtual_size),
            pattern: Some(Pattern::Zeros),
            ..Self::none(format)
        }
    }

    /// The recipe of a dmg.
    pub fn of_dmg(dmg: DmgRecipe) -> Self {
        Self {
            dmg: Some(dmg),
            ..Self::none(Format::Dmg)
        }
    }

    /// No image: nothing in the case reads one.
    pub fn absent() -> Self {
        Self::none(Format::Raw)
    }

    /// Whether there is no image.
    pub fn is_absent(&self) -> bool {
        *self == Self::absent()
    }

    fn none(format: Format) -> Self {
        Self {
            format,
            virtual_size: None,
            pattern: None,
            cluster_size: None,
            r#static: None,
            writes: None,
            compressed: None,
            dmg: None,
        }
    }

    /// Checks a recipe that was read from a file.
    pub fn validity(&self) -> Validity {
        let Some(dmg) = &self.dmg else {
            return self.validity_of_created();
        };
        if self.format != Format::Dmg || self.virtual_size.is_some() || self.pattern.is_some() {
            return Err(
                " has chunks: only a dmg has them, whose virtual_size and pattern are null"
                    .to_owned(),
            );
        }
        dmg.validity()
    }

    /// Checks a recipe of an image that a tool creates.
    fn validity_of_created(&self) -> Validity {
        if self.format == Format::Dmg {
            return Err(
                " is a dmg without chunks, resource_fork and sectors: write them, as imgduel show does"
                    .to_owned(),
            );
        }
        if self.virtual_size.is_none() || self.pattern.is_none() {
            return Err(" has no virtual_size or no pattern: write both".to_owned());
        }
        let size = self.requested_bytes();
        validity::number("virtual_size", size, 1..=validity::BYTES_MAX)?;
        if let Some(bytes) = self.cluster_size {
            validity::cluster_size("cluster_size", bytes)?;
        }
        validity::writes("writes", self.writes())
    }

    /// The virtual size that is asked for, in bytes.
    fn requested_bytes(&self) -> u64 {
        let own = self.virtual_size.as_ref().map_or(0, Size::bytes);
        self.dmg.as_ref().map_or(own, DmgRecipe::bytes)
    }

    /// The virtual size that the image has, in bytes.
    pub fn created_bytes(&self) -> u64 {
        self.format.created_size(self.requested_bytes())
    }

    /// The virtual size to create the image with. Of a dmg, which no tool creates, it is the one that it has.
    pub fn size_to_create(&self) -> Size {
        let of_chunks = || Size::of_bytes(self.requested_bytes());
        self.virtual_size.clone().unwrap_or_else(of_chunks)
    }

    /// Whether the finished image is converted into one with compressed clusters.
    pub fn is_compressed(&self) -> bool {
        self.compressed == Some(true)
    }

    /// The `-o` options to create the image with, in order.
    pub fn create_options(&self) -> CreateOptions {
        let option = match self.format {
            Format::Vmdk => Some(CreateOption::Subformat(Subformat::MonolithicSparse)),
            Format::Vdi => (self.r#static == Some(true)).then_some(CreateOption::Static(true)),
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
        if self.pattern != Some(Pattern::Mbr) || self.format != Format::Raw {
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
        self.contents_within(0, self.created_bytes())
    }

    /// What a guest must see of the `length` bytes from `start` on, as an image of that many bytes.
    pub fn contents_within(&self, start: u64, length: u64) -> Contents {
        if let Some(dmg) = &self.dmg {
            return dmg.contents_within(start, length);
        }
        let all = self.all_writes().into_iter();
        let moved = all.filter_map(|write| {
            let write = write.within(start, start.saturating_add(length))?;
            Some(Write {
                offset: write.offset - start,
                ..write
            })
        });
        Contents::of_writes(length, &moved.collect::<Vec<Write>>())
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
                    fill: Fill::Byte(byte),
                })
            });
        self.writes().iter().copied().chain(table).collect()
    }

    /// The size of the recipe, for the shrinker.
    pub fn case_size(&self) -> CaseSize {
        CaseSize {
            operations: 0,
            options: self.create_options().beyond_defaults() + usize::from(self.is_compressed()),
            writes: self.writes().len()
                + self.dmg.as_ref().map_or(0, |dmg| {
                    dmg.chunks.len()
                        + usize::from(dmg.split.is_some())
                        + usize::from(dmg.resource_fork)
                }),
        }
    }

    /// Shrink candidates of the recipe, those that remove most first.
    pub fn simpler(&self) -> Vec<Self> {
        if self.is_absent() {
            return Vec::new();
        }
        let empty = |format| Self::plain(format, Size::literal("1M"));
        let formats = || {
            SIMPLER_FORMATS
                .into_iter()
                .take_while(|format| *format != self.format)
        };
        let mut versions: Vec<Self> = formats().map(empty).collect();
        if let Some(dmg) = &self.dmg {
            versions.extend(dmg.simpler().into_iter().map(Self::of_dmg));
            return versions;
        }
        versions.push(empty(self.format));
        let defaults = |format| Self {
            format,
            cluster_size: None,
            r#static: None,
            compressed: None,
            ..self.clone()
        };
        versions.extend(formats().map(defaults));
        versions.push(defaults(self.format));
        versions.extend(self.fewer_writes());
        versions.extend(self.smaller());
        let simpler_writes = variants::elementwise(self.writes(), Write::simpler);
        versions.extend(simpler_writes.into_iter().map(|writes| Self {
            writes: Some(writes),
            ..self.clone()
        }));
        versions.retain(|version| version != self);
        versions
    }

    fn fewer_writes(&self) -> impl Iterator<Item = Self> + '_ {
        let shorter = variants::shorter(self.writes()).into_iter();
        shorter.map(|writes| {
            let pattern = if writes.is_empty() {
                Some(Pattern::Zeros)
            } else {
                self.pattern
            };
            let writes = (!writes.is_empty()).then_some(writes);
            Self {
                pattern,
                writes,
                ..self.clone()
            }
        })
    }

    fn smaller(&self) -> impl Iterator<Item = Self> + '_ {
        let sizes = self.virtual_size.iter().flat_map(variants::sizes);
        sizes.flat_map(|virtual_size| {
            let at_their_places = |write: &Write| write.within(0, virtual_size.bytes());
            let at_the_start = |write: &Write| {
                let start = Write {
                    offset: 0,
                    ..*write
                };
                at_their_places(write).or_else(|| start.within(0, virtual_size.bytes()))
            };
            let with = |writes: Vec<Write>| Self {
                virtual_size: Some(virtual_size.clone()),
                writes: (!writes.is_empty()).then_some(writes),
                ..self.clone()
            };
            [
                with(self.writes().iter().filter_map(at_their_places).collect()),
                with(self.writes().iter().filter_map(at_the_start).collect()),
            ]
        })
    }
}
