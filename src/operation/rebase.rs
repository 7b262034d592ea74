//! `rebase`: both tools change the backing file of an overlay, or remove it.
//!
//! The reference creates the images on both sides. The Python harness leaves them empty; here each has its own data, so
//! that safe mode has something to copy and unsafe mode exposes other data.

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
use crate::tool::request::qemu_words::{InWords, as_words};
use crate::tool::request::{ImageFile, RebaseMode, Request};

const FIXTURE: DivergenceKind = DivergenceKind::RebaseFixture;
const SIZES: [&str; 3] = ["1M", "4M", "64M"];
const CLUSTER_SIZES: [u64; 4] = [512, 4096, 65536, 262_144];

/// The name of the old backing file in drawn cases.
const BASE_NAME: &str = "base.qcow2";

/// The name of the new backing file in drawn cases.
const NEXT_NAME: &str = "next.qcow2";

/// The minimum virtual size for the writes, in bytes.
const SIZE_MIN: u64 = 1 << 20;

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rebase {
    /// The virtual size of the overlay and of its old backing file.
    pub overlay_size: Size,
    /// The virtual size of the new backing file.
    pub new_backing_size: Size,
    /// The new backing file: empty to remove it; the old one's name if it is created again with the new size.
    pub new_backing: String,
    /// `safe` or `unsafe`.
    pub mode: String,
    /// The mode, as flags of qemu-img beside `-b`.
    #[serde(with = "as_words")]
    pub flags: RebaseMode,
    /// The overlay's `-o` options, in order.
    pub create_options: CreateOptions,
}

impl DrawPython for Rebase {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let overlay_size = Size::literal(random.choice::<&str>(&SIZES));
        let new_backing_size = Size::literal(random.choice::<&str>(&SIZES));
        let new_backing = *random.choice(&[NEXT_NAME, BASE_NAME, NEXT_NAME, ""]);
        let mode = *random.choice(&["unsafe", "safe"]);
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let mut create_options = CreateOptions::from([CreateOption::ClusterSize(cluster_size)]);
        let is_lazy = random.chance(0.3);
        create_options.extend(is_lazy.then_some(CreateOption::LazyRefcounts(true)));
        let mut drawn = Self {
            overlay_size,
            new_backing_size,
            new_backing: new_backing.to_owned(),
            mode: mode.to_owned(),
            flags: RebaseMode::default(),
            create_options,
        };
        drawn.flags = drawn.flags_that_follow();
        drawn
    }
}

impl Rebase {
    /// Returns the flags that follow from the mode and the new backing file.
    fn flags_that_follow(&self) -> RebaseMode {
        RebaseMode {
            compresses: false,
            is_unsafe: self.mode == "unsafe",
            backing_format: (!self.new_backing.is_empty()).then_some(Format::Qcow2),
        }
    }

    /// Removes the new backing file.
    fn detach(&mut self) {
        self.flags.backing_format = None;
        self.new_backing.clear();
    }

    /// Makes the mode safe, which is the default.
    fn make_safe(&mut self) {
        self.flags.is_unsafe = false;
        self.mode = "safe".to_owned();
    }

    fn replaces_base(&self) -> bool {
        self.new_backing == BASE_NAME
    }

    /// Returns the base's size at the rebase: the new size if it is created again under the same name.
    fn base_size(&self) -> &Size {
        if self.replaces_base() {
            &self.new_backing_size
        } else {
            &self.overlay_size
        }
    }

    fn cluster_size(&self, context: &StepContext<'_>) -> u64 {
        self.overlay(context).cluster_size()
    }

    fn base(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&format!("{}-base", context.stem), Format::Qcow2)
    }

    /// Returns the new backing file. Its name is as long as the old one's, because not every tool can store a longer
    /// one.
    fn next(&self, context: &StepContext<'_>) -> ImageFile {
        if self.replaces_base() {
            return self.base(context);
        }
        ImageFile::new(&format!("{}-next", context.stem), Format::Qcow2)
    }

    fn overlay(&self, context: &StepContext<'_>) -> ImageFile {
        let mut options = self.create_options.clone();
        options.extend(self.base(context).backing_options());
        ImageFile::new(&context.stem, Format::Qcow2).with_options(options)
    }

    fn base_writes(&self, context: &StepContext<'_>) -> [Write; 3] {
        let end = self.base_size().bytes();
        [
            context.write(0, 0, 16384),
            context.write(1, 524_288, 4096),
            context.write(2, end - 4096, 4096),
        ]
    }

    fn next_writes(&self, context: &StepContext<'_>) -> [Write; 3] {
        let end = self.new_backing_size.bytes();
        [
            context.write(3, 4096, 16384),
            context.write(4, 786_432, 4096),
            context.write(5, end - 4096, 4096),
        ]
    }

    fn overlay_writes(&self, context: &StepContext<'_>) -> [Write; 1] {
        [context.write(6, 8192, 1536)]
    }

    /// Returns what a guest must see in the overlay afterwards.
    fn expected(&self, context: &StepContext<'_>) -> Contents {
        let own = self.overlay_writes(context);
        let base = self.base_writes(context);
        let cluster_size = self.cluster_size(context);
        // A write to a part of a cluster copied the rest of it from the old backing file.
        let copied = own.iter().flat_map(|write| {
            let start = write.offset / cluster_size * cluster_size;
            let end = (write.offset + write.length).next_multiple_of(cluster_size);
            base.iter()
                .filter_map(move |write| write.within(start, end))
        });
        let unsafe_mode = self.mode == "unsafe";
        let replaced = self.new_backing == BASE_NAME;
        // In safe mode, all data of the old backing file stays visible; in unsafe mode, the data of the new one is
        // visible.
        let below: Vec<Write> = match (unsafe_mode, self.new_backing.is_empty()) {
            (false, _) => base.to_vec(),
            (true, _) if replaced => base.to_vec(),
            (true, true) => Vec::new(),
            (true, false) => self.cleared(context, cluster_size).collect(),
        };
        let writes: Vec<Write> = below.into_iter().chain(copied).chain(own).collect();
        Contents::of_writes(self.overlay_size.bytes(), &writes)
    }

    /// Returns the data of the new backing file, with zeros where the overlay has its own clusters.
    fn cleared(
        &self,
        context: &StepContext<'_>,
        cluster_size: u64,
    ) -> impl Iterator<Item = Write> + use<> {
        let zeros = self.overlay_writes(context).map(|write| {
            let start = write.offset / cluster_size * cluster_size;
            let end = (write.offset + write.length).next_multiple_of(cluster_size);
            Write {
                offset: start,
                length: end - start,
                fill: Fill::Byte(0),
            }
        });
        self.next_writes(context).into_iter().chain(zeros)
    }
}

impl Perform for Rebase {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        let sizes = SIZE_MIN..=validity::BYTES_MAX;
        validity::number("overlay_size", self.overlay_size.bytes(), sizes.clone())?;
        validity::number("new_backing_size", self.new_backing_size.bytes(), sizes)?;
        validity::word(
            "new_backing",
            &self.new_backing,
            &["", BASE_NAME, NEXT_NAME],
        )?;
        validity::word("mode", &self.mode, &["safe", "unsafe"])?;
        self.create_options.validity("create_options")?;
        let flags = self.flags_that_follow();
        match self.flags == flags {
            true => Ok(()),
            false => Err(format!(
                "flags are not those of the mode and the new backing file: write {:?}",
                flags.words()
            )),
        }
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let versions = Versions::new(self)
            .when(!self.new_backing.is_empty(), Self::detach)
            .when(self.mode == "unsafe", Self::make_safe)
            .each(
                variants::shorter(self.create_options.as_slice()),
                |version, options| version.create_options = options.into(),
            )
            .each(variants::sizes(&self.overlay_size), |version, size| {
                version.overlay_size = size
            })
            .each(variants::sizes(&self.new_backing_size), |version, size| {
                version.new_backing_size = size
            });
        versions.all().map(Operation::from).collect()
    }

    fn case_size(&self) -> CaseSize {
        let options = self.create_options.beyond_defaults();
        CaseSize::of_operation(options + usize::from(self.mode == "unsafe"))
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let create = |file: ImageFile, size: &Size| {
            Step::fixture(
                Request::Create {
                    file,
                    size: size.clone(),
                },
                FIXTURE,
            )
        };
        let write = |file: ImageFile, writes: &[Write]| {
            Step::fixture(
                Request::Write {
                    file,
                    writes: writes.to_vec(),
                },
                FIXTURE,
            )
        };
        let mut steps = vec![
            create(self.base(context), self.base_size()),
            write(self.base(context), &self.base_writes(context)),
        ];
        if !self.replaces_base() && !self.new_backing.is_empty() {
            steps.push(create(self.next(context), &self.new_backing_size));
            steps.push(write(self.next(context), &self.next_writes(context)));
        }
        steps.push(create(self.overlay(context), &self.overlay_size));
        steps.push(write(self.overlay(context), &self.overlay_writes(context)));
        let is_put = !self.new_backing.is_empty();
        let new_backing = is_put.then(|| self.next(context).path);
        let rebase = Request::Rebase {
            file: self.overlay(context),
            new_backing,
            mode: self.flags,
        };
        steps.push(Step::own(rebase));
        steps
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        vec![Output::new(
            self.overlay(context),
            OutputRole::Rebase,
            self.expected(context),
        )]
    }
}
