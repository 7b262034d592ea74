//! The image from outside with which a case begins: its files, copied once for a run, and what a guest sees in them.
//!
//! `--from` opens images to draw cases from; the runner opens that of a case before it carries it out, from where the image was or from the form in
//! which a seed carries it. Each side gets copies of the copies, so that the person's file is read and nothing else. Whoever holds a `CaseImage`
//! keeps its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128;

use super::kept_image::{ENDING, KeptImage};
use super::outside_image::OutsideImage;
use crate::base::error::{Error, Result};
use crate::disk_format::damage::{self, Found};
use crate::disk_format::origin;
use crate::disk_format::probe::{self, Role};
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::image::outside::{Outside, OutsideFile};
use crate::operation::chain::Layer;
use crate::process::SandboxPolicy;
use crate::process::scratch::Root;
use crate::tool::Tool;
use crate::tool::request::ImageFile;

mod embedded_image;
mod guest;
mod image_reduction;
mod retelling;

pub use embedded_image::carry;
pub use image_reduction::{Smaller, shrink};
pub use retelling::{Retold, retell};

/// The largest disk that cases begin with, in bytes.
const SIZE_MAX: u64 = 8 << 40;

/// How images are read.
pub struct Reading<'run> {
    /// Where directories are made.
    pub workdir: &'run Path,
    /// The wall time limit of one call.
    pub limit: Duration,
    /// What a tool may do.
    pub sandbox: &'run SandboxPolicy,
    /// The tool that is asked what our own readers cannot read.
    pub reference: &'run dyn Tool,
}

/// An image from outside, ready for cases.
pub struct CaseImage {
    /// Which one it is.
    pub from: Outside,
    /// Its format.
    pub format: Format,
    /// The layers of a chain that begins with it, bottom first.
    pub layers: Vec<Layer>,
    /// The image as tools name it.
    pub file: ImageFile,
    /// The files, which nobody writes to.
    root: Root,
    /// What it was found as, for those who look at it otherwise.
    pub found: OutsideImage,
    /// The directory of a kept image that was made again.
    _made: Option<Root>,
}

/// The images that somebody holds, by digest.
static OPEN: Mutex<BTreeMap<String, Weak<CaseImage>>> = Mutex::new(BTreeMap::new());

fn open() -> MutexGuard<'static, BTreeMap<String, Weak<CaseImage>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the image of this digest, if somebody holds it.
pub fn held(digest: &str) -> Option<Arc<CaseImage>> {
    open().get(digest).and_then(Weak::upgrade)
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::usage(format!("{}: {why}", path.display()))
}

impl CaseImage {
    /// Opens an image that a person names: an image file, or one that `accept-image` kept. Fails in one line for what no case can begin with.
    pub fn open(path: &Path, reading: &Reading<'_>) -> Result<Arc<Self>> {
        let is_kept = path.extension().is_some_and(|ending| ending == ENDING);
        let (found, made) = match is_kept {
            true => {
                let (kept, bytes) = KeptImage::read(path)?;
                let root = Root::make(reading.workdir, "kept")?;
                let image = OutsideImage::find(&kept.make(&bytes, root.path())?)?;
                (image, Some(root))
            }
            false => (OutsideImage::find(path)?, None),
        };
        let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self::of_found(found, made, &shown, reading)
    }

    /// Opens the image of a case, unless somebody holds it. Fails if it is not where it was, or not what it was.
    pub fn of_case(from: &Outside, reading: &Reading<'_>) -> Result<Arc<Self>> {
        if let Some(held) = held(&from.digest) {
            return Ok(held);
        }
        let opened = match &from.kept {
            Some(kept) => {
                let root = Root::make(reading.workdir, "kept")?;
                let path = KeptImage::carried(kept, root.path()).map_err(|why| {
                    Error::usage(format!("the image that the case carries: {why}"))
                })?;
                Self::of_found(OutsideImage::find(&path)?, Some(root), &from.path, reading)?
            }
            None if !from.path.exists() => {
                return Err(Error::usage(format!(
                    "the case begins with the image {} (digest {}), which is not there any more: name it with --from FILE",
                    from.path.display(),
                    from.short()
                )));
            }
            None => Self::open(&from.path, reading)?,
        };
        match opened.from.digest == from.digest {
            true => Ok(opened),
            false => Err(Error::usage(format!(
                "{} is not the image with which the case begins (digest {}) but another (digest {}): name that with --from FILE",
                from.path.display(),
                from.short(),
                opened.from.short()
            ))),
        }
    }

    fn of_found(
        found: OutsideImage,
        made: Option<Root>,
        shown: &Path,
        reading: &Reading<'_>,
    ) -> Result<Arc<Self>> {
        objection(&found).map_err(|why| unusable(shown, why))?;
        let root = Root::make(reading.workdir, "from")?;
        found.copy_to(root.path())?;
        let digest = digest(&found, root.path())?;
        if let Some(held) = held(&digest) {
            return Ok(held);
        }
        let layers = layers(&found.file, &digest, root.path(), reading)
            .map_err(|why| unusable(shown, why))?;
        let image = Arc::new(Self {
            from: Outside {
                digest: digest.clone(),
                path: shown.to_owned(),
                kept: None,
            },
            format: found.file.format,
            file: found.file.clone(),
            layers,
            root,
            found,
            _made: made,
        });
        open().insert(digest, Arc::downgrade(&image));
        Ok(image)
    }

    /// The structures of its own file with the fields that it has; none if it is too long to be damaged.
    pub fn fields(&self) -> Vec<Found> {
        let path = self.root.path().join(&self.file.path);
        damage::found(&path, self.format).unwrap_or_default()
    }

    /// The path of the file that a case names so. The image itself may have another name now.
    pub fn path_of(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        match path.exists() {
            true => path,
            false => self.root.path().join(&self.file.path),
        }
    }

    /// The directory with its files, which nobody writes to.
    pub fn directory(&self) -> &Path {
        self.root.path()
    }
}

/// Why no case begins with an image, before its files are copied.
fn objection(found: &OutsideImage) -> std::result::Result<(), String> {
    if let Some(what) = found.foreign {
        return Err(format!("it is {what}, of which no tool here is asked"));
    }
    if let Some(left) = found.left.first() {
        return Err(format!("it needs {left}"));
    }
    let names = found.taken.iter().filter_map(|path| path.file_name());
    for name in names {
        let name = name.to_string_lossy();
        // Tools take such names for flags, protocols or options.
        if name.starts_with('-') || name.contains([':', ',', '"']) {
            return Err(format!(
                "the name '{}' means something else to tools: rename it",
                name.escape_debug()
            ));
        }
    }
    Ok(())
}

/// The digest of all files: of one, that of its bytes.
fn digest(found: &OutsideImage, directory: &Path) -> Result<String> {
    let mut digests = Vec::new();
    for path in &found.taken {
        let copy = directory.join(path.file_name().unwrap_or_default());
        digests.push(Contents::of_raw_file(&copy)?.digest());
    }
    Ok(match &digests[..] {
        [one] => one.clone(),
        several => format!("{:032x}", xxh3_128(several.concat().as_bytes())),
    })
}

/// The layers of an image and those below it, bottom first.
fn layers(
    file: &ImageFile,
    digest: &str,
    directory: &Path,
    reading: &Reading<'_>,
) -> std::result::Result<Vec<Layer>, String> {
    let mut layers = match &file.backing {
        Some(below) => layers(below, digest, directory, reading)?,
        None => Vec::new(),
    };
    let image = guest::Key {
        digest,
        depth: layers.len(),
    };
    layers.push(layer(file, image, directory, reading)?);
    Ok(layers)
}

fn layer(
    file: &ImageFile,
    key: guest::Key<'_>,
    directory: &Path,
    reading: &Reading<'_>,
) -> std::result::Result<Layer, String> {
    let path = directory.join(&file.path);
    let mut origin = origin::of_image(&path, file.format).map_err(|why| why.to_string())?;
    let companions = probe::companions(&path, file.format).map_err(|why| why.to_string())?;
    let parts = companions
        .into_iter()
        .filter(|companion| !matches!(companion.role, Role::Backing(_)));
    let parts: Vec<String> = parts.map(|companion| companion.name).collect();
    let options = origin.options.clone();
    let is_owned = |name: &String| {
        let own = ImageFile::new("", file.format).with_options(options.clone());
        let named = ImageFile {
            path: file.path.clone(),
            ..own
        };
        named.owns(name)
    };
    if let Some(other) = parts.iter().find(|name| !is_owned(name)) {
        let why = format!("its part {other} is not named after it");
        origin.only_read.get_or_insert(why);
    }
    let known = known(file, &options);
    let seen = guest::of_image(&known, key, directory, reading)?;
    if seen.size == 0 {
        return Err("there is no disk in it: it has 0 bytes".to_owned());
    }
    if seen.size > SIZE_MAX {
        return Err(format!(
            "its disk has {} bytes: cases begin with at most {SIZE_MAX}",
            seen.size
        ));
    }
    for snapshot in &mut origin.snapshots {
        snapshot.seen = guest::of_snapshot(&known, snapshot.id, key, directory);
    }
    let outside = OutsideFile {
        name: file.path.clone(),
        digest: key.digest.to_owned(),
        parts,
        guest: seen.key,
        only_read: origin.only_read,
        is_sound: origin.is_sound,
        snapshots: origin.snapshots,
        bitmaps: origin.bitmaps,
    };
    Ok(Layer {
        format: file.format,
        size: seen.size,
        options: origin.options,
        writes: Vec::new(),
        steps: Vec::new(),
        placement: Default::default(),
        outside: Some(Box::new(outside)),
    })
}

/// The file with the options that were found in it, so that a tool says whether it supports the image.
fn known(file: &ImageFile, options: &crate::image::options::CreateOptions) -> ImageFile {
    let mut known = file.clone();
    let is_backing = |option: &CreateOption| matches!(option, CreateOption::BackingFile(_));
    known.options.retain(is_backing);
    for option in options.iter() {
        known.options.push(option.clone());
    }
    known
}

/// The regular files of a directory, in the order of their names; of any other path, the path itself.
pub fn within(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Error::io("list", path, &error))?;
    let files = entries.iter().map(std::fs::DirEntry::path);
    let mut files: Vec<PathBuf> = files.filter(|file| file.is_file()).collect();
    files.sort();
    match files.is_empty() {
        true => Err(unusable(path, "no file is in it")),
        false => Ok(files),
    }
}
