//! `bench`: both tools read or write an image at a fixed stride. Times are not compared; the written data is.
//!
//! Every invocation gets a fresh image, which the reference creates on both sides.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Fill, Write};
use crate::image::format::Format;
use crate::image::options::{Compat, CreateOption, CreateOptions};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{
    ExitExpectation, Observations, Output, Step, StepContext, StepResult,
};
use crate::oracle::verdict::{
    Difference, DivergenceKind, Finding, OutputAspect, OutputRole, Subject, Verdict,
};
use crate::tool::request::{Answer, BenchPlan, Exit, ImageFile, Request};

mod schedule;

pub use schedule::Invocation;

const FIXTURE: DivergenceKind = DivergenceKind::BenchFixture;
const HEADER: DivergenceKind = DivergenceKind::BenchHeader;
const VALIDATION: DivergenceKind = DivergenceKind::BenchValidation;

const FORMATS: [(Format, u32); 4] = [
    (Format::Qcow2, 4),
    (Format::Raw, 4),
    (Format::Vmdk, 1),
    (Format::Vpc, 1),
];
const SIZES: [u64; 4] = [1 << 20, 4 << 20, 16 << 20, 64 << 20];
const CLUSTER_SIZES: [u64; 5] = [512, 4096, 65536, 262_144, 2_097_152];
const SMALL_BUFFERS: [u64; 6] = [512, 1024, 4096, 8192, 16384, 65536];
const ODD_BUFFERS: [u64; 6] = [4095, 4097, 12288, 65535, 65537, 131_072];
const LARGE_BUFFERS: [u64; 4] = [262_144, 524_288, 1_048_576, 2_097_152];
const EVEN_STEPS: [u64; 5] = [512, 4096, 65536, 131_072, 262_144];
const ODD_STEPS: [u64; 5] = [513, 777, 1000, 4097, 65537];

/// The byte with which the first half of a populated qcow2 is filled, up to [`POPULATED_BYTES_MAX`].
const POPULATED_BYTE: u8 = 0xcc;
const POPULATED_BYTES_MAX: u64 = 2 << 20;

/// The boot signature, by which some tools recognize a raw image as a disk: (offset, byte).
const SIGNATURE: [(u64, u8); 2] = [(510, 0x55), (511, 0xaa)];

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    /// The image.
    pub recipe: BenchRecipe,
    /// The invocations.
    pub invocations: Vec<Invocation>,
}

/// The image that is created for every invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchRecipe {
    /// The format.
    pub fmt: Format,
    /// The virtual size in bytes.
    pub size: u64,
    /// The cluster size in bytes, for qcow2.
    pub cluster_size: Option<u64>,
    /// Whether the first half has data.
    pub prepopulate: bool,
}

impl BenchRecipe {
    /// Returns versions without data, with default clusters, and smaller ones.
    fn simpler(&self) -> Vec<Self> {
        let versions = Versions::new(self)
            .when(self.prepopulate, |version| version.prepopulate = false)
            .when(self.cluster_size.is_some(), |version| {
                version.cluster_size = None
            })
            .each(variants::numbers(self.size, &SIZES), |version, size| {
                version.size = size
            });
        versions.all().collect()
    }
}

impl DrawPython for Bench {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let fmt = *random.weighted_choice(&FORMATS);
        let size = *random.choice(&SIZES);
        let qcow2 = fmt == Format::Qcow2;
        let cluster_size = qcow2.then(|| *random.choice(&CLUSTER_SIZES));
        let prepopulate = qcow2 && random.chance(0.5);
        let count = random.randint(1, 3);
        let recipe = BenchRecipe {
            fmt,
            size,
            cluster_size,
            prepopulate,
        };
        let invocations = (0..count)
            .map(|_| draw_invocation(random, &recipe))
            .collect();
        Self {
            recipe,
            invocations,
        }
    }
}

fn draw_invocation(random: &mut PythonRandom, recipe: &BenchRecipe) -> Invocation {
    let size = recipe.size;
    let kind = random.random();
    let buffer = match kind {
        _ if kind < 0.70 => *random.choice(&SMALL_BUFFERS),
        _ if kind < 0.88 => *random.choice(&ODD_BUFFERS),
        _ => {
            let fitting: Vec<u64> = LARGE_BUFFERS
                .into_iter()
                .filter(|bytes| *bytes <= size / 4)
                .collect();
            *random.choice(&fitting)
        }
    };
    let kind = random.random();
    let step = match kind {
        _ if kind < 0.35 => 0,
        _ if kind < 0.68 => buffer,
        _ if kind < 0.84 => *random.choice(&EVEN_STEPS),
        _ => *random.choice(&ODD_STEPS),
    };
    let depth = random.randint(1, 64);
    let pattern = random.randint(0, 255) as u8;
    let effective = if step == 0 { buffer } else { step };
    let last = size - buffer - 1;
    let count = random.randint(1, 256).min(last / effective + 1);
    let budget = last.saturating_sub((count - 1) * effective);
    let offset = if budget == 0 || random.chance(0.5) {
        0
    } else {
        random.randint(0, budget)
    };
    let write = matches!(recipe.fmt, Format::Qcow2 | Format::Raw) && random.chance(0.5);

    let mut plan = BenchPlan {
        count,
        depth: Some(depth),
        length: Some(buffer),
        stride: Some(step),
        offset: Some(offset),
        byte: Some(pattern),
        writes: write,
        ..BenchPlan::default()
    };
    if write {
        let kind = random.random();
        let interval = match kind {
            _ if kind < 0.40 => None,
            _ if kind < 0.60 => Some(0),
            _ => Some(random.randint(depth, depth.max(4 * count))),
        };
        plan.flush_interval = interval;
        plan.no_drain = interval.is_some_and(|every| every > 0) && random.chance(0.5);
    }
    Invocation {
        format: Some(recipe.fmt),
        plan,
    }
}

impl Bench {
    fn file(&self, context: &StepContext<'_>, index: usize) -> ImageFile {
        let options = self.recipe.cluster_size.map(|cluster_size| {
            CreateOptions::from([
                CreateOption::Compat(Compat::Version3),
                CreateOption::RefcountBits(16),
                CreateOption::ClusterSize(cluster_size),
            ])
        });
        ImageFile::new(&format!("{}-{index}", context.stem), self.recipe.fmt)
            .with_options(options.unwrap_or_default())
    }

    /// Returns the writes that fill the image before the benchmark.
    fn fixture_writes(&self) -> Vec<Write> {
        match self.recipe.fmt {
            Format::Raw => SIGNATURE
                .map(|(offset, byte)| Write {
                    offset,
                    length: 1,
                    fill: Fill::Byte(byte),
                })
                .to_vec(),
            _ if self.recipe.prepopulate => {
                let length = (self.recipe.size / 2).min(POPULATED_BYTES_MAX);
                vec![Write {
                    offset: 0,
                    length,
                    fill: Fill::Byte(POPULATED_BYTE),
                }]
            }
            _ => Vec::new(),
        }
    }
}

impl Perform for Bench {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        let recipe = &self.recipe;
        validity::bytes("recipe.size", recipe.size)?;
        recipe.cluster_size.map_or(Ok(()), |bytes| {
            validity::cluster_size("recipe.cluster_size", bytes)
        })?;
        validity::not_empty("invocations", &self.invocations)?;
        validity::each("invocations", &self.invocations, |invocation| {
            invocation.validity(recipe.fmt)
        })
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let plainer = variants::elementwise(&self.invocations, Invocation::simpler);
        let versions = Versions::new(self)
            .each(
                variants::shorter_not_empty(&self.invocations),
                |version, invocations| version.invocations = invocations,
            )
            .each(self.recipe.simpler(), |version, recipe| {
                version.recipe = recipe
            })
            .each(plainer, |version, invocations| {
                version.invocations = invocations
            });
        versions.all().map(Operation::from).collect()
    }

    fn case_size(&self) -> CaseSize {
        let clusters = self.recipe.cluster_size.is_some_and(|bytes| bytes != 65536);
        let details = self.invocations.iter().map(|each| each.plan.details());
        CaseSize {
            operations: self.invocations.len(),
            options: usize::from(clusters) + details.sum::<usize>(),
            writes: usize::from(self.recipe.prepopulate),
        }
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for (index, invocation) in self.invocations.iter().enumerate() {
            let file = self.file(context, index);
            let size = Size::of_bytes(self.recipe.size);
            steps.push(Step::fixture(
                Request::Create {
                    file: file.clone(),
                    size,
                },
                FIXTURE,
            ));
            let writes = self.fixture_writes();
            if !writes.is_empty() {
                steps.push(Step::fixture(
                    Request::Write {
                        file: file.clone(),
                        writes,
                    },
                    FIXTURE,
                ));
            }
            let bench = Request::Bench {
                file,
                plan: invocation.plan,
            };
            // If both sides refuse, the operation continues with the next invocation.
            steps.push(Step {
                expected_exit: ExitExpectation::GoOn,
                ..Step::own(bench)
            });
        }
        steps
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        let written = self
            .invocations
            .iter()
            .enumerate()
            .filter_map(|(index, invocation)| {
                let writes = invocation.plan.written();
                if writes.is_empty() {
                    return None;
                }
                let all: Vec<Write> = self.fixture_writes().into_iter().chain(writes).collect();
                let expected = Contents::of_writes(self.recipe.size, &all);
                let output = Output::new(self.file(context, index), OutputRole::Bench, expected);
                Some(Output {
                    content_aspect: OutputAspect::Write,
                    ..output
                })
            });
        written.collect()
    }

    fn judge(&self, _: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let reference = observations.reference.as_ref()?;
        let benches = |step_results: &[StepResult]| -> Vec<Answer> {
            let step_results = step_results
                .iter()
                .filter(|step_result| step_result.step.task.name() == "bench");
            step_results
                .map(|step_result| step_result.answer.clone())
                .collect()
        };
        let (candidate, reference) = (
            benches(&observations.candidate.step_results),
            benches(&reference.step_results),
        );
        std::iter::zip(&candidate, &reference)
            .find_map(|(candidate, reference)| judge_words(candidate, reference))
            .map(Verdict::from)
    }
}

/// Compares the first lines of both outputs: the schedule after success, the message after a refusal.
fn judge_words(candidate: &Answer, reference: &Answer) -> Option<Finding> {
    match (&candidate.exit, &reference.exit) {
        (Exit::Success, Exit::Success) => {
            let difference = Difference::new(
                Subject::BenchFirstLine {},
                candidate.transcript.stdout.first_line(),
                reference.transcript.stdout.first_line(),
            );
            (difference.candidate != difference.reference)
                .then(|| Finding::of_difference(HEADER, difference))
        }
        (Exit::Refused(_), Exit::Refused(_)) => {
            let difference = Difference::new(
                Subject::BenchComplaint {},
                complaint(candidate),
                complaint(reference),
            );
            let (ours, theirs) = (&difference.candidate, &difference.reference);
            let agree = ours.contains(theirs.as_str()) || theirs.contains(ours.as_str());
            (!agree).then(|| Finding::of_difference(VALIDATION, difference))
        }
        _ => None,
    }
}

/// Returns a tool's message without the prefixes of qemu-img and instar.
fn complaint(answer: &Answer) -> String {
    let line = answer.transcript.stderr.first_line();
    let bare = line
        .strip_prefix("Error: \"")
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(&line);
    bare.strip_prefix("qemu-img: ").unwrap_or(bare).to_owned()
}
