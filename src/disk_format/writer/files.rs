//! All files of a written image, planned once for both sides and for every comparison.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{HostFile, WrittenImage};
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::Write;
use crate::image::format::Format;

/// All files of a written image: those of the image, and raw ones to compare it with.
#[derive(Clone, Debug)]
pub struct WrittenFiles {
    image: WrittenImage,
    stem: String,
    with_flat: bool,
    /// Whether the image's own files are among them.
    with_image: bool,
    planned: Arc<OnceLock<Result<Vec<HostFile>, Unparsable>>>,
}

impl PartialEq for WrittenFiles {
    fn eq(&self, other: &Self) -> bool {
        (&self.image, &self.stem, self.with_flat) == (&other.image, &other.stem, other.with_flat)
    }
}

impl WrittenFiles {
    /// Returns the files of an image, whose names all begin with `stem`. `with_flat` says whether a raw file with the same contents belongs to
    /// them, and one with others.
    pub fn new(image: WrittenImage, stem: impl Into<String>, with_flat: bool) -> Self {
        Self {
            image,
            stem: stem.into(),
            with_flat,
            with_image: true,
            planned: Arc::default(),
        }
    }

    /// Returns the files without the image's own, which somebody else writes.
    pub fn without_image(self) -> Self {
        Self {
            with_image: false,
            planned: Arc::default(),
            ..self
        }
    }

    /// Returns the name of the raw file with the same contents.
    pub fn flat_name(stem: &str) -> String {
        format!("{stem}-flat.raw")
    }

    /// Returns the name of the raw file of the same size in which one byte differs.
    pub fn other_name(stem: &str) -> String {
        format!("{stem}-other.raw")
    }

    /// Returns all files. `directory` is where they will lie: absolute names need it. Fails where a format has no room for what the recipe says.
    pub fn all(&self, directory: Option<&Path>) -> Result<Cow<'_, [HostFile]>, Unparsable> {
        if self.image.is_bound_to_its_place() {
            return Ok(Cow::Owned(self.plan(directory)?));
        }
        let planned = self.planned.get_or_init(|| self.plan(None)).as_ref();
        let planned = planned.map_err(Clone::clone)?;
        Ok(Cow::Borrowed(planned.as_slice()))
    }

    /// Returns the name of the file that holds the data of the image at this depth below the topmost one; `None` where it is not one file.
    pub fn holder(&self, depth: usize) -> Option<String> {
        let index = self.image.layers.len().checked_sub(depth + 1)?;
        let layer = &self.image.layers[index];
        let is_one = layer.format != Format::Vmdk && layer.options.data_file().is_none();
        is_one.then(|| self.image.name(index, &self.stem))
    }

    /// Returns what all names begin with.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    fn plan(&self, directory: Option<&Path>) -> Result<Vec<HostFile>, Unparsable> {
        let mut files = match self.with_image {
            true => self.image.files(&self.stem, directory)?,
            false => Vec::new(),
        };
        if self.with_flat {
            let guest = self.image.guest();
            let place = self
                .image
                .top()
                .writes
                .last()
                .map_or(0, |write| write.offset);
            let place = place.min(guest.size - 1);
            let byte = !guest.bytes(place..place + 1)[0];
            let change = Write::repeated(place, 1, byte);
            files.push(guest.flat(&Self::flat_name(&self.stem)));
            files.push(guest.after(&[change]).flat(&Self::other_name(&self.stem)));
        }
        Ok(files)
    }

    /// Writes all files into a directory. Returns their names.
    pub fn write_into(&self, directory: &Path) -> Result<Vec<String>, Unparsable> {
        let mut names = Vec::new();
        for file in self.all(Some(directory))?.iter() {
            file.write_into(directory)?;
            names.push(file.name.clone());
        }
        Ok(names)
    }

    /// Describes the first file in a directory that is not as it was written. `beside` is a directory for files to compare with.
    pub fn changed_in(&self, directory: &Path, beside: &Path) -> Option<String> {
        match self.all(Some(directory)) {
            Ok(files) => {
                let is_kept = !self.image.is_bound_to_its_place();
                let change = |file: &HostFile| file.changed_in(directory, beside, is_kept);
                let mut changes = files.iter().map(change);
                changes.find_map(|change| change)
            }
            Err(why) => Some(why.to_string()),
        }
    }
}
