//! `create`: each tool creates an empty image.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker, qcow2_options};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Preallocation, Subformat};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{Observations, Output, Step, StepContext};
use crate::oracle::verdict::OutputRole;
use crate::tool::request::{ImageFile, Request};

const TARGETS: [Format; 4] = [Format::Qcow2, Format::Vmdk, Format::Vhdx, Format::Raw];
const CLUSTER_SIZES: [u64; 5] = [512, 4096, 65536, 262_144, 2_097_152];

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Create {
    /// The format.
    pub target: Format,
    /// The virtual size.
    pub size: Size,
    /// The `-o` options, in order.
    pub options: CreateOptions,
}

impl DrawPython for Create {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, picker: Picker) -> Self {
        let target = *random.choice(&TARGETS);
        let (options, sizes): (CreateOptions, &[&str]) = match target {
            Format::Qcow2 => {
                let mut drawn = qcow2_options::draw_python(random, &CLUSTER_SIZES, picker);
                let modes = [
                    None,
                    Some(Preallocation::Metadata),
                    Some(Preallocation::Falloc),
                    Some(Preallocation::Full),
                ];
                let mode = if drawn.extended_l2 {
                    None
                } else {
                    *random.choice(&modes)
                };
                if let Some(mode) = mode {
                    drawn.options.push(CreateOption::Preallocation(mode));
                    let size = Size::literal("1M");
                    return Self {
                        target,
                        size,
                        options: drawn.options,
                    };
                }
                (drawn.options, &["1M", "16M", "64M"])
            }
            Format::Vmdk => {
                let subformats = [Subformat::MonolithicSparse, Subformat::StreamOptimized];
                let subformat = CreateOption::Subformat(*random.choice(&subformats));
                ([subformat].into(), &["1M", "16M", "64M", "256M"])
            }
            Format::Vhdx => {
                let block_size = Size::literal(random.choice::<&str>(&["16M", "32M"]));
                (
                    [CreateOption::BlockSize(block_size)].into(),
                    &["64M", "256M", "1G"],
                )
            }
            _ => (CreateOptions::new(), &["1M", "16M", "64M", "256M"]),
        };
        let size = Size::literal(random.choice::<&str>(sizes));
        Self {
            target,
            size,
            options,
        }
    }
}

impl Create {
    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, self.target).with_options(self.options.clone())
    }
}

impl Perform for Create {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        validity::bytes("size", self.size.bytes())?;
        self.options.validity("options")
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let versions = Versions::new(self)
            .when(self.target != Format::Raw, |version| {
                version.target = Format::Raw;
                version.options.clear();
            })
            .each(
                variants::shorter(self.options.as_slice()),
                |version, options| version.options = options.into(),
            )
            .each(variants::sizes(&self.size), |version, size| {
                version.size = size
            });
        versions.all().map(Operation::Create).collect()
    }

    fn case_size(&self) -> CaseSize {
        CaseSize::of_operation(self.options.beyond_defaults())
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        vec![Step::own(Request::Create {
            file: self.file(context),
            size: self.size.clone(),
        })]
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        let expected = Contents::zeros(self.target.created_size(self.size.bytes()));
        vec![Output::new(
            self.file(context),
            OutputRole::Create,
            expected,
        )]
    }
}
