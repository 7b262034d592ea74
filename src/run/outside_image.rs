//! An image that a person has: found with the files that it needs, and copied for each tool that looks at it.
//!
//! `views.rs` uses it. Nothing is written to the image or its directory, and no name is followed out of that directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::disk_format::description::{self, Description};
use crate::disk_format::probe::{self, Role};
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::{copy_sparse, open_regular};
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::tool::request::ImageFile;

/// The most images that lie on each other: what is in a file may lead back to itself.
const DEPTH_MAX: usize = 16;

/// An image from outside.
pub struct OutsideImage {
    /// As a person names it.
    pub shown: PathBuf,
    /// As a tool names it in a directory with copies of all files.
    pub file: ImageFile,
    /// The files that are copied, the image first.
    pub taken: Vec<PathBuf>,
    /// The format of each of them; that of an extent or a data file is of the image that it belongs to.
    pub formats: Vec<Format>,
    /// Those of them that are no images: extents and data files.
    pub parts: Vec<PathBuf>,
    /// What it is, if it is of a format that no tool here is asked about.
    pub foreign: Option<&'static str>,
    /// The files that it names and that are not copied, each with the reason.
    pub left: Vec<String>,
}

impl OutsideImage {
    /// Finds an image's files. Fails if it is no regular file or its name is no UTF-8.
    pub fn find(path: &Path) -> Result<Self> {
        let mut found = Found::default();
        // A link that a person names is followed; one that an image names is not.
        let target = fs::canonicalize(path).ok().filter(|_| path.is_symlink());
        let target = target.as_deref().unwrap_or(path);
        let mut file = found.image(target, None, 0)?;
        // Some tools take a fixed vpc for raw, unless they are told.
        file.format_is_told = true;
        let foreign = match file.format {
            Format::Raw => probe::foreign(target).unwrap_or_default(),
            _ => None,
        };
        let Found {
            taken,
            formats,
            parts,
            left,
        } = found;
        Ok(Self {
            shown: path.to_owned(),
            file,
            taken,
            formats,
            parts,
            foreign,
            left,
        })
    }

    /// Describes the image itself by our own parsers; `Err` with the reason where they cannot read it.
    pub fn described(&self) -> std::result::Result<Description, Unparsable> {
        match self.taken.first() {
            Some(path) if description::is_described(self.file.format) => {
                description::of_image(path, self.file.format)
            }
            _ => Ok(Description::default()),
        }
    }

    /// Copies all files into a directory, without their holes. Fails if one changed meanwhile.
    pub fn copy_to(&self, directory: &Path) -> Result<()> {
        for path in &self.taken {
            let state = || {
                let metadata = fs::metadata(path)?;
                Ok((metadata.len(), metadata.modified()?))
            };
            let state = || state().map_err(|error| Error::io("read", path, &error));
            let before = state()?;
            copy_sparse(path, &directory.join(path.file_name().unwrap_or_default()))?;
            if state()? != before {
                let why = "it changed while it was copied; close the program that writes it";
                return Err(Error::usage(format!("{}: {why}", path.display())));
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    taken: Vec<PathBuf>,
    formats: Vec<Format>,
    parts: Vec<PathBuf>,
    left: Vec<String>,
}

impl Found {
    /// Finds an image and what it needs. `told` is its format, where another image tells it.
    fn image(&mut self, path: &Path, told: Option<Format>, depth: usize) -> Result<ImageFile> {
        let unusable = |why: &str| Error::usage(format!("{}: {why}", path.display()));
        open_regular(path).map_err(|error| unusable(&error.to_string()))?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| unusable("its name is no UTF-8: rename it"))?;
        let probed = probe::format(path).map_err(|error| unusable(&error.to_string()))?;
        let format = told.unwrap_or(probed);
        let mut file = ImageFile::new("image", format);
        file.path = name.to_owned();
        self.taken.push(path.to_owned());
        self.formats.push(format);
        let companions = match probe::companions(path, format) {
            Ok(companions) => companions,
            Err(why) => {
                self.left.push(format!("what {name} needs: {why}"));
                Vec::new()
            }
        };
        for companion in companions {
            let named = companion.name;
            if named.contains(['/', ':']) {
                let left = format!("{named}: imgduel takes files of the same directory only");
                self.left.push(left);
                continue;
            }
            let beside = path.with_file_name(&named);
            if self.taken.contains(&beside) {
                self.left.push(format!(
                    "{named}: it lies below itself, or is there already"
                ));
                continue;
            }
            if let Err(error) = open_regular(&beside) {
                self.left.push(format!("{named}: {error}"));
                continue;
            }
            match companion.role {
                Role::Backing(told) if depth < DEPTH_MAX => {
                    let is_told = |format: &Format| told.as_deref() == Some(format.name());
                    let told = Format::all().find(is_told);
                    let below = self.image(&beside, told, depth + 1)?;
                    file.options.push(CreateOption::BackingFile(named));
                    file.backing = Some(Box::new(below));
                }
                Role::Backing(_) => self
                    .left
                    .push(format!("{named}: too many images lie on each other")),
                Role::DataFile => {
                    file.options.push(CreateOption::DataFile(named));
                    self.part(beside, format);
                }
                Role::Extent => self.part(beside, format),
            }
        }
        Ok(file)
    }

    fn part(&mut self, path: PathBuf, format: Format) {
        self.taken.push(path.clone());
        self.formats.push(format);
        self.parts.push(path);
    }
}
