//! The valid image that is damaged, and the requests with which the reference creates it.

use serde::{Deserialize, Serialize};

use crate::base::size::Size;
use crate::base::variants;
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::{Fill, Write};
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Encryption, Subformat};
use crate::image::validity::{self, Validity};
use crate::operation::feature::Feature;
use crate::tool::request::{ImageFile, Request, SnapshotAction, SnapshotKey};

/// The maximum number of snapshots, and of bitmaps.
const PARTS_MAX: u64 = 200;

/// Sizes that the shrinker tries, in bytes.
const SIZES: [u64; 3] = [65536, 1 << 20, 4 << 20];

/// A valid image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseImage {
    /// The format.
    pub format: Format,
    /// The virtual size at creation, in bytes.
    pub size: u64,
    /// The options, without those of the fields below.
    #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
    pub options: CreateOptions,
    /// Data that is written into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// Whether its data is compressed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compressed: bool,
    /// Whether it has a raw backing file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backed: bool,
    /// Whether it has an external data file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_data_file: bool,
    /// Whether it is encrypted with LUKS. Such an image is empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// The number of internal snapshots. A write follows each.
    #[serde(default)]
    pub snapshots: u64,
    /// The number of dirty bitmaps.
    #[serde(default)]
    pub bitmaps: u64,
}

impl BaseImage {
    /// Returns an empty image.
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

    /// Validates an image from a file.
    pub fn validity(&self) -> Validity {
        validity::number("size", self.size, 1..=validity::BYTES_MAX)?;
        self.options.validity("options")?;
        validity::writes("writes", &self.writes)?;
        validity::number("snapshots", self.snapshots, 0..=PARTS_MAX)?;
        validity::number("bitmaps", self.bitmaps, 0..=PARTS_MAX)
    }

    /// Returns the notable options, as features of a chain.
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

    /// Returns its file. The tools are told the format.
    pub fn file(&self, stem: &str) -> ImageFile {
        let mut options = self.options.clone();
        if self.has_data_file {
            options.push(CreateOption::DataFile(format!("{stem}-data.raw")));
        }
        if self.encrypted {
            options.extend([
                CreateOption::EncryptFormat(Encryption::Luks),
                // The minimum, in milliseconds: the data is not secret.
                CreateOption::EncryptIterTime(10),
            ]);
        }
        let mut file = ImageFile::new(stem, self.format).with_options(options);
        // An encrypted image is opened by options, which include the format.
        file.format_is_told = !self.encrypted;
        if self.backed {
            file = file.over(&ImageFile::new(&format!("{stem}-base"), Format::Raw));
        }
        file
    }

    /// Returns the requests that create the image.
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
                mode: Default::default(),
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
        // Before the writes, so that the bitmaps record them.
        requests.extend((0..self.bitmaps).map(|index| Request::Bitmap {
            merged_from: None,
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

    /// Returns a write at the start, of a byte that no other write has.
    fn own_writes(&self, byte: u8) -> Vec<Write> {
        vec![Write {
            offset: 0,
            length: self.size.min(1024),
            fill: Fill::Byte(byte),
        }]
    }

    /// Counts the options beyond the defaults, and the features beyond a plain image.
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

    /// Returns simpler versions of the image.
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
        let options = variants::shorter(self.options.as_slice()).into_iter();
        versions
            .extend(options.map(|options| with(&|image| image.options = options.clone().into())));
        let writes = variants::shorter(&self.writes).into_iter();
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
        let simpler_writes = variants::elementwise(&self.writes, Write::simpler);
        versions.extend(
            simpler_writes
                .into_iter()
                .map(|writes| with(&|image| image.writes = writes.clone())),
        );
        versions.retain(|version| version != self);
        versions
    }
}
