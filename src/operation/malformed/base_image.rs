//! The valid image that is damaged: how it is made, by the reference alone.

use serde::{Deserialize, Serialize};

use crate::base::simpler;
use crate::base::size::Size;
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Encryption, Subformat};
use crate::image::validity::{self, Validity};
use crate::operation::feature::Feature;
use crate::tool::request::{ImageFile, Request, SnapshotAction, SnapshotKey};

/// Snapshots or bitmaps of one image.
const PARTS_MAX: u64 = 200;

/// Sizes that an image may shrink to, in bytes.
const SIZES: [u64; 3] = [65536, 1 << 20, 4 << 20];

/// A valid image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseImage {
    /// Its format.
    pub format: Format,
    /// The virtual size it is created with, in bytes.
    pub size: u64,
    /// The options, without those below.
    #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
    pub options: CreateOptions,
    /// What is written into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// Whether its data is compressed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compressed: bool,
    /// Whether there is a raw image below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backed: bool,
    /// Whether its data is in a file of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_data_file: bool,
    /// Whether it is encrypted with LUKS. Nothing is in it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// How many internal snapshots it has. Something is written after each.
    #[serde(default)]
    pub snapshots: u64,
    /// How many dirty bitmaps it has.
    #[serde(default)]
    pub bitmaps: u64,
}

impl BaseImage {
    /// An image of this format with nothing in it.
    pub fn empty(format: Format, size: u64) -> Self {
        Self {
            format,
            size,
            options: CreateOptions::new(),
            writes: Vec::new(),
            compressed: false,
            backed: false,
            has_data_file: false,
            encrypted: false,
            snapshots: 0,
            bitmaps: 0,
        }
    }

    /// What is wrong with it, if it came out of a file.
    pub fn validity(&self) -> Validity {
        validity::number("size", self.size, 1..=validity::BYTES_MAX)?;
        self.options.validity("options")?;
        validity::writes("writes", &self.writes)?;
        validity::number("snapshots", self.snapshots, 0..=PARTS_MAX)?;
        validity::number("bitmaps", self.bitmaps, 0..=PARTS_MAX)
    }

    /// What is notable of it, in the words of a chain's features.
    pub fn features(&self) -> Vec<Feature> {
        let extended = self
            .options
            .has_extended_l2()
            .then_some(Feature::ExtendedL2);
        let streamed = self.is_streamed().then_some(Feature::StreamOptimized);
        let data_file = self.has_data_file.then_some(Feature::DataFile);
        let odd = (!self.size.is_multiple_of(1024)).then_some(Feature::OddSectors);
        let features = [extended, streamed, data_file, odd];
        features.into_iter().flatten().collect()
    }

    /// Whether it is a vmdk that only a conversion can fill.
    fn is_streamed(&self) -> bool {
        self.options.subformat() == Some(Subformat::StreamOptimized)
    }

    /// Its file, of which tools are told the format.
    pub fn file(&self, stem: &str) -> ImageFile {
        let mut options = self.options.clone();
        if self.has_data_file {
            options.push(CreateOption::DataFile(format!("{stem}-data.raw")));
        }
        if self.encrypted {
            options.extend([
                CreateOption::EncryptFormat(Encryption::Luks),
                // The least there is, in milliseconds: nothing is to be kept from anybody.
                CreateOption::EncryptIterTime(10),
            ]);
        }
        let mut file = ImageFile::new(stem, self.format).with_options(options);
        // An encrypted image is named by options, which tell its format.
        file.format_is_told = !self.encrypted;
        if self.backed {
            file = file.over(&ImageFile::new(&format!("{stem}-base"), Format::Raw));
        }
        file
    }

    /// What makes it.
    pub fn making(&self, stem: &str) -> Vec<Request> {
        let file = self.file(stem);
        let size = || Size::of_bytes(self.size);
        let write = |file: &ImageFile, writes: &[Write]| {
            (!writes.is_empty()).then(|| Request::Write {
                file: file.clone(),
                writes: writes.to_vec(),
            })
        };
        let mut requests = Vec::new();
        if let Some(base) = &file.backing {
            requests.push(Request::Create {
                file: ImageFile::clone(base),
                size: size(),
            });
            requests.extend(write(base, &self.own_writes(7)));
        }
        let is_streamed = self.is_streamed();
        if self.compressed || is_streamed {
            let plain = ImageFile::new(&format!("{stem}-plain"), Format::Raw);
            requests.push(Request::Create {
                file: plain.clone(),
                size: size(),
            });
            requests.extend(write(&plain, &self.writes));
            requests.push(Request::Convert {
                source: plain,
                target: file.clone(),
                compress: self.compressed,
            });
        } else {
            let mut created = file.clone();
            if let Some(base) = &file.backing {
                created.options.extend([
                    CreateOption::BackingFile(base.path.clone()),
                    CreateOption::BackingFormat(Format::Raw),
                ]);
            }
            requests.push(Request::Create {
                file: created,
                size: size(),
            });
        }
        // Before anything is written, so that it is recorded in them.
        requests.extend((0..self.bitmaps).map(|index| Request::Bitmap {
            file: file.clone(),
            actions: vec![BitmapAction::Add { granularity: None }],
            name: format!("bitmap{index}"),
        }));
        if !self.compressed && !is_streamed {
            requests.extend(write(&file, &self.writes));
        }
        for index in 0..self.snapshots {
            requests.push(Request::Snapshot {
                file: file.clone(),
                action: SnapshotAction::Create,
                snapshot: SnapshotKey::Name(format!("snapshot{index}")),
            });
            requests.extend(write(&file, &self.own_writes(index as u8 + 1)));
        }
        requests
    }

    /// A write of a byte that no other has, at the start.
    fn own_writes(&self, byte: u8) -> Vec<Write> {
        vec![Write {
            offset: 0,
            length: self.size.min(1024),
            byte,
        }]
    }

    /// How many options there are beyond the defaults, and parts beyond a plain image.
    pub fn options_beyond_defaults(&self) -> usize {
        let parts = [
            self.compressed,
            self.backed,
            self.has_data_file,
            self.encrypted,
        ];
        self.options.beyond_defaults()
            + parts.iter().filter(|part| **part).count()
            + (self.snapshots + self.bitmaps) as usize
    }

    /// Simpler versions of it.
    pub fn simpler(&self) -> Vec<Self> {
        let with = |change: &dyn Fn(&mut Self)| {
            let mut version = self.clone();
            change(&mut version);
            version
        };
        let mut versions = vec![
            with(&|image| image.compressed = false),
            with(&|image| image.backed = false),
            with(&|image| image.has_data_file = false),
            with(&|image| image.encrypted = false),
            with(&|image| image.snapshots = 0),
            with(&|image| image.snapshots = image.snapshots.min(1)),
            with(&|image| image.bitmaps = 0),
            with(&|image| image.bitmaps = image.bitmaps.min(1)),
        ];
        let options = simpler::shorter(self.options.as_slice()).into_iter();
        versions
            .extend(options.map(|options| with(&|image| image.options = options.clone().into())));
        let writes = simpler::shorter(&self.writes).into_iter();
        versions.extend(writes.map(|writes| with(&|image| image.writes = writes.clone())));
        let smaller = SIZES.iter().filter(|size| **size < self.size);
        versions.extend(smaller.map(|size| {
            with(&|image| {
                image.size = *size;
                let inside = image
                    .writes
                    .iter()
                    .filter_map(|write| write.within(0, *size));
                image.writes = inside.collect();
            })
        }));
        let simpler_writes = simpler::elementwise(&self.writes, Write::simpler);
        versions.extend(
            simpler_writes
                .into_iter()
                .map(|writes| with(&|image| image.writes = writes.clone())),
        );
        versions.retain(|version| version != self);
        versions
    }
}
