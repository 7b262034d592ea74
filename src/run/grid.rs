//! Who reads whose images: every writer makes an image of each form that it can from recipes, and every reader looks at it.
//!
//! `imgduel grid` calls it. The recipe is the judge: no tool is the reference.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::outside_image::OutsideImage;
use super::views::{self, Looking, Outcome, View};
use crate::base::error::{Error, Result};
use crate::disk_format::writer::{Guest, WrittenImage, WrittenLayer};
use crate::image::content::{Contents, Fill, Recipe, Texture, Write};
use crate::image::format::Format;
use crate::process::scratch::Root;
use crate::tool::writing::{self, Form};
use crate::tool::{CallContext, Tool};

/// The sizes of the disks in bytes: whole cylinders of 16 heads and 63 sectors, whole MiB, and an odd number of sectors.
const SIZES: [u64; 3] = [16 * 16 * 63 * 512, 8 << 20, (5 << 20) + 3 * 512];

/// The name under which the writers of our own stand.
pub const OWN: &str = "own";

/// The name of the raw file.
const RAW: &str = "recipe.raw";

/// Who makes images.
#[derive(Clone)]
pub enum Writer {
    /// A tool.
    Tool(Arc<dyn Tool>),
    /// The writers of our own.
    Own,
}

/// How a reader stands over the images of a form that a writer made: over all of them, the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It was not asked: it reads no such image.
    NotAsked,
    /// It shows what the recipe wrote.
    Right,
    /// It says that it does not know a feature.
    Skips,
    /// It refuses the image.
    Refuses,
    /// It shows something else.
    Wrong,
    /// It crashes, or exceeds a limit.
    Dies,
}

/// One reader over the images of one form.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The reader.
    pub reader: String,
    /// How it stands.
    pub standing: Standing,
    /// Where it does not stand right: the size of the disk in bytes, and what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<(u64, String)>,
    /// If it shows something else, a picture of it.
    #[serde(skip)]
    pub shown: Option<Shown>,
}

/// What a reader shows of an image, beside what was written: guest ranges (offset, length) in bytes, rounded to blocks of 4096 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The larger size of the disk, in bytes: the one written, or the one shown.
    pub guest_bytes: u64,
    /// The data that the recipe wrote.
    pub written: Vec<(u64, u64)>,
    /// The data that the reader shows.
    pub read: Vec<(u64, u64)>,
    /// Where the two differ.
    pub differing: Vec<(u64, u64)>,
}

impl Shown {
    fn new(seen: &Contents, written: &Contents) -> Self {
        let (shorter, longer) = (seen.size.min(written.size), seen.size.max(written.size));
        let differing = match shorter == longer {
            true => seen.differing_ranges(written),
            false => vec![(shorter, longer - shorter)],
        };
        Self {
            guest_bytes: longer,
            written: written.non_zero_ranges(),
            read: seen.non_zero_ranges(),
            differing,
        }
    }
}

/// The images of one form by one writer.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The format.
    pub format: Format,
    /// The form of it.
    pub form: &'static str,
    /// The writer.
    pub writer: String,
    /// Whether the writer makes this form at all. If not, no reader was asked.
    pub is_made: bool,
    /// The sizes that the writer did not make, in bytes, with its words.
    pub not_made: Vec<(u64, String)>,
    /// The readers.
    pub cells: Vec<Cell>,
}

/// Data at the start, over a boundary of blocks, within a block, and in the last sector.
fn writes(size: u64) -> Vec<Write> {
    let write = |offset, length, texture| Write {
        offset,
        length,
        fill: Fill::Data(Recipe {
            texture,
            seed: 1,
            shift: 0,
        }),
    };
    vec![
        write(0, 5000, Texture::Sectors),
        write((2 << 20) - 70_000, 200_000, Texture::Mixed),
        write((4 << 20) + 12_345, 1, Texture::Text),
        write(size - 512, 512, Texture::Noise),
    ]
}

/// What a guest is to see.
fn recipe(size: u64) -> Guest {
    Guest::zeros(size).after(&writes(size))
}

impl Writer {
    /// Its name and version.
    pub fn name(&self) -> String {
        match self {
            Self::Tool(tool) => format!("{} {}", tool.name(), tool.version()),
            Self::Own => OWN.to_owned(),
        }
    }

    fn makes(&self, form: &Form) -> bool {
        match self {
            Self::Tool(tool) => writing::makes(&**tool, form),
            // Of each format the usual form.
            Self::Own => ["", "dynamic", "monolithicSparse"].contains(&form.name),
        }
    }

    /// Makes an image in a directory; returns its size in bytes, or why there is none.
    fn make(
        &self,
        form: &Form,
        guest: &Guest,
        call_context: &CallContext<'_>,
    ) -> Result<std::result::Result<u64, String>> {
        let directory = call_context.directory;
        let target = form.file("image");
        let Self::Tool(tool) = self else {
            return Ok(own(form.format, guest, directory).map(|()| guest.size));
        };
        let raw = guest.flat(RAW).write_into(directory);
        raw.map_err(|why| Error::system(format!("cannot write {RAW}: {why}")))?;
        let answer = writing::make(&**tool, &writing::source(RAW), &target, call_context)?;
        let raw = directory.join(RAW);
        std::fs::remove_file(&raw).map_err(|error| Error::io("remove", &raw, &error))?;
        if !answer.succeeded() {
            return Ok(Err(answer.describe()));
        }
        Ok(Ok(target.size_made_by(tool.name(), guest.size)))
    }
}

/// Makes an image by the writer of our own.
fn own(format: Format, guest: &Guest, directory: &Path) -> std::result::Result<(), String> {
    let layer = WrittenLayer {
        writes: writes(guest.size),
        ..WrittenLayer::plain(format, guest.size)
    };
    let image = WrittenImage {
        layers: vec![layer],
    };
    let files = image.files("image", None).map_err(|why| why.to_string())?;
    for file in files {
        file.write_into(directory).map_err(|why| why.to_string())?;
    }
    Ok(())
}

/// Makes the whole grid, by form and writer: also the rows of the forms that a writer does not make.
pub fn grid(
    writers: &[Writer],
    readers: &[Arc<dyn Tool>],
    looking: &Looking<'_>,
) -> Result<Vec<Row>> {
    let pairs = Form::all().iter();
    let pairs = pairs.flat_map(|form| writers.iter().map(move |writer| (form, writer)));
    pairs
        .map(|(form, writer)| row(form, writer, readers, looking))
        .collect()
}

fn row(
    form: &Form,
    writer: &Writer,
    readers: &[Arc<dyn Tool>],
    looking: &Looking<'_>,
) -> Result<Row> {
    let not_asked = |reader: &Arc<dyn Tool>| Cell {
        reader: format!("{} {}", reader.name(), reader.version()),
        standing: Standing::NotAsked,
        said: None,
        shown: None,
    };
    let mut row = Row {
        format: form.format,
        form: form.name,
        writer: writer.name(),
        is_made: writer.makes(form),
        not_made: Vec::new(),
        cells: readers.iter().map(not_asked).collect(),
    };
    let sizes = SIZES.into_iter().filter(|_| row.is_made);
    for size in sizes.collect::<Vec<_>>() {
        let guest = recipe(size);
        let directory = Root::make(looking.workdir, "grid")?;
        let call_context = CallContext {
            directory: directory.path(),
            limit: looking.limit,
            grace: Duration::ZERO,
            sandbox: looking.sandbox,
            memory_bytes_max: None,
        };
        let made = match writer.make(form, &guest, &call_context)? {
            Ok(made) => guest.below(made),
            Err(words) => {
                row.not_made.push((size, words));
                continue;
            }
        };
        let path = directory.path().join(form.file("image").path);
        let image = OutsideImage::find(&path)?;
        for (cell, view) in std::iter::zip(&mut row.cells, views::of_all(readers, &image, looking)?)
        {
            cell.add(size, &view, &made);
        }
    }
    Ok(row)
}

impl Cell {
    fn add(&mut self, size: u64, view: &View, guest: &Guest) {
        let mut pictured = None;
        let (standing, words) = match &view.outcome {
            Outcome::Read(seen) => {
                let written = guest.contents();
                match seen.contents().difference(&written) {
                    None => (Standing::Right, String::new()),
                    Some(found) => {
                        pictured = Some(Shown::new(seen.contents(), &written));
                        let (first, second) = (found.first, found.second);
                        let words = format!("{}: {first}, written was {second}", found.place);
                        (Standing::Wrong, words)
                    }
                }
            }
            Outcome::Refuses(words) => (Standing::Refuses, words.clone()),
            Outcome::Dies(words) => (Standing::Dies, words.clone()),
            Outcome::Unsupported(what) => (Standing::Skips, what.clone()),
            Outcome::Skipped(_) => return,
        };
        if standing > Standing::Right && standing > self.standing {
            self.said = Some((size, words));
            self.shown = pictured;
        }
        self.standing = self.standing.max(standing);
    }
}
