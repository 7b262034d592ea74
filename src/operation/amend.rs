//! `amend`: both tools change a qcow2's version or lazy refcounts in place.
//!
//! The reference creates the image and writes a little data into it, on both sides.

use serde::{Deserialize, Serialize};

use super::qcow2_options::REFCOUNT_BITS;
use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Write};
use crate::image::format::Format;
use crate::image::options::{Compat, CreateOption, CreateOptions};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{Observations, Output, Step, StepContext};
use crate::oracle::verdict::{DivergenceKind, OutputRole};
use crate::tool::request::{ImageFile, Request};

const CREATE_SEED: DivergenceKind = DivergenceKind::AmendCreateSeed;
const CLUSTER_SIZES: [u64; 3] = [512, 4096, 65536];
const OLD_VERSION: CreateOption = CreateOption::Compat(Compat::Version2);
const NEW_VERSION: CreateOption = CreateOption::Compat(Compat::Version3);

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Amend {
    /// A description of the case.
    pub case: String,
    /// The virtual size.
    pub size: Size,
    /// The `-o` options for creation, in order.
    pub create_options: CreateOptions,
    /// The `-o` options of amend, in order.
    pub amend_options: CreateOptions,
}

impl DrawPython for Amend {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let case = *random.choice(&["upgrade", "downgrade", "lazy-on", "lazy-off", "noop"]);
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let has_refcount_bits = case != "downgrade" && random.chance(0.4);
        let refcount_bits = has_refcount_bits.then(|| *random.choice(&REFCOUNT_BITS));
        let both = case == "upgrade" && random.chance(0.5);
        let (old, new) = (OLD_VERSION, NEW_VERSION);
        let lazy = CreateOption::LazyRefcounts;
        let (created, amended): (CreateOptions, CreateOptions) = match case {
            "upgrade" if both => ([old].into(), [new, lazy(true)].into()),
            "upgrade" => ([old].into(), [new].into()),
            "downgrade" => ([new].into(), [old].into()),
            "lazy-on" => ([new].into(), [lazy(true)].into()),
            "lazy-off" => ([new, lazy(true)].into(), [lazy(false)].into()),
            _ => ([new].into(), [NEW_VERSION].into()),
        };
        let mut create_options = CreateOptions::from([CreateOption::ClusterSize(cluster_size)]);
        create_options.extend(refcount_bits.map(CreateOption::RefcountBits));
        create_options.extend(created.iter().cloned());
        Self {
            case: case.to_owned(),
            size: Size::literal("1M"),
            create_options,
            amend_options: amended,
        }
    }
}

impl Amend {
    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, Format::Qcow2).with_options(self.create_options.clone())
    }

    fn writes(&self, context: &StepContext<'_>) -> [Write; 2] {
        let end = self.size.bytes();
        [
            context.write(0, 0, 4096),
            context.write(1, end - 4096, 4096),
        ]
    }
}

impl Perform for Amend {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        validity::bytes("size", self.size.bytes())?;
        self.create_options.validity("create_options")?;
        self.amend_options.validity("amend_options")
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
            .each(
                variants::shorter_not_empty(self.amend_options.as_slice()),
                |version, options| version.amend_options = options.into(),
            );
        versions.all().map(Operation::Amend).collect()
    }

    /// The first option to amend does not count: the operation needs one.
    fn case_size(&self) -> CaseSize {
        let created = self.create_options.beyond_defaults();
        CaseSize::of_operation(created + self.amend_options.len().saturating_sub(1))
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let file = self.file(context);
        let create = Request::Create {
            file: file.clone(),
            size: self.size.clone(),
        };
        let write = Request::Write {
            file: file.clone(),
            writes: self.writes(context).to_vec(),
        };
        vec![
            Step::fixture(create, CREATE_SEED),
            Step::fixture(write, CREATE_SEED),
            Step::own(Request::Amend {
                file,
                options: self.amend_options.clone(),
            }),
        ]
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        let expected = Contents::of_writes(self.size.bytes(), &self.writes(context));
        vec![Output::new(self.file(context), OutputRole::Amend, expected)]
    }
}
