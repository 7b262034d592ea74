//! `repair`: a qcow2 has a defined kind of damage, and both tools repair it.
//!
//! On both sides, the reference creates the image and the harness damages it. How a tool repairs, and with which exit
//! code, is not compared, but what the reference's check and a guest find afterwards. A tool may report that it did not
//! repair everything, as long as it made nothing worse.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{CaseSize, Versions};
use crate::disk_format::qcow2::corruption::FieldMutation;
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Fill, Write};
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::image::validity::{self, Validity};
use crate::oracle::judge::CheckResult;
use crate::oracle::observations::{
    ExitExpectation, HarnessAction, Observations, SideRun, Step, StepContext,
};
use crate::oracle::verdict::{
    Difference, DivergenceKind, Finding, InconclusiveKind, Subject, Verdict,
};
use crate::tool::request::{Answer, ImageFile, RepairTier, Report, Request};

const FIXTURE: DivergenceKind = DivergenceKind::RepairFixture;
const SAFETY: DivergenceKind = DivergenceKind::RepairSafety;
const COMPLETENESS: DivergenceKind = DivergenceKind::RepairCompleteness;
const DATA: DivergenceKind = DivergenceKind::RepairData;
const RECIPE: DivergenceKind = DivergenceKind::RepairRecipe;

/// qemu-img's default, in bytes.
const DEFAULT_CLUSTER_SIZE: u64 = 65536;

const CLUSTER_SIZES: [u64; 3] = [512, 4096, 65536];
const CORRUPTIONS: [FieldMutation; 5] = [
    FieldMutation::RefcountZero,
    FieldMutation::RefcountTooHigh,
    FieldMutation::LeakedCluster,
    FieldMutation::StaleCopied,
    FieldMutation::Overlapping,
];

/// The virtual size of the image.
const SIZE: &str = "1M";

/// The data in the image before it is damaged.
const WRITES: [Write; 4] = [data(0, 0xaa), data(1, 0xbb), data(2, 0xcc), data(3, 0xdd)];

const fn data(index: u64, byte: u8) -> Write {
    const LENGTH_BYTES: u64 = 65536;
    Write {
        offset: index * LENGTH_BYTES,
        length: LENGTH_BYTES,
        fill: Fill::Byte(byte),
    }
}

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// The cluster size in bytes.
    pub cluster_size: u64,
    /// The damage.
    pub corruption: FieldMutation,
    /// What the tools may repair.
    pub tier: RepairTier,
}

impl DrawPython for Repair {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let corruption = *random.choice(&CORRUPTIONS);
        let tier = *random.choice(&[RepairTier::Leaks, RepairTier::All]);
        Self {
            cluster_size,
            corruption,
            tier,
        }
    }
}

impl Repair {
    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, Format::Qcow2)
            .with_options([CreateOption::ClusterSize(self.cluster_size)])
    }

    /// Returns what a guest sees in the damaged image, and must still see after the repair.
    pub fn expected(&self) -> Contents {
        let cluster = |index: u64, fill: Fill| Write {
            offset: index * self.cluster_size,
            length: self.cluster_size,
            fill,
        };
        let damaged = match self.corruption {
            FieldMutation::LeakedCluster => Some(cluster(0, Fill::Byte(0))),
            FieldMutation::Overlapping => Some(cluster(1, WRITES[0].fill)),
            FieldMutation::RefcountZero
            | FieldMutation::RefcountTooHigh
            | FieldMutation::StaleCopied => None,
        };
        let writes: Vec<Write> = WRITES.into_iter().chain(damaged).collect();
        Contents::of_writes(Size::literal(SIZE).bytes(), &writes)
    }

    /// Whether a repair of this tier must remove the damage. Every tier must remove a mere leak.
    fn has_to_mend(&self) -> bool {
        self.tier == RepairTier::All || self.corruption == FieldMutation::LeakedCluster
    }
}

impl Perform for Repair {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        let sizes = CLUSTER_SIZES.map(|bytes| bytes.to_string());
        let sizes = sizes.each_ref().map(String::as_str);
        validity::word("cluster_size", &self.cluster_size.to_string(), &sizes)
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let is_default = self.cluster_size == DEFAULT_CLUSTER_SIZE;
        let versions = Versions::new(self).when(!is_default, |version| {
            version.cluster_size = DEFAULT_CLUSTER_SIZE
        });
        versions.all().map(Operation::Repair).collect()
    }

    fn case_size(&self) -> CaseSize {
        CaseSize::of_operation(usize::from(self.cluster_size != DEFAULT_CLUSTER_SIZE))
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let file = || self.file(context);
        let size = Size::literal(SIZE);
        let writes = WRITES.to_vec();
        let corruption = self.corruption;
        let tier = self.tier;
        // The judge below decides what these exits mean.
        let looked_at = |step: Step| Step {
            expected_exit: ExitExpectation::Free,
            ..step
        };
        let check = || looked_at(Step::fixture(Request::Check { file: file() }, FIXTURE));
        let contents = Step::fixture(Request::Contents { file: file() }, FIXTURE);
        vec![
            Step::fixture(Request::Create { file: file(), size }, FIXTURE),
            Step::fixture(
                Request::Write {
                    file: file(),
                    writes,
                },
                FIXTURE,
            ),
            Step {
                kind: FIXTURE,
                expected_exit: ExitExpectation::Agree,
                ..Step::harness(HarnessAction::Corrupt {
                    file: file(),
                    corruption,
                })
            },
            check(),
            looked_at(Step::own(Request::Repair { file: file(), tier })),
            check(),
            looked_at(contents),
        ]
    }

    fn judge(&self, _: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let candidate = Outcome::from_side_run(&observations.candidate)?;
        let reference = Outcome::from_side_run(observations.reference.as_ref()?)?;
        self.judge_counts(&candidate, &reference)
            .or_else(|| self.judge_contents(&candidate, &reference))
            .or_else(|| candidate.conservative())
    }
}

/// The state of one side's image after the repair.
struct Outcome<'observations> {
    baseline: CheckResult,
    repair: &'observations Answer,
    after: CheckResult,
    contents: &'observations Answer,
}

impl<'observations> Outcome<'observations> {
    fn from_side_run(side_run: &'observations SideRun) -> Option<Self> {
        let [.., baseline, repair, after, contents] = &side_run.step_results[..] else {
            return None;
        };
        Some(Self {
            baseline: CheckResult::from_answer(&baseline.answer),
            repair: &repair.answer,
            after: CheckResult::from_answer(&after.answer),
            contents: &contents.answer,
        })
    }

    /// Whether the tool itself reports an incomplete repair. A tool without that key reports nothing.
    fn says_incomplete(&self) -> bool {
        matches!(self.repair.report, Report::Check(counts) if counts.is_incomplete)
    }

    /// Returns an inconclusive verdict if the tool reports an incomplete repair and that is true.
    fn conservative(&self) -> Option<Verdict> {
        (self.says_incomplete() && !self.after.is_clean()).then(|| {
            Verdict::inconclusive(
                InconclusiveKind::RepairConservative,
                format!(
                    "the candidate says that its repair is incomplete; before: {}, after: {}",
                    self.baseline, self.after
                ),
            )
        })
    }
}

impl Repair {
    /// Safety: nothing may be worse than before. Completeness: a repair must remove what its tier covers.
    fn judge_counts(&self, candidate: &Outcome<'_>, reference: &Outcome<'_>) -> Option<Verdict> {
        let Outcome {
            baseline, after, ..
        } = candidate;
        if baseline.is_unparseable() {
            return Some(Verdict::inconclusive(
                InconclusiveKind::RepairNoBaseline,
                format!("check of the damaged image: {baseline}"),
            ));
        }
        let finding = |kind, expected: String| {
            let subject = Subject::CheckAfterRepair {
                tier: self.tier,
                corruption: self.corruption,
                exit: candidate.repair.describe(),
            };
            let difference =
                Difference::new(subject, after.to_string(), reference.after.to_string());
            Some(Finding::of_difference(kind, difference.with_expected(expected)).into())
        };
        if after.is_worse_than(baseline) {
            return finding(SAFETY, format!("no worse than before ({baseline})"));
        }
        if self.has_to_mend() && !after.is_clean() && !candidate.says_incomplete() {
            return finding(COMPLETENESS, "clean".to_owned());
        }
        None
    }

    /// Data: the guest-visible contents must not change. An image with errors need not be readable.
    fn judge_contents(&self, candidate: &Outcome<'_>, reference: &Outcome<'_>) -> Option<Verdict> {
        let expected = self.expected();
        let finding = |kind, subject, found: String, standard: String| {
            let difference = Difference::new(subject, found, standard.clone());
            let finding = Finding::of_difference(kind, difference.with_expected(standard));
            Some(finding.into())
        };
        let Some(found) = candidate.contents.report.contents() else {
            let subject = Subject::ContentsOfCleanImage {};
            let description = candidate.contents.describe();
            return (candidate.after.is_clean())
                .then(|| finding(DATA, subject, description, "exit 0".to_owned()))
                .flatten();
        };
        let difference = found.difference(&expected)?;
        // A wrong recipe would be a defect of imgduel, and has its own kind.
        let kind = match reference.contents.report.contents() {
            Some(standard) if standard == found => RECIPE,
            _ => DATA,
        };
        finding(
            kind,
            Subject::ContentsAfterRepair {
                place: difference.place,
            },
            difference.first,
            difference.second,
        )
    }
}
