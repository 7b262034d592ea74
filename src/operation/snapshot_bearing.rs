//! The snapshot-bearing recipes of `commit`, `rebase` and `bench`: both tools change an image that shares clusters with internal snapshots.
//!
//! The reference creates the images, the data and the snapshots on both sides. Afterwards the contents of the images and of every snapshot are
//! read back, each by a call with its own limit; the reference checks the images, and the harness counts the references to each cluster. The
//! Python harness read the snapshots back as well, and looked for wrong refcounts in the text of a check.

mod draws;
mod form;
mod history;
mod steps;

pub use form::{Form, PlainRecipe};
pub use steps::{FixtureImage, FixtureStep};

use serde::{Deserialize, Serialize};

use super::{Operation, Perform};
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Write};
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{
    ExpectedSnapshot, Inventory, Observations, Output, Step, StepContext,
};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, OutputAspect, OutputRole, Place, Subject, Verdict,
};
use crate::tool::request::{
    Answer, BenchPlan, ImageFile, RebaseMode, Report, Request, SnapshotAction, SnapshotKey,
};
use history::History;

/// The most requests of a benchmark.
const REQUESTS_MAX: u64 = 1 << 20;

/// The command that is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    /// Merges an overlay into its backing file.
    #[default]
    Commit,
    /// Puts an overlay onto another backing file, in safe mode.
    Rebase,
    /// Writes from the start of an image on.
    Bench,
}

/// Which image of a `commit` has the snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The backing file.
    Backing,
    /// The overlay.
    Overlay,
}

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotBearing {
    /// Always true: it tells this recipe from the plain one.
    pub snapshot_bearing: bool,
    /// Which image has the snapshots, for `commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// The cluster size of all images in bytes.
    pub cluster_size: u64,
    /// The virtual size of all images in bytes.
    pub size: u64,
    /// The number of requests of 4096 bytes, for `bench`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The byte that `bench` writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<u8>,
    /// The writes and snapshots that prepare the images, in order.
    pub steps: Vec<FixtureStep>,
    /// The names of the snapshots, in order.
    pub snaps: Vec<String>,
    /// The command: the name of the operation says it.
    #[serde(skip)]
    pub command: Command,
}

impl SnapshotBearing {
    /// Returns the names of the snapshots that the steps make.
    fn snapshots_of_steps(&self) -> Vec<String> {
        let named = self.steps.iter().filter_map(FixtureStep::snapshot);
        named.map(|(_, name)| name.to_owned()).collect()
    }

    /// Returns the same recipe with other steps.
    fn with_steps(&mut self, steps: Vec<FixtureStep>) {
        self.steps = steps;
        self.snaps = self.snapshots_of_steps();
    }

    fn plan(&self) -> BenchPlan {
        BenchPlan {
            count: self.count.unwrap_or(1),
            byte: self.pattern,
            writes: true,
            ..BenchPlan::default()
        }
    }

    /// Returns the file of an image. The two backing files of a `rebase` have names of one length, because not every tool can store a longer
    /// one.
    fn file(&self, image: FixtureImage, context: &StepContext<'_>) -> ImageFile {
        let stem = &context.stem;
        let name = match image {
            FixtureImage::Overlay | FixtureImage::Img => stem.clone(),
            FixtureImage::Base | FixtureImage::BaseOld => format!("{stem}-base"),
            FixtureImage::BaseNew => format!("{stem}-next"),
        };
        let mut options = CreateOptions::from([CreateOption::ClusterSize(self.cluster_size)]);
        if image == FixtureImage::Overlay {
            let below = match self.command {
                Command::Rebase => FixtureImage::BaseOld,
                _ => FixtureImage::Base,
            };
            options.extend(self.file(below, context).backing_options());
        }
        ImageFile::new(&name, Format::Qcow2).with_options(options)
    }

    /// Returns the images that the command needs, those below first.
    fn images(&self) -> &'static [FixtureImage] {
        match self.command {
            Command::Commit => &[FixtureImage::Base, FixtureImage::Overlay],
            Command::Rebase => &[
                FixtureImage::BaseOld,
                FixtureImage::BaseNew,
                FixtureImage::Overlay,
            ],
            Command::Bench => &[FixtureImage::Img],
        }
    }

    /// Returns the images that are compared afterwards.
    fn compared(&self) -> &'static [FixtureImage] {
        match self.command {
            Command::Commit => &[FixtureImage::Overlay, FixtureImage::Base],
            Command::Rebase => &[FixtureImage::Overlay],
            Command::Bench => &[FixtureImage::Img],
        }
    }

    fn role(&self) -> OutputRole {
        match self.command {
            Command::Commit => OutputRole::CommitSnapshot,
            Command::Rebase => OutputRole::RebaseSnapshot,
            Command::Bench => OutputRole::BenchSnapshot,
        }
    }

    fn fixture_kind(&self) -> DivergenceKind {
        match self.command {
            Command::Commit => DivergenceKind::CommitFixture,
            Command::Rebase => DivergenceKind::RebaseFixture,
            Command::Bench => DivergenceKind::BenchFixture,
        }
    }

    fn request(&self, context: &StepContext<'_>) -> Request {
        match self.command {
            Command::Commit => Request::Commit {
                keeps: false,
                file: self.file(FixtureImage::Overlay, context),
                base: None,
            },
            Command::Rebase => Request::Rebase {
                file: self.file(FixtureImage::Overlay, context),
                new_backing: Some(self.file(FixtureImage::BaseNew, context).path),
                mode: RebaseMode {
                    compresses: false,
                    is_unsafe: false,
                    backing_format: Some(Format::Qcow2),
                },
            },
            Command::Bench => Request::Bench {
                file: self.file(FixtureImage::Img, context),
                plan: self.plan(),
            },
        }
    }

    /// Returns what a guest must see afterwards in an image, and in each of its snapshots.
    fn expected(&self, image: FixtureImage) -> (Vec<Write>, Vec<Vec<Write>>) {
        let history = History::new(self.cluster_size, &self.steps);
        match (self.command, image) {
            (Command::Commit, _) => {
                let below = history.writes(FixtureImage::Base);
                let merged = history.over(&below, &below, history.writes(FixtureImage::Overlay));
                let snapshots = history.snapshots(image).into_iter();
                let snapshots = snapshots.map(|own| match image {
                    // What the snapshot does not have itself is read from the backing file as it is now.
                    FixtureImage::Overlay => history.over(&merged, &below, own),
                    _ => own,
                });
                let snapshots = snapshots.collect();
                (merged, snapshots)
            }
            (Command::Rebase, _) => {
                let old = history.writes(FixtureImage::BaseOld);
                let new = history.writes(FixtureImage::BaseNew);
                let active = history.over(&old, &old, history.writes(image));
                let snapshots = history.snapshots(image).into_iter();
                let snapshots = snapshots.map(|own| history.over(&new, &old, own));
                (active, snapshots.collect())
            }
            (Command::Bench, _) => {
                let mut active = history.writes(image);
                active.extend(self.plan().written());
                (active, history.snapshots(image))
            }
        }
    }

    fn output(&self, image: FixtureImage, context: &StepContext<'_>) -> Output {
        let (active, snapshots) = self.expected(image);
        let contents = |writes: &[Write]| Contents::of_writes(self.size, writes);
        let taken: Vec<&str> = self
            .steps
            .iter()
            .filter_map(FixtureStep::snapshot)
            .filter(|(of, _)| *of == image)
            .map(|(_, name)| name)
            .collect();
        let inventory = Inventory {
            snapshots: (1..)
                .zip(taken.iter().map(|name| (*name).to_owned()))
                .collect(),
            bitmaps: Vec::new(),
        };
        let snapshots = (1_u64..).zip(&snapshots);
        let snapshots = snapshots.map(|(id, writes)| ExpectedSnapshot {
            id: id.to_string(),
            contents: contents(writes),
        });
        Output {
            content_aspect: OutputAspect::Compare,
            snapshots: Some(snapshots.collect()),
            inventory: Some(inventory),
            closely: true,
            ..Output::new(self.file(image, context), self.role(), contents(&active))
        }
    }

    /// Compares the harness's own counts of references in one image: what is wrong with the candidate's alone is a finding.
    fn refcounts(&self, index: usize, file: &ImageFile, found: &Observations) -> Option<Finding> {
        let ours = found.candidate.audit(index)?;
        let theirs = found.reference_or_candidate().audit(index);
        let right = "nothing wrong";
        let counted = |answer: &Answer| match &answer.report {
            // Leaks alone harm nobody; the check tells them.
            Report::Audit(audit) if audit.problems.len() == audit.leaks => right.to_owned(),
            Report::Audit(audit) => audit.problems.join("; "),
            _ => answer.describe(),
        };
        let ours = counted(ours);
        let theirs = theirs.map_or_else(|| "not made".to_owned(), counted);
        if ours == right || ours == theirs {
            return None;
        }
        let path = file.path.clone();
        let subject = Subject::Metadata { file: path.clone() };
        let difference = Difference::new(subject, ours, theirs.clone()).with_expected(right);
        let kind = DivergenceKind::output(self.role(), OutputAspect::Refcounts);
        let blame = match theirs == right {
            true => Blame::Candidate,
            false => Blame::Unclear,
        };
        let finding = Finding::of_difference(kind, difference).blamed(blame);
        Some(finding.placed(Place::file(&path)))
    }
}

impl Perform for SnapshotBearing {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        validity::cluster_size("cluster_size", self.cluster_size)?;
        validity::bytes("size", self.size)?;
        let (is_commit, is_bench) = (
            self.command == Command::Commit,
            self.command == Command::Bench,
        );
        if !self.snapshot_bearing
            || self.shape.is_some() != is_commit
            || self.count.is_some() != is_bench
            || self.pattern.is_some() != is_bench
        {
            return Err(
                " has other fields than its recipe: snapshot_bearing is true, shape is for commit, count and pattern are for bench"
                    .to_owned(),
            );
        }
        if let Some(count) = self.count {
            validity::number("count", count, 1..=REQUESTS_MAX)?;
        }
        steps::validity(&self.steps, self.images())?;
        match self.snaps == self.snapshots_of_steps() {
            true => Ok(()),
            false => Err(format!(
                "snaps are not those of the steps: write {:?}",
                self.snapshots_of_steps()
            )),
        }
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let versions = Versions::new(self)
            .each(variants::shorter(&self.steps), Self::with_steps)
            .each(
                variants::elementwise(&self.steps, FixtureStep::simpler),
                Self::with_steps,
            )
            .when(self.cluster_size != 65536, |version| {
                version.cluster_size = 65536
            })
            .each(
                variants::numbers(self.count.unwrap_or(0), &[1, 2]),
                |version, count| version.count = Some(count),
            );
        let valid = versions
            .all()
            .filter(|version| version.validity(&ImageRecipe::absent()).is_ok());
        valid.map(Operation::from).collect()
    }

    fn case_size(&self) -> CaseSize {
        let writes = self.steps.iter().map(|step| step.writes().len());
        CaseSize {
            operations: 1 + self.snaps.len(),
            options: usize::from(self.cluster_size != 65536),
            writes: writes.sum(),
        }
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let fixture = |request| Step::fixture(request, self.fixture_kind());
        let create = |image: &FixtureImage| {
            fixture(Request::Create {
                file: self.file(*image, context),
                size: Size::of_bytes(self.size),
            })
        };
        let mut steps = Vec::new();
        let mut missing = self.images();
        for step in &self.steps {
            // An overlay is made when it is needed: what is written to its backing file is written before.
            let made = missing.iter().position(|image| *image == step.image);
            let (now, later) = missing.split_at(made.map_or(0, |place| place + 1));
            steps.extend(now.iter().map(create));
            missing = later;
            let file = self.file(step.image, context);
            steps.push(fixture(match step.snapshot() {
                Some((_, name)) => Request::Snapshot {
                    file,
                    action: SnapshotAction::Create,
                    snapshot: SnapshotKey::Name(name.to_owned()),
                },
                None => Request::Write {
                    file,
                    writes: step.writes().to_vec(),
                },
            }));
        }
        steps.extend(missing.iter().map(create));
        steps.push(Step::own(self.request(context)));
        steps
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        let compared = self.compared().iter();
        compared.map(|image| self.output(*image, context)).collect()
    }

    /// What a guest sees, in the image or in a snapshot, comes before what is wrong with the refcounts.
    fn judges_by_aspect(&self) -> bool {
        true
    }

    fn judge(&self, context: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let mut compared = self.compared().iter().enumerate();
        compared
            .find_map(|(index, image)| {
                let file = self.file(*image, context);
                self.refcounts(index, &file, observations)
            })
            .map(Verdict::from)
    }
}
