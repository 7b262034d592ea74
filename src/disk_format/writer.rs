//! Writers of our own: images in states that are valid and unusual, made from a recipe.
//!
//! One file per format. The same recipe always gives the same bytes, and tells what a guest sees in them (`Guest`), whatever any tool reads.
//! The operation `written` has them written and judges tools by them; a generation draws the recipes. No tool is run here, and nothing is read.

mod files;
mod guest;
mod host_file;
mod parallels;
mod places;
mod qcow;
mod qcow2;
mod space;
mod vdi;
mod vhdx;
mod vmdk;
mod vpc;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::qcow2::Unparsable;
use crate::base::size::Size;
use crate::base::variants::{self, Versions};
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions};
use crate::image::unusual_feature::Unusual;
use crate::image::validity::{self, Validity};

pub use files::WrittenFiles;
pub use guest::Guest;
pub use host_file::HostFile;

/// The most images that lie on each other.
const LAYERS_MAX: usize = 8;

/// The usual size of clusters, as a power of two in bytes.
const QCOW2_USUAL_BITS: u32 = 16;
const VHDX_USUAL_BITS: u32 = 20;
const VPC_USUAL_BITS: u32 = 21;
const VDI_USUAL_BITS: u32 = 20;
const VMDK_USUAL_BITS: u32 = 16;
const PARALLELS_USUAL_BITS: u32 = 20;
const QCOW_USUAL_BITS: u32 = 12;

/// How many units that no write touches are set to zero at most, and among how many.
const MARKED_MAX: usize = 6;
const MARKED_AMONG: u64 = 96;

/// What the images show that lie in wrong places, and how much of it.
const DECOY: u8 = 0xdc;
const DECOY_BYTES: u64 = 64 << 10;

/// One image of a chain, with its writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WrittenLayer {
    /// The format.
    pub format: Format,
    /// The virtual size in bytes.
    pub size: u64,
    /// The size of a cluster or block, as a power of two in bytes; a raw image has none.
    #[serde(default)]
    pub unit_bits: u32,
    /// The options that `qemu-img create` has for the same, without the size of units: tools declare by them what they support.
    #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
    pub options: CreateOptions,
    /// The unusual features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unusual: Vec<Unusual>,
    /// Determines the order of the parts, and which units are of which kind.
    #[serde(default)]
    pub seed: u64,
    /// Who is named as the creator of a vpc, where that is unusual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The guest writes, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
}

impl WrittenLayer {
    /// Returns an image of zeros with nothing unusual.
    pub fn plain(format: Format, size: u64) -> Self {
        Self {
            format,
            size,
            unit_bits: usual_bits(format),
            options: CreateOptions::new(),
            unusual: Vec::new(),
            seed: 0,
            creator: None,
            writes: Vec::new(),
        }
    }

    /// Whether it has the feature.
    pub fn has(&self, feature: Unusual) -> bool {
        self.unusual.contains(&feature)
    }

    /// The size of a cluster or block in bytes.
    pub(crate) fn unit(&self) -> u64 {
        1 << self.unit_bits
    }

    /// Returns the units of which its own writes touch at least a byte.
    pub(crate) fn touched(&self) -> BTreeSet<u64> {
        guest::touched(&self.writes, self.unit(), self.size)
    }

    /// Returns the units that are set to zero: some of those that no write touches.
    pub(crate) fn zero_units(&self) -> Vec<u64> {
        let features = [
            Unusual::ZeroClusters,
            Unusual::ZeroesOverData,
            Unusual::BlockStates,
            Unusual::Discarded,
        ];
        let version_2 = self.options.is_version_2();
        let is_zeroed = self.options.zeroed_grain() == Some(true);
        let has_zeros = is_zeroed || features.iter().any(|feature| self.has(*feature));
        if version_2 || !has_zeros {
            return Vec::new();
        }
        let touched = self.touched();
        let units = self.size.div_ceil(self.unit()).min(MARKED_AMONG);
        let free = (0..units).filter(|unit| !touched.contains(unit));
        let marked = free.filter(|unit| space::mixed(self.seed ^ 1, *unit).is_multiple_of(3));
        marked.take(MARKED_MAX).collect()
    }

    fn range(&self, unit: u64) -> Range<u64> {
        let start = unit * self.unit();
        start..(start + self.unit()).min(self.size)
    }

    /// Returns what a guest sees in it, given what it sees in the image below.
    fn guest(&self, below: Option<&Guest>, writes: &[Write]) -> Guest {
        let start = match below {
            Some(below) => below.below(self.size),
            None => Guest::zeros(self.size),
        };
        let zeros = self.zero_units().into_iter().map(|unit| self.range(unit));
        let guest = start.zeroed(zeros).after(writes);
        // Nothing can be written to an extent of zeros.
        guest.zeroed(vmdk::zeros(self).filter(|_| self.format == Format::Vmdk))
    }

    /// Checks a layer that was read from a file.
    fn validity(&self) -> Validity {
        validity::number("size", self.size, 1..=validity::BYTES_MAX)?;
        let bits = match self.format {
            Format::Qcow2 => 9..=21,
            Format::Vhdx => 20..=28,
            Format::Vpc => 16..=24,
            Format::Vdi => 16..=24,
            Format::Parallels => 12..=24,
            Format::Qcow => 9..=16,
            Format::Vmdk => 12..=20,
            _ => 0..=28,
        };
        validity::number("unit_bits", self.unit_bits.into(), bits)?;
        self.options.validity("options")?;
        validity::writes("writes", &self.writes)
    }

    /// Returns simpler versions.
    fn simpler(&self) -> Vec<Self> {
        let fewer = variants::shorter(&self.unusual);
        let writes = variants::shorter(&self.writes);
        let options = variants::shorter(self.options.as_slice());
        let sizes = [65536, 1 << 20, 4 << 20].into_iter();
        // Other sizes of a vpc depend on who reads it.
        let is_odd = self.has(Unusual::OddGeometry);
        let sizes = sizes.map(|size| match is_odd {
            true => size,
            false => self.format.created_size(size),
        });
        let sizes = sizes.filter(|size| *size < self.size);
        let simpler_writes = variants::elementwise(&self.writes, Write::simpler);
        Versions::new(self)
            .each(fewer, |layer, unusual| layer.unusual = unusual)
            .each(writes, |layer, writes| layer.writes = writes)
            .each(options, |layer, options| layer.options = options.into())
            .each(sizes, |layer, size| {
                layer.size = size;
                let inside = layer.writes.iter();
                layer.writes = inside.filter_map(|write| write.within(0, size)).collect();
            })
            .each(simpler_writes, |layer, writes| layer.writes = writes)
            .when(self.seed > 0, |layer| layer.seed = 0)
            .when(self.unit_bits != usual_bits(self.format), |layer| {
                layer.unit_bits = usual_bits(layer.format);
            })
            .all()
            .collect()
    }
}

/// Returns the usual size of a format's units, as a power of two in bytes.
fn usual_bits(format: Format) -> u32 {
    match format {
        Format::Qcow2 => QCOW2_USUAL_BITS,
        Format::Vhdx => VHDX_USUAL_BITS,
        Format::Vpc => VPC_USUAL_BITS,
        Format::Vdi => VDI_USUAL_BITS,
        Format::Vmdk => VMDK_USUAL_BITS,
        Format::Parallels => PARALLELS_USUAL_BITS,
        Format::Qcow => QCOW_USUAL_BITS,
        Format::Raw | Format::Dmg | Format::Luks | Format::Qed => 0,
    }
}

/// A chain of images, each on the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WrittenImage {
    /// The images, the lowest first.
    pub layers: Vec<WrittenLayer>,
}

/// What the writer of a layer knows of the one below.
#[derive(Clone, Debug)]
pub(crate) struct Below {
    /// The name by which it is recorded.
    pub(crate) name: String,
    /// Its format.
    pub(crate) format: Format,
    /// What a guest sees in it.
    pub(crate) guest: Guest,
}

impl WrittenImage {
    /// Checks a recipe that was read from a file.
    pub fn validity(&self) -> Validity {
        validity::not_empty("layers", &self.layers)?;
        validity::number("layers", self.layers.len() as u64, 1..=LAYERS_MAX as u64)?;
        validity::each("layers", &self.layers, WrittenLayer::validity)
    }

    /// The image that tools are asked about.
    pub fn top(&self) -> &WrittenLayer {
        &self.layers[self.layers.len() - 1]
    }

    /// Returns the name of a layer's file, relative to the directory in which tools work.
    pub fn name(&self, index: usize, stem: &str) -> String {
        places::path(&self.layers, index, stem)
    }

    /// Returns what a guest sees in the topmost image.
    pub fn guest(&self) -> Guest {
        self.guest_of(self.layers.len()).unwrap_or_default()
    }

    /// Returns what a guest sees in the topmost of the first `count` images.
    fn guest_of(&self, count: usize) -> Option<Guest> {
        let layers = self.layers[..count].iter();
        layers.fold(None, |below: Option<Guest>, layer| {
            Some(layer.guest(below.as_ref(), &layer.writes))
        })
    }

    /// Returns what a guest sees in the internal snapshot of the topmost image, if that has one, of its own size.
    pub fn snapshot(&self) -> Option<Guest> {
        let below = self.guest_of(self.layers.len() - 1);
        match self.top().format {
            Format::Qcow2 => qcow2::snapshot(self.top(), below.as_ref()),
            _ => None,
        }
    }

    /// Returns the name of the image below by which the topmost one records it; `None` where there is none, or where it is another one in each
    /// place or may be told otherwise.
    pub fn backing_name(&self, stem: &str) -> Option<String> {
        let top = self.top();
        let is_other = top.has(Unusual::AbsoluteName) || top.has(Unusual::JsonName);
        let overlay = self.layers.len() - 1;
        (overlay > 0 && !is_other)
            .then(|| places::recorded(&self.layers, overlay, stem, None))
            .flatten()
    }

    /// Whether the bytes depend on where the image lies.
    pub fn is_bound_to_its_place(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.any(|layer| layer.has(Unusual::AbsoluteName))
    }

    /// Returns all files. `directory` is where they will lie: absolute names need it. Fails where the format has no room for what the recipe
    /// says.
    pub fn files(&self, stem: &str, directory: Option<&Path>) -> Result<Vec<HostFile>, Unparsable> {
        let mut files = Vec::new();
        let mut guest: Option<Guest> = None;
        for index in 0..self.layers.len() {
            let layer = &self.placed(index, stem);
            let below = guest.take().map(|guest| {
                let name = places::recorded(&self.layers, index, stem, directory);
                let name = name.ok_or_else(|| Unparsable::new("an absolute name needs a place"))?;
                let format = self.layers[index - 1].format;
                Ok::<_, Unparsable>(Below {
                    name,
                    format,
                    guest,
                })
            });
            let below = below.transpose()?;
            files.extend(written(layer, &self.name(index, stem), below.as_ref())?);
            guest = Some(layer.guest(below.as_ref().map(|below| &below.guest), &layer.writes));
        }
        files.extend(self.decoys(stem)?);
        Ok(files)
    }

    /// Returns images of other contents where somebody looks who resolves a name wrongly.
    fn decoys(&self, stem: &str) -> Result<Vec<HostFile>, Unparsable> {
        let mut files = Vec::new();
        for index in 1..self.layers.len() {
            for path in places::wrong(&self.layers, index, stem) {
                let below = &self.layers[index - 1];
                let length = below.size.min(DECOY_BYTES);
                let decoy = WrittenLayer {
                    unusual: Vec::new(),
                    writes: vec![Write::repeated(0, length, DECOY)],
                    options: CreateOptions::new(),
                    ..below.clone()
                };
                files.extend(written(&decoy, &path, None)?);
            }
        }
        Ok(files)
    }

    /// Returns a layer with all of its options: its external data file, if it has one, has its name among the files of this case, and the size of
    /// its units is told where it is not the usual one.
    pub fn placed(&self, index: usize, stem: &str) -> WrittenLayer {
        let mut layer = self.layers[index].clone();
        if index > 0 && matches!(layer.format, Format::Vhdx | Format::Vpc) {
            layer.unusual.push(Unusual::Differencing);
        }
        match layer.format {
            Format::Vdi if layer.unit_bits != VDI_USUAL_BITS => {
                layer.unusual.push(Unusual::OtherBlocks);
            }
            Format::Qcow2 if layer.unit_bits != QCOW2_USUAL_BITS => {
                layer.options.push(CreateOption::ClusterSize(layer.unit()));
            }
            Format::Vhdx => {
                let block = Size::of_bytes(layer.unit());
                layer.options.push(CreateOption::BlockSize(block));
            }
            _ => {}
        }
        if layer.options.data_file().is_some() {
            let name = self.name(index, stem).replace(".qcow2", "-data.raw");
            let (_, name) = name.rsplit_once('/').unwrap_or(("", &name));
            let name = name.to_owned();
            layer
                .options
                .retain(|option| !matches!(option, CreateOption::DataFile(_)));
            layer.options.push(CreateOption::DataFile(name));
        }
        layer
    }

    /// Returns simpler versions: fewer images, fewer features, fewer and simpler writes.
    pub fn simpler(&self) -> Vec<Self> {
        let layers = variants::shorter_not_empty(&self.layers).into_iter();
        let simpler = variants::elementwise(&self.layers, WrittenLayer::simpler).into_iter();
        layers
            .chain(simpler)
            .map(|layers| Self { layers })
            .collect()
    }
}

/// Returns the files of one layer, its own first.
fn written(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    match layer.format {
        Format::Raw => Ok(vec![layer.guest(None, &layer.writes).flat(name)]),
        Format::Qcow2 => qcow2::files(layer, name, below),
        Format::Vhdx => vhdx::files(layer, name, below),
        Format::Vpc => vpc::files(layer, name, below),
        Format::Vdi => vdi::files(layer, name, below),
        Format::Parallels => parallels::files(layer, name, below),
        Format::Qcow => qcow::files(layer, name, below),
        Format::Vmdk => vmdk::files(layer, name, below),
        other => Err(Unparsable::new(format!("no writer of ours makes {other}"))),
    }
}
