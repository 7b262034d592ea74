//! `malformed`: both tools read and change an image in which fields are replaced, or which is truncated.
//!
//! The `malformed` generations draw these cases. The reference creates the image, the harness damages it and gives each
//! side a copy. A tool may refuse the image or read what is readable; but it must not crash, hang, exhaust memory or
//! disk space, or write to an image that it only reads, and two tools that both read it must see the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chain::{self, Layer};
use super::facts::Facts;
use super::{Operation, Perform};
use crate::base::variants::{self, CaseSize};
use crate::disk_format::damage::{self, Cut, Damage, Value};
use crate::image::ImageRecipe;
use crate::image::validity::{self, Validity};
use crate::operation::feature::Feature;
use crate::oracle::observations::{
    Executor, ExitExpectation, HarnessAction, Observations, Output, ResourceBounds, Step,
    StepContext,
};
use crate::oracle::verdict::{DivergenceKind, Place, Verdict};
use crate::tool::request::{ImageFile, Request};

pub use base_image::BaseImage;
pub use requests::{CHANGE_NAMES, Change, ReadRequest};

mod base_image;
mod facts;
mod oracle;
mod requests;

const FIXTURE: DivergenceKind = DivergenceKind::MalformedFixture;

/// The address space of one call in bytes. qemu-img 10.0 needs at most 200 MB for any request on a valid image.
const ADDRESS_SPACE_BYTES_MAX: u64 = 2 << 30;

/// The wall time of one call. Valid images of these sizes take milliseconds.
const CALL_TIME: Duration = Duration::from_secs(5);

/// A `malformed` operation, as a generation draws it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Malformed {
    /// The valid image, before it is damaged.
    #[serde(rename = "specimen")]
    pub base_image: BaseImage,
    /// The image and those below it, bottom first, if it comes from outside; the base image has then its format and size alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<Layer>,
    /// The mutations, in order.
    pub damages: Vec<Damage>,
    /// The requests that only read.
    #[serde(rename = "looks")]
    pub reads: Vec<ReadRequest>,
    /// The request that changes the image after that, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

impl Malformed {
    /// Returns the name of each mutation: `STRUCTURE.FIELD`, `truncated` or `overwritten`.
    pub fn damage_names(&self) -> Vec<String> {
        self.damages.iter().map(Damage::name).collect()
    }

    /// Returns the image, and the steps that make it on the reference's side, or give each side its copy of one from outside.
    fn made(&self, stem: &str) -> (ImageFile, Vec<Step>) {
        if !self.outside.is_empty() {
            return chain::placed(&self.outside);
        }
        let requests = self.base_image.making(stem).into_iter();
        let made = requests.map(|request| Step {
            executor: Executor::Once,
            ..Step::fixture(request, FIXTURE)
        });
        (self.base_image.file(stem), made.collect())
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Operation {
        let mut version = self.clone();
        change(&mut version);
        Operation::Malformed(version)
    }
}

impl Perform for Malformed {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        validity::at("specimen", self.base_image.validity())?;
        validity::each("outside", &self.outside, |layer| match &layer.outside {
            Some(outside) => outside.validity(),
            None => Err(" is an image that is made: name one from outside".to_owned()),
        })?;
        validity::each("damages", &self.damages, Damage::validity)?;
        match &self.change {
            Some(change) => validity::at("change", change.validity()),
            None => Ok(()),
        }
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn bounds(&self) -> Option<ResourceBounds> {
        Some(ResourceBounds {
            memory_bytes_max: ADDRESS_SPACE_BYTES_MAX,
            time: CALL_TIME,
        })
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let stem = &context.stem;
        let (file, made) = self.made(stem);
        let damage = HarnessAction::Damage {
            file: file.clone(),
            damages: self.damages.clone(),
        };
        let damage = Step {
            executor: Executor::Once,
            kind: FIXTURE,
            expected_exit: ExitExpectation::Agree,
            ..Step::harness(damage)
        };
        // The oracle judges the exits.
        let free = |executor, request| Step {
            executor,
            expected_exit: ExitExpectation::Free,
            ..Step::own(request)
        };
        let reads = self.reads.iter();
        let reads = reads.filter_map(|read| read.request(&file, stem));
        let reads = reads.map(|request| free(Executor::SideOrReference, request));
        let untouched = Step::harness(HarnessAction::Untouched { file: file.clone() });
        let made = made.into_iter().chain([damage]);
        let mut steps: Vec<Step> = made.chain(reads).collect();
        steps.push(untouched);
        if let Some(change) = &self.change {
            let request = change.request(&file, self.base_image.size);
            let contents = Request::Contents { file: file.clone() };
            steps.push(free(Executor::SideOrReference, request));
            steps.push(free(Executor::Reference, contents));
        }
        steps
    }

    fn judge_steps(&self, observations: &Observations) -> Option<Verdict> {
        oracle::judge(observations).map(Verdict::from)
    }

    /// Returns the format and its optional features, the damaged structures and fields with the kinds of mutations, and
    /// the kind of the change.
    fn features(&self) -> Vec<Feature> {
        let mut features = vec![Feature::Format(self.base_image.format)];
        features.extend(self.base_image.features());
        for damage in &self.damages {
            let names = damage::features(self.base_image.format, damage);
            features.extend(names.into_iter().map(Feature::Damage));
        }
        if self.damages.len() > 1 {
            features.push(Feature::Several);
        }
        let change = self.change.as_ref().map(Change::kind);
        features.extend(change.map(Feature::Step));
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
        facts::add(self, observations, place, &mut facts);
        facts.in_order()
    }

    fn simpler(&self) -> Vec<Operation> {
        let mut versions = Vec::new();
        if self.change.is_some() {
            versions.push(self.with(|case| case.change = None));
        }
        let fewer = variants::shorter_not_empty(&self.damages).into_iter();
        versions.extend(fewer.map(|damages| self.with(|case| case.damages = damages)));
        let reads = match self.change {
            Some(_) => variants::shorter(&self.reads),
            None => variants::shorter_not_empty(&self.reads),
        };
        versions.extend(
            reads
                .into_iter()
                .map(|reads| self.with(|case| case.reads = reads)),
        );
        // A file from outside is made simpler as a file, not here.
        let images = match self.outside.is_empty() {
            true => self.base_image.simpler(),
            false => Vec::new(),
        };
        let images = images.into_iter();
        versions.extend(images.map(|base_image| self.with(|case| case.base_image = base_image)));
        let simpler_damages = variants::elementwise(&self.damages, simpler_damage);
        let simpler_damages = simpler_damages.into_iter();
        versions.extend(simpler_damages.map(|damages| self.with(|case| case.damages = damages)));
        versions
    }

    fn case_size(&self) -> CaseSize {
        CaseSize {
            operations: self.damages.len() + self.reads.len() + usize::from(self.change.is_some()),
            options: self.base_image.options_beyond_defaults(),
            writes: self.base_image.writes.len(),
        }
    }
}

/// Returns versions with the first field of that name, a simpler value, or a cut at the start of a structure.
fn simpler_damage(damage: &Damage) -> Vec<Damage> {
    match damage {
        Damage::Replace {
            structure,
            index,
            field,
            value,
            stale_checksum,
        } => {
            let with = |index: u64, value: Value| Damage::Replace {
                structure: structure.clone(),
                index,
                field: field.clone(),
                value,
                stale_checksum: *stale_checksum,
            };
            let indices = variants::numbers(*index, &[0, 1]).into_iter();
            let values = simpler_values(*value).into_iter();
            let mut versions: Vec<Damage> = indices.map(|index| with(index, *value)).collect();
            versions.extend(values.map(|value| with(*index, value)));
            versions
        }
        Damage::Truncate {
            structure,
            index,
            at,
        } => {
            let with = |index: u64, at: Cut| Damage::Truncate {
                structure: structure.clone(),
                index,
                at,
            };
            let indices = variants::numbers(*index, &[0]).into_iter();
            let mut versions: Vec<Damage> = indices.map(|index| with(index, *at)).collect();
            versions.extend((*at != Cut::Start).then(|| with(*index, Cut::Start)));
            versions
        }
        Damage::Overwrite { offset, bytes } => {
            let shorter = variants::shorter_not_empty(bytes).into_iter();
            let with = |bytes: Vec<u8>| Damage::Overwrite {
                offset: *offset,
                bytes,
            };
            shorter.map(with).collect()
        }
    }
}

/// Returns simpler values, from specific ones to zero. Each is easy to understand.
fn simpler_values(value: Value) -> Vec<Value> {
    const PLAIN: [Value; 4] = [
        Value::Number(0),
        Value::Number(1),
        Value::Ones,
        Value::SignBit,
    ];
    let place = PLAIN.iter().position(|plain| *plain == value);
    let mut versions: Vec<Value> = PLAIN[..place.unwrap_or(PLAIN.len())].to_vec();
    match value {
        Value::Number(number) if place.is_none() => {
            let smaller = variants::numbers(number, &[2, 512, 65536]).into_iter();
            versions.extend(smaller.map(Value::Number));
        }
        Value::Plus(more) if more.unsigned_abs() > 1 => versions.push(Value::Plus(more.signum())),
        Value::EndOfFile(more) if more != 0 => versions.push(Value::EndOfFile(0)),
        Value::StartOf { region, plus } if region + plus.unsigned_abs() > 0 => {
            versions.push(Value::StartOf { region: 0, plus: 0 });
            versions.extend((plus != 0).then_some(Value::StartOf { region, plus: 0 }));
        }
        _ => {}
    }
    versions
}
