//! The steps that prepare the images: writes, and snapshots between them.

use serde::{Deserialize, Serialize};

use crate::base::variants;
use crate::image::content::{Fill, Write};
use crate::image::validity::{self, Validity};

/// An image of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixtureImage {
    /// The backing file of a `commit`.
    Base,
    /// The backing file of a `rebase`.
    BaseOld,
    /// The new backing file of a `rebase`.
    BaseNew,
    /// The overlay of either.
    Overlay,
    /// The image of a `bench`.
    Img,
}

impl FixtureImage {
    const ALL: [Self; 5] = [
        Self::Base,
        Self::BaseOld,
        Self::BaseNew,
        Self::Overlay,
        Self::Img,
    ];

    /// Returns the name in cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::BaseOld => "base_old",
            Self::BaseNew => "base_new",
            Self::Overlay => "overlay",
            Self::Img => "img",
        }
    }
}

/// One step. In JSON: `[IMAGE, [[OFFSET, LENGTH, BYTE], ...]]` or `["snapshot IMAGE", NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct FixtureStep {
    /// The image.
    pub image: FixtureImage,
    /// What happens to it.
    pub deed: Deed,
}

/// What happens to an image in a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Guest writes, in order.
    Writes(Vec<Write>),
    /// A snapshot of this name is made.
    Snapshot(String),
}

/// The form of a step in a case.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Snapshot(String, String),
    Writes(String, Vec<(u64, u64, u8)>),
}

impl TryFrom<Written> for FixtureStep {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let (name, deed) = match written {
            Written::Snapshot(what, name) => {
                let image = what.strip_prefix("snapshot ").map(str::to_owned);
                (image.unwrap_or_default(), Deed::Snapshot(name))
            }
            Written::Writes(image, writes) => {
                let writes = writes.into_iter().map(|(offset, length, byte)| Write {
                    offset,
                    length,
                    fill: Fill::Byte(byte),
                });
                (image, Deed::Writes(writes.collect()))
            }
        };
        let mut images = FixtureImage::ALL.into_iter();
        let image = images.find(|image| image.name() == name).ok_or_else(|| {
            let known = FixtureImage::ALL.map(FixtureImage::name).join(", ");
            format!("a step names no image: write one of {known}, or \"snapshot \" before it")
        })?;
        Ok(Self { image, deed })
    }
}

impl From<FixtureStep> for Written {
    fn from(step: FixtureStep) -> Self {
        let image = step.image.name();
        match step.deed {
            Deed::Snapshot(name) => Self::Snapshot(format!("snapshot {image}"), name),
            Deed::Writes(writes) => {
                let parts = writes.iter().map(|write| match write.fill {
                    Fill::Byte(byte) => (write.offset, write.length, byte),
                    // No history has data of a recipe.
                    Fill::Data(_) => (write.offset, write.length, 1),
                });
                Self::Writes(image.to_owned(), parts.collect())
            }
        }
    }
}

impl FixtureStep {
    /// Returns the writes; none if a snapshot is made.
    pub fn writes(&self) -> &[Write] {
        match &self.deed {
            Deed::Writes(writes) => writes,
            Deed::Snapshot(_) => &[],
        }
    }

    /// Returns the image and the name of the snapshot, if one is made.
    pub fn snapshot(&self) -> Option<(FixtureImage, &str)> {
        match &self.deed {
            Deed::Writes(_) => None,
            Deed::Snapshot(name) => Some((self.image, name)),
        }
    }

    /// Returns versions with fewer and simpler writes.
    pub(super) fn simpler(&self) -> Vec<Self> {
        let fewer = variants::shorter_not_empty(self.writes());
        let simpler = variants::elementwise(self.writes(), Write::simpler);
        let lists = fewer.into_iter().chain(simpler);
        let with = |writes| Self {
            image: self.image,
            deed: Deed::Writes(writes),
        };
        lists.map(with).collect()
    }
}

/// Validates steps on these images, of which those below come first.
pub(super) fn validity(steps: &[FixtureStep], images: &[FixtureImage]) -> Validity {
    let place = |step: &FixtureStep| images.iter().position(|image| *image == step.image);
    validity::each("steps", steps, |step| {
        if place(step).is_none() {
            let known: Vec<&str> = images.iter().map(|image| image.name()).collect();
            let known = known.join(", ");
            return Err(format!(" is of another image: write one of {known}"));
        }
        match &step.deed {
            Deed::Snapshot(name) => validity::name("name", name),
            Deed::Writes(writes) => validity::not_empty("writes", writes)
                .and_then(|()| validity::writes("writes", writes)),
        }
    })?;
    let names: Vec<&str> = steps
        .iter()
        .filter_map(|step| Some(step.snapshot()?.1))
        .collect();
    let is_repeated = |(index, name): (usize, &&str)| names[..index].contains(name);
    if names.iter().enumerate().any(is_repeated) {
        return Err("steps make two snapshots of one name: write another".to_owned());
    }
    match steps.is_sorted_by_key(place) {
        true => Ok(()),
        false => Err(
            "steps are not in the order of the images: write those of backing files before those of the overlay"
                .to_owned(),
        ),
    }
}
