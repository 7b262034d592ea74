//! `written`: tools read an image that a writer of our own made, in a state that is valid and unusual.
//!
//! The `readers3` generations draw these cases. The harness writes the same image on both sides; then the tools describe, check, map, read,
//! copy and compare it, and change nothing. What a guest must see follows from the recipe alone, so that the verdict needs no right reference:
//! the reference only helps to tell a defect of a tool from one of ours.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::{Operation, Perform};
use crate::base::variants::{self, CaseSize};
use crate::disk_format::writer::{Guest, WrittenFiles, WrittenImage};
use crate::image::ImageRecipe;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::Subformat;
use crate::image::validity::{self, Validity};
use crate::operation::feature::Feature;
use crate::oracle::observations::{HarnessAction, Observations, Output, Step, StepContext};
use crate::oracle::verdict::{Place, Verdict};
use crate::tool::request::ImageFile;

pub use requests::Look;

mod expectation;
mod map;
mod oracle;
mod requests;

/// Who writes the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writer {
    /// A writer of our own.
    #[default]
    Own,
    /// A tool of this name, from a raw file with the same contents. The image is one layer, without unusual features.
    Tool(String),
}

impl Writer {
    fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// A `written` operation, as a generation draws it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Who writes the image.
    #[serde(default, skip_serializing_if = "Writer::is_own")]
    pub writer: Writer,
    /// The image.
    #[serde(flatten)]
    pub image: WrittenImage,
    /// What is asked about it, in order.
    pub looks: Vec<Look>,
}

impl Written {
    fn with(&self, change: impl FnOnce(&mut Self)) -> Operation {
        let mut version = self.clone();
        change(&mut version);
        Operation::Written(version)
    }

    /// Returns the tool that writes the image; `None` for a writer of our own.
    pub fn written_by(&self) -> Option<&str> {
        match &self.writer {
            Writer::Own => None,
            Writer::Tool(name) => Some(name),
        }
    }

    /// Returns what a guest sees in the image. Some tools round the size up.
    fn guest(&self) -> Guest {
        let guest = self.image.guest();
        let Some(writer) = self.written_by() else {
            return guest;
        };
        let top = self.image.top();
        let file = ImageFile::new("", top.format).with_options(top.options.clone());
        let size = file.size_made_by(writer, guest.size);
        guest.below(size)
    }

    /// Returns the size in bytes that a guest sees.
    pub fn size(&self) -> u64 {
        self.guest().size
    }

    /// Returns the writes, in order, that turn zeros of this size into what a guest must see.
    pub fn size_and_writes(&self) -> (u64, Vec<Write>) {
        let guest = self.guest();
        (guest.size, guest.writes().to_vec())
    }

    /// Whether the file of this name is the raw one in which a byte differs.
    pub fn is_other(&self, name: &str) -> bool {
        name.ends_with(&WrittenFiles::other_name(""))
    }

    /// Returns the topmost image as requests name it.
    pub fn file(&self, stem: &str) -> ImageFile {
        let mut file: Option<ImageFile> = None;
        for index in 0..self.image.layers.len() {
            let layer = match self.written_by() {
                Some(_) => self.image.layers[index].clone(),
                None => self.image.placed(index, stem),
            };
            let mut own = ImageFile::new(stem, layer.format).with_options(layer.options);
            own.path = self.image.name(index, stem);
            own.unusual = layer.unusual.into();
            own.backing = file.map(Box::new);
            file = Some(own);
        }
        let top = file.unwrap_or_else(|| ImageFile::new(stem, self.image.top().format));
        ImageFile {
            // A fixed vpc looks like raw to some.
            format_is_told: is_told(&top) || self.written_by().is_some(),
            ..top
        }
    }

    fn files(&self, stem: &str) -> WrittenFiles {
        let with_flat = self.looks.iter().any(|look| look.compares());
        let files = WrittenFiles::new(self.image.clone(), stem, with_flat);
        match self.written_by() {
            Some(_) => files.without_image(),
            None => files,
        }
    }
}

/// Whether the format is to be told: a guest's data may look like another format at the beginning of a file that has no header there.
fn is_told(file: &ImageFile) -> bool {
    let is_fixed = file.options.subformat() == Some(Subformat::Fixed);
    file.format == Format::Raw || (file.format == Format::Vpc && is_fixed)
}

impl Perform for Written {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        self.image.validity()?;
        if self.written_by().is_some() {
            validity::number("layers", self.image.layers.len() as u64, 1..=1)?;
        }
        validity::not_empty("looks", &self.looks)
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn judges_exits(&self) -> bool {
        true
    }

    fn stands_alone(&self) -> bool {
        true
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let stem = &context.stem;
        let file = self.file(stem);
        let files = self.files(stem);
        let action = match self.written_by() {
            Some(writer) => HarnessAction::WriteByTool {
                writer: writer.to_owned(),
                file: file.clone(),
                files: files.clone(),
                guest: self.image.guest(),
            },
            None => HarnessAction::WriteImage {
                file: file.clone(),
                files: files.clone(),
            },
        };
        let mut steps = vec![Step::harness(action)];
        let has_snapshot = self.image.snapshot().is_some();
        for look in &self.looks {
            steps.extend(look.steps(&file, stem, has_snapshot));
        }
        if self.written_by().is_none() {
            steps.push(Step::harness(HarnessAction::Unchanged { file, files }));
        }
        steps
    }

    fn judge_steps(&self, observations: &Observations) -> Option<Verdict> {
        oracle::judge(self, observations)
    }

    /// Returns the format, the options and the unusual features, of the backing images too.
    fn features(&self) -> Vec<Feature> {
        let mut features = Vec::new();
        let mut file = Some(self.file("written"));
        while let Some(image) = file {
            features.extend(super::facts::of_file(&image));
            file = image.backing.map(|below| *below);
        }
        features.dedup();
        features
    }

    fn facts(
        &self,
        _: &StepContext<'_>,
        observations: &Observations,
        outputs: &[Output],
        place: &Place,
    ) -> Vec<String> {
        let mut facts = Facts::of_place(observations, outputs, place);
        let top = self.image.top();
        if let Some(writer) = self.written_by() {
            facts.add("writer", writer);
        }
        if top.writes.is_empty() {
            facts.add("file", Feature::Empty.name());
        }
        if !top.size.is_multiple_of(1024) {
            facts.add("file", Feature::OddSectors.name());
        }
        facts.in_order()
    }

    fn simpler(&self) -> Vec<Operation> {
        let looks = variants::shorter_not_empty(&self.looks).into_iter();
        let looks = looks.map(|looks| self.with(|case| case.looks = looks));
        let images = self.image.simpler().into_iter();
        let images = images.map(|image| self.with(|case| case.image = image));
        looks.chain(images).collect()
    }

    fn case_size(&self) -> CaseSize {
        let layers = self.image.layers.iter();
        let features = layers
            .clone()
            .map(|layer| layer.unusual.len() + layer.options.len());
        CaseSize {
            operations: self.looks.len() + self.image.layers.len(),
            options: features.sum(),
            writes: layers.map(|layer| layer.writes.len()).sum(),
        }
    }
}
