//! `resize`: both tools create an image, data is written into it, and both change its size.
//!
//! The Python harness resizes empty images. Here the reference first writes a little data into each side's image, where
//! a resize is likely to go wrong: at the start, and on both sides of the smaller of the two ends.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker, qcow2_options};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Write};
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{CreateOptions, Preallocation};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{Executor, Observations, Output, Step, StepContext};
use crate::oracle::verdict::{DivergenceKind, OutputRole};
use crate::tool::request::{ImageFile, NewSize, Request};

const TARGETS: [Format; 2] = [Format::Qcow2, Format::Raw];
const CLUSTER_SIZES: [u64; 4] = [512, 4096, 65536, 262_144];

const CREATE_SEED: DivergenceKind = DivergenceKind::ResizeCreateSeed;
const WRITE: DivergenceKind = DivergenceKind::ResizeWrite;

/// The sizes that the shrinker tries.
const SMALLER_SIZES: [&str; 4] = ["1M", "2M", "4M", "16M"];

/// The length of each write, in bytes.
const WRITE_BYTES: u64 = 4096;

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    /// The format.
    pub target: Format,
    /// The size before.
    pub start: Size,
    /// The size after, or the signed change.
    pub end: NewSize,
    /// The options of the image, in order.
    pub options: CreateOptions,
    /// The preallocation of the growth; `None` to omit the option.
    pub preallocation: Option<Preallocation>,
    /// Whether `--shrink` is given.
    pub shrink: bool,
    /// The size after, in bytes.
    pub end_bytes: u64,
}

impl DrawPython for Resize {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, picker: Picker) -> Self {
        let target = *random.choice(&TARGETS);
        let all_modes = [
            None,
            Some(Preallocation::Off),
            Some(Preallocation::Falloc),
            Some(Preallocation::Full),
        ];
        let (options, preallocation) = if target == Format::Qcow2 {
            let drawn = qcow2_options::draw_python(random, &CLUSTER_SIZES, picker);
            let modes = if drawn.extended_l2 {
                &all_modes[..2]
            } else {
                &all_modes
            };
            (drawn.options, *random.choice(modes))
        } else {
            (CreateOptions::new(), *random.choice(&all_modes))
        };
        let (start, end) = if preallocation.is_some_and(Preallocation::takes_space) {
            let start = *random.choice(&["1M", "4M"]);
            let end = *random.choice(&["4M", "8M", "16M"]);
            (start, if end == start { "16M" } else { end })
        } else {
            draw_sizes(random, target)
        };
        let end = NewSize::parse(end).expect("a size of ours");
        Self::new(target, start, &end, options, preallocation)
    }
}

/// Draws a start and an end, absolute or relative, for a resize without preallocation.
fn draw_sizes(random: &mut PythonRandom, target: Format) -> (&'static str, &'static str) {
    let qcow2 = target == Format::Qcow2;
    let starts = if qcow2 {
        ["1M", "4M", "16M", "256M"]
    } else {
        ["1M", "4M", "16M", "64M"]
    };
    let start = *random.choice(&starts);
    let end = match *random.choice(&["abs", "add", "sub"]) {
        "abs" => {
            let ends = ["4M", "16M", "64M", "256M", "1G"];
            let (ends, instead) = if qcow2 {
                (&ends[..], "1G")
            } else {
                (&ends[..4], "256M")
            };
            let end = *random.choice(ends);
            if end == start { instead } else { end }
        }
        "add" => {
            let ends = ["+1M", "+15M", "+63M", "+256M"];
            *random.choice(if qcow2 { &ends[..] } else { &ends[..3] })
        }
        _ if start == "1M" => "+63M",
        _ => *random.choice(&["-512K", "-1M"]),
    };
    (start, end)
}

impl Resize {
    fn new(
        target: Format,
        start: &str,
        end: &NewSize,
        options: CreateOptions,
        preallocation: Option<Preallocation>,
    ) -> Self {
        let start = Size::literal(start);
        let end_bytes = end.bytes_from(start.bytes()).expect("sizes of ours");
        Self {
            target,
            end: end.clone(),
            options,
            preallocation,
            shrink: end_bytes < start.bytes(),
            end_bytes,
            start,
        }
    }

    /// Returns versions with smaller sizes. A shrink stays a shrink, and growth stays growth.
    fn smaller(&self) -> impl Iterator<Item = Self> {
        let between = |start: &str, end: &NewSize| {
            let options = self.options.clone();
            Self::new(self.target, start, end, options, self.preallocation)
        };
        let relative = self.end.is_relative();
        let starts = SMALLER_SIZES.into_iter();
        let same_end = starts.filter(move |_| relative).filter_map(move |start| {
            // The smaller size must hold all data.
            let end = self.end.bytes_from(Size::literal(start).bytes());
            let fits = end.is_some_and(|end| end >= WRITE_BYTES);
            fits.then(|| between(start, &self.end))
        });
        let pairs = SMALLER_SIZES.into_iter().flat_map(move |start| {
            let ends = SMALLER_SIZES.into_iter().filter(move |end| *end != start);
            ends.map(move |end| between(start, &NewSize::Absolute(Size::literal(end))))
        });
        let sum = |resize: &Self| resize.start.bytes() + resize.end_bytes;
        pairs
            .chain(same_end)
            .filter(move |resize| resize.shrink == self.shrink && sum(resize) < sum(self))
    }

    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, self.target).with_options(self.options.clone())
    }

    /// Returns what the reference writes into the image before the resize.
    fn writes(&self, context: &StepContext<'_>) -> Vec<Write> {
        let edge = self.start.bytes().min(self.end_bytes);
        let after = context.write(2, edge, SECTOR_BYTES);
        let mut writes = vec![
            context.write(0, 0, WRITE_BYTES),
            context.write(1, edge - WRITE_BYTES, WRITE_BYTES),
        ];
        writes.extend((after.offset + after.length <= self.start.bytes()).then_some(after));
        writes
    }
}

impl Perform for Resize {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        validity::number(
            "start",
            self.start.bytes(),
            WRITE_BYTES..=validity::BYTES_MAX,
        )?;
        validity::number(
            "end_bytes",
            self.end_bytes,
            WRITE_BYTES..=validity::BYTES_MAX,
        )?;
        self.options.validity("options")?;
        let end = self.end.bytes_from(self.start.bytes());
        if end != Some(self.end_bytes) || self.shrink != (self.end_bytes < self.start.bytes()) {
            return Err(format!(
                "end is '{}', which from {} does not come to {} bytes with shrink {}: write numbers that agree",
                self.end, self.start, self.end_bytes, self.shrink
            ));
        }
        Ok(())
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
            .when(self.preallocation.is_some(), |version| {
                version.preallocation = None
            });
        let versions = versions.all().chain(self.smaller());
        versions.map(Operation::Resize).collect()
    }

    fn case_size(&self) -> CaseSize {
        let options = self.options.beyond_defaults();
        CaseSize::of_operation(options + usize::from(self.preallocation.is_some()))
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let file = self.file(context);
        let create = Request::Create {
            file: file.clone(),
            size: self.start.clone(),
        };
        let write = Request::Write {
            file: file.clone(),
            writes: self.writes(context),
        };
        let resize = Request::Resize {
            file,
            size: self.end.clone(),
            end_bytes: self.end_bytes,
            shrink: self.shrink,
            preallocation: self.preallocation,
        };
        vec![
            Step {
                executor: Executor::SideOrReference,
                kind: CREATE_SEED,
                ..Step::own(create)
            },
            Step::fixture(write, WRITE),
            Step::own(resize),
        ]
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        let expected = Contents::of_writes(self.end_bytes, &self.writes(context));
        vec![Output::new(
            self.file(context),
            OutputRole::Resize,
            expected,
        )]
    }
}
