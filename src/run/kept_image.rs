//! An image that a repository keeps: the structure of its files, and guest data as a recipe, in one compressed file.
//!
//! `imgduel accept-image` makes it, the test target and `imgduel inspect` make the image of it again. The file is zlib of a line of JSON (`KeptImage`) and
//! the bytes of the ranges that it lists. What is not listed is zero, so that an image of many gigabytes with little in it is small.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use miniz_oxide::deflate::{CompressionLevel, compress_to_vec_zlib};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::{Deserialize, Serialize};

use super::outside_image::OutsideImage;
use crate::base::base64::of_base64;
use crate::base::error::{Error, Result};
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::skeleton;
use crate::image::content::{
    Fill, Recipe, Texture, create_in_place, data_segments, each_piece, is_zero, open_regular,
};
use crate::image::format::{Format, SECTOR_BYTES};

/// The ending of a kept image's file.
pub const ENDING: &str = "image";

/// The most bytes of such a file.
pub const FILE_BYTES_MAX: u64 = 64 << 10;

/// The most bytes that such a file unpacks to.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// The most bytes of replaced data, which each look at the image writes anew.
const REPLACED_BYTES_MAX: u64 = 256 << 20;

/// The seed of the recipe that replaces guest data: each sector then names its own place in the file.
const RECIPE: Recipe = Recipe {
    texture: Texture::Sectors,
    seed: 1,
    shift: 0,
};

/// What a kept image is, and where its bytes belong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptImage {
    /// The format.
    pub format: Format,
    /// Its files, the image itself first.
    pub files: Vec<KeptFile>,
    /// What a guest sees.
    pub seen: SeenBefore,
    /// Why it is kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A file of a kept image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// The ranges (offset, length) in bytes whose bytes are kept.
    pub kept: Vec<(u64, u64)>,
    /// The ranges (offset, length) in bytes that hold data of a recipe in place of a guest's.
    pub replaced: Vec<(u64, u64)>,
}

/// What a guest sees of a kept image, as one tool or the most saw it when it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBefore {
    /// The guest-visible size in bytes.
    pub size: u64,
    /// The digest of the contents ([`Contents::digest`](crate::image::content::Contents::digest)).
    pub digest: String,
    /// The tools that saw it.
    pub by: Vec<String>,
}

/// The directory of kept images in that of the seeds.
const DIRECTORY: &str = "images";

/// Returns the path of the kept image of this name.
pub fn path(seeds: &Path, stem: &str) -> PathBuf {
    seeds.join(DIRECTORY).join(format!("{stem}.{ENDING}"))
}

/// Where a kept image is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptPath {
    /// Its name.
    pub stem: String,
    /// Its file.
    pub path: PathBuf,
}

/// Returns the kept images in a directory of seeds, by name. A directory that is not there has none.
pub fn list(seeds: &Path) -> Result<Vec<KeptPath>> {
    let directory = seeds.join(DIRECTORY);
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list the images in", &directory, &error)),
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let images = paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
    let named = images.filter_map(|path| {
        let stem = path.file_stem()?.to_str()?.to_owned();
        Some(KeptPath { stem, path })
    });
    let mut kept: Vec<KeptPath> = named.collect();
    kept.sort();
    Ok(kept)
}

impl KeptImage {
    /// Finds what to keep of an image whose files are in `directory`: structure alone or, with `keeps_data`, everything. Returns it with the bytes. `seen` is
    /// filled by the caller. Fails where data cannot be told from structure, and where there is too much of it.
    pub fn of_copy(
        image: &OutsideImage,
        directory: &Path,
        keeps_data: bool,
    ) -> Result<(Self, Vec<u8>)> {
        let (mut files, mut bytes) = (Vec::new(), Vec::new());
        for (index, path) in image.taken.iter().enumerate() {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.unwrap_or_default();
            let copy = directory.join(name);
            let unusable = |why: &str| Error::usage(format!("{}: {why}", path.display()));
            let structure = match (keeps_data, image.parts.contains(path)) {
                (true, _) => Ok(None),
                (false, true) => skeleton::of_part(&copy, image.file.format).map(Some),
                (false, false) => {
                    let format = image.formats[index];
                    skeleton::of_image(&copy, format).map(Some)
                }
            };
            let structure = structure.map_err(|error: Unparsable| {
                unusable(&format!("{error} (--keep-data keeps everything)"))
            })?;
            let file = KeptFile::read(name, &copy, structure.as_deref(), &mut bytes);
            files.push(file.map_err(|error| unusable(&error.to_string()))?);
        }
        let replaced = files.iter().flat_map(|file| &file.replaced);
        let replaced: u64 = replaced.map(|(_, length)| length).sum();
        if replaced > REPLACED_BYTES_MAX {
            return Err(Error::usage(format!(
                "it holds {replaced} bytes of data, and each look at it would write them: at most {REPLACED_BYTES_MAX} are taken"
            )));
        }
        let kept = Self {
            format: image.file.format,
            files,
            seen: SeenBefore {
                size: 0,
                digest: String::new(),
                by: Vec::new(),
            },
            why: String::new(),
        };
        Ok((kept, bytes))
    }

    /// The file of it.
    pub fn packed(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let json = serde_json::to_string(self).map_err(|error| Error::system(error.to_string()))?;
        let all = [json.as_bytes(), b"\n", bytes].concat();
        Ok(compress_to_vec_zlib(
            &all,
            CompressionLevel::BestCompression as u8,
        ))
    }

    /// Reads such a file. Returns it with the bytes.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>)> {
        let packed = std::fs::read(path).map_err(|error| Error::io("read", path, &error))?;
        let unpacked = Self::unpacked(&packed);
        unpacked.map_err(|why| Error::usage(format!("{}: {why}", path.display())))
    }

    /// The image of such a file's bytes, and its own bytes. The error says why they are none.
    fn unpacked(packed: &[u8]) -> std::result::Result<(Self, Vec<u8>), String> {
        let all = decompress_to_vec_zlib_with_limit(packed, UNPACKED_BYTES_MAX)
            .map_err(|_| "it is no image that accept-image kept")?;
        let end = all.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or("its description has no end")?;
        let kept: Self = serde_json::from_slice(&all[..end]).map_err(|error| error.to_string())?;
        let bytes = all[end + 1..].to_vec();
        let ranges = kept.files.iter().flat_map(|file| &file.kept);
        let wanted: u64 = ranges.map(|(_, length)| length).sum();
        match wanted == bytes.len() as u64 && kept.files.iter().all(KeptFile::is_sound) {
            true => Ok((kept, bytes)),
            false => Err("its ranges do not fit its bytes, or its files".to_owned()),
        }
    }

    /// Makes the image that a seed carries, in base64, in a directory, and returns the path of the image itself.
    pub fn carried(text: &str, directory: &Path) -> Result<PathBuf> {
        let packed = of_base64(text).ok_or_else(|| Error::usage("it is no base64"))?;
        let (kept, bytes) = Self::unpacked(&packed).map_err(Error::usage)?;
        kept.make(&bytes, directory)
    }

    /// Makes its files in a directory, and returns the path of the image itself.
    pub fn make(&self, bytes: &[u8], directory: &Path) -> Result<PathBuf> {
        let mut rest = bytes;
        for file in &self.files {
            let path = directory.join(&file.name);
            rest = file
                .write(&path, rest)
                .map_err(|error| Error::io("write", &path, &error))?;
        }
        let first = self.files.first().map(|file| directory.join(&file.name));
        first.ok_or_else(|| Error::usage("a kept image without a file"))
    }
}

impl KeptFile {
    /// Lists what is in a file, and adds the bytes that are kept. Without `structure` everything is kept.
    fn read(
        name: &str,
        path: &Path,
        structure: Option<&[Range<u64>]>,
        bytes: &mut Vec<u8>,
    ) -> io::Result<Self> {
        let file = open_regular(path)?;
        let length = file.metadata()?.len();
        let mut kept = Self {
            name: name.to_owned(),
            length,
            kept: Vec::new(),
            replaced: Vec::new(),
        };
        // Where the structure ends that begins before a place, for each of its ranges.
        let mut reached = 0;
        let ends: Vec<u64> = structure
            .unwrap_or_default()
            .iter()
            .map(|range| {
                reached = range.end.max(reached);
                reached
            })
            .collect();
        let is_structure = |offset: u64, end: u64| {
            let Some(ranges) = structure else { return true };
            let before = ranges.partition_point(|range| range.start < end);
            before > 0 && ends[before - 1] > offset
        };
        let mut too_much = false;
        for segment in data_segments(&file)? {
            let segment = segment.start / SECTOR_BYTES * SECTOR_BYTES..segment.end;
            each_piece(&file, segment, |offset, piece| {
                for (index, sector) in piece.chunks(SECTOR_BYTES as usize).enumerate() {
                    let offset = offset + index as u64 * SECTOR_BYTES;
                    let end = offset + sector.len() as u64;
                    if is_zero(sector) {
                        continue;
                    }
                    if is_structure(offset, end) {
                        too_much |= bytes.len() + sector.len() > UNPACKED_BYTES_MAX / 2;
                        if !too_much {
                            bytes.extend_from_slice(sector);
                        }
                        add(&mut kept.kept, offset, end - offset);
                    } else {
                        add(&mut kept.replaced, offset, end - offset);
                    }
                }
            })?;
        }
        match too_much {
            true => Err(io::Error::other("there is too much to be kept")),
            false => Ok(kept),
        }
    }

    fn is_sound(&self) -> bool {
        let is_plain = !self.name.is_empty() && !self.name.contains('/') && self.name != "..";
        let ranges = self.kept.iter().chain(&self.replaced);
        let mut ends = ranges.map(|(offset, length)| offset.checked_add(*length));
        is_plain && ends.all(|end| end.is_some_and(|end| end <= self.length))
    }

    /// Writes the file; returns the bytes of those behind it.
    fn write<'bytes>(&self, path: &Path, bytes: &'bytes [u8]) -> io::Result<&'bytes [u8]> {
        let file: File = create_in_place(path)?;
        file.set_len(self.length)?;
        let mut rest = bytes;
        for (offset, length) in &self.kept {
            let (part, behind) = rest
                .split_at_checked(*length as usize)
                .ok_or_else(|| io::Error::other("bytes are missing"))?;
            file.write_all_at(part, *offset)?;
            rest = behind;
        }
        for (offset, length) in &self.replaced {
            file.write_all_at(&Fill::Data(RECIPE).bytes(*offset, *length), *offset)?;
        }
        Ok(rest)
    }
}

/// Adds a range to ascending ones, to the last where it follows that.
fn add(ranges: &mut Vec<(u64, u64)>, offset: u64, length: u64) {
    match ranges.last_mut() {
        Some((start, before)) if *start + *before == offset => *before += length,
        _ => ranges.push((offset, length)),
    }
}
