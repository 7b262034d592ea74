//! `commit`: both tools merge an overlay into its backing file.
//!
//! The reference creates the images on both sides, each with its own data. Both are read back afterwards; the Python
//! harness never reads the merged data.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Fill, Write};
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{Observations, Output, Step, StepContext};
use crate::oracle::verdict::{DivergenceKind, OutputRole};
use crate::tool::request::{ImageFile, Request};

const FIXTURE: DivergenceKind = DivergenceKind::CommitFixture;
const SEED: DivergenceKind = DivergenceKind::CommitSeed;
const SIZES: [&str; 3] = ["1M", "4M", "64M"];
/// The minimum virtual size for the writes, in bytes.
const SIZE_MIN: u64 = 128 << 10;
const CLUSTER_SIZES: [u64; 3] = [512, 4096, 65536];

/// The write that the Python harness calls `seed-64k`.
const SEED_64K: Write = Write {
    offset: 0,
    length: 65536,
    fill: Fill::Byte(0xab),
};

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The virtual size of both images.
    pub overlay_size: Size,
    /// The base that is named with `-b`, if any.
    pub explicit_base: Option<String>,
    /// Whether the overlay gets the write of the Python harness.
    pub seed_spec: Option<String>,
    /// The `-o` options of both images, in order.
    pub create_options: CreateOptions,
}

impl DrawPython for Commit {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let overlay_size = Size::literal(random.choice::<&str>(&SIZES));
        let explicit_base = *random.choice(&[None, Some("base.qcow2")]);
        let seed_spec = *random.choice(&[None, Some("seed-64k")]);
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let mut create_options = CreateOptions::from([CreateOption::ClusterSize(cluster_size)]);
        let is_lazy = random.chance(0.3);
        create_options.extend(is_lazy.then_some(CreateOption::LazyRefcounts(true)));
        Self {
            overlay_size,
            explicit_base: explicit_base.map(str::to_owned),
            seed_spec: seed_spec.map(str::to_owned),
            create_options,
        }
    }
}

impl Commit {
    fn base(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&format!("{}-base", context.stem), Format::Qcow2)
            .with_options(self.create_options.clone())
    }

    fn overlay(&self, context: &StepContext<'_>) -> ImageFile {
        let mut options = self.create_options.clone();
        options.extend(self.base(context).backing_options());
        ImageFile::new(&context.stem, Format::Qcow2).with_options(options)
    }

    fn base_writes(&self, context: &StepContext<'_>) -> [Write; 2] {
        let end = self.overlay_size.bytes();
        [
            context.write(0, 32768, 65536),
            context.write(1, end - 8192, 8192),
        ]
    }

    fn overlay_writes(&self, context: &StepContext<'_>) -> Vec<Write> {
        let end = self.overlay_size.bytes();
        let seed = self.seed_spec.as_ref().map(|_| SEED_64K);
        let added = [
            context.write(2, 81920, 1536),
            context.write(3, end - 4096, 4096),
        ];
        seed.into_iter().chain(added).collect()
    }
}

impl Perform for Commit {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        let size = self.overlay_size.bytes();
        validity::number("overlay_size", size, SIZE_MIN..=validity::BYTES_MAX)?;
        self.create_options.validity("create_options")
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let versions = Versions::new(self)
            .each(
                variants::shorter(self.create_options.as_slice()),
                |version, options| version.create_options = options.into(),
            )
            .when(self.explicit_base.is_some(), |version| {
                version.explicit_base = None
            })
            .when(self.seed_spec.is_some(), |version| version.seed_spec = None)
            .each(variants::sizes(&self.overlay_size), |version, size| {
                version.overlay_size = size
            });
        versions.all().map(Operation::from).collect()
    }

    fn case_size(&self) -> CaseSize {
        let options = self.create_options.beyond_defaults();
        CaseSize {
            operations: 1,
            options: options + usize::from(self.explicit_base.is_some()),
            writes: usize::from(self.seed_spec.is_some()),
        }
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let (base, overlay) = (self.base(context), self.overlay(context));
        let create = |file: &ImageFile| {
            Step::fixture(
                Request::Create {
                    file: file.clone(),
                    size: self.overlay_size.clone(),
                },
                FIXTURE,
            )
        };
        let write = |file: &ImageFile, writes: Vec<Write>| {
            Step::fixture(
                Request::Write {
                    file: file.clone(),
                    writes,
                },
                SEED,
            )
        };
        let commit = Request::Commit {
            keeps: false,
            file: overlay.clone(),
            base: self.explicit_base.as_ref().map(|_| base.path.clone()),
        };
        vec![
            create(&base),
            write(&base, self.base_writes(context).to_vec()),
            create(&overlay),
            write(&overlay, self.overlay_writes(context)),
            Step::own(commit),
        ]
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        let writes: Vec<Write> = self
            .base_writes(context)
            .into_iter()
            .chain(self.overlay_writes(context))
            .collect();
        let merged = Contents::of_writes(self.overlay_size.bytes(), &writes);
        vec![
            Output::new(
                self.overlay(context),
                OutputRole::CommitOverlay,
                merged.clone(),
            ),
            Output::new(self.base(context), OutputRole::CommitBacking, merged),
        ]
    }
}
