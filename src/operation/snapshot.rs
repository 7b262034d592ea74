//! `snapshot`: both tools create, delete and apply internal snapshots of a qcow2, with guest writes in between.
//!
//! The reference creates the image and performs the writes, on both sides. After every create and delete, both files
//! must have the same bytes; at the end, the image and every existing snapshot must have the contents that the chain
//! determines. The Python harness compares neither the snapshots' contents nor their dates.

use serde::{Deserialize, Serialize};

use self::history::History;
use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Fill, Write};
use crate::image::format::Format;
use crate::image::options::{Compat, CreateOption};
use crate::image::validity::Validity;
use crate::oracle::observations::{
    ExitExpectation, ExpectedSnapshot, HarnessAction, Observations, Output, Step, StepContext,
    StepResult, Task,
};
use crate::oracle::verdict::{DivergenceKind, OutputAspect, OutputRole, Verdict};
use crate::tool::request::{ImageFile, Request, SnapshotAction, SnapshotKey};
use host_clusters::same_bytes;

mod history;
pub mod host_clusters;
mod validity;

const FIXTURE: DivergenceKind = DivergenceKind::SnapshotFixture;
const WRITE: DivergenceKind = DivergenceKind::SnapshotWrite;

const CLUSTER_SIZES: [u64; 3] = [512, 4096, 65536];
const SIZES: [&str; 3] = ["4M", "16M", "64M"];
const WRITE_LENGTHS: [u64; 3] = [4096, 65536, 131_072];
const WRITE_GRAIN_BYTES: u64 = 4096;

/// The data of the backing file consists of whole units of this many bytes: the largest drawn clusters.
const BASE_GRAIN_BYTES: u64 = 65536;

/// The maximum number of snapshots at a time.
const LIVE_MAX: usize = 16;

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The cluster size in bytes.
    pub cluster_size: u64,
    /// The version: `1.1` or `0.10`.
    pub compat: Compat,
    /// Whether clusters have subclusters.
    pub extended_l2: bool,
    /// The virtual size.
    pub size: Size,
    /// Whether it has a backing file.
    pub backing: bool,
    /// The guest writes before the chain.
    pub seed_writes: Vec<Element>,
    /// The elements: snapshot commands and writes.
    pub chain: Vec<Element>,
}

/// One element. In JSON: `["create", NAME]`, `["delete", ARGUMENT]`, `["apply", ARGUMENT]` or `["write", OFFSET,
/// LENGTH, BYTE]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Element {
    /// `create`, `delete` or `apply`, with a name or another argument.
    Named(SnapshotAction, String),
    /// `write`, with offset and length in bytes, and the byte.
    Write(String, u64, u64, u8),
}

impl Element {
    /// Returns the guest write, if the element is one.
    pub fn write(&self) -> Option<Write> {
        match *self {
            Self::Write(_, offset, length, byte) => Some(Write {
                offset,
                length,
                fill: Fill::Byte(byte),
            }),
            Self::Named(..) => None,
        }
    }
}

impl DrawPython for Snapshot {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let compat = *random.choice(&[Compat::Version3, Compat::Version2]);
        let extended_l2 = cluster_size == 65536 && compat == Compat::Version3 && random.chance(0.3);
        // A choice among one element consumes random words like any other.
        let sizes = if cluster_size == 512 {
            &SIZES[..1]
        } else {
            &SIZES
        };
        let size = Size::literal(random.choice::<&str>(sizes));
        let backing = random.chance(0.25);
        let seed_count = random.randint(0, 2);
        let seed_writes = (0..seed_count)
            .map(|_| draw_write(random, size.bytes()))
            .collect();
        let chain_length = random.randint(1, 8);
        let mut table = Table::default();
        let chain = (0..chain_length)
            .map(|_| table.draw(random, size.bytes()))
            .collect();
        Self {
            cluster_size,
            compat,
            extended_l2,
            size,
            backing,
            seed_writes,
            chain,
        }
    }
}

fn draw_write(random: &mut PythonRandom, size: u64) -> Element {
    let length = *random.choice(&WRITE_LENGTHS);
    let offset = random.randint(0, size - length) / WRITE_GRAIN_BYTES * WRITE_GRAIN_BYTES;
    let byte = random.randint(1, 255) as u8;
    Element::Write("write".to_owned(), offset, length, byte)
}

/// The snapshots that exist while the chain is drawn: (id, name), in the order of the table.
#[derive(Default)]
struct Table {
    live: Vec<(u64, String)>,
}

impl Table {
    fn draw(&mut self, random: &mut PythonRandom, size: u64) -> Element {
        let kinds = [
            Some(SnapshotAction::Delete),
            Some(SnapshotAction::Apply),
            None,
            Some(SnapshotAction::Create),
            Some(SnapshotAction::Create),
            Some(SnapshotAction::Create),
        ];
        let kinds = if self.live.len() < LIVE_MAX {
            &kinds[..]
        } else {
            &kinds[..3]
        };
        let Some(action) = *random.choice(kinds) else {
            return draw_write(random, size);
        };
        if action == SnapshotAction::Create {
            return self.create(random);
        }
        let argument = self.draw_argument(random);
        if action == SnapshotAction::Delete
            && let Some(index) = self.live.iter().position(|(_, name)| *name == argument)
        {
            self.live.remove(index);
        }
        Element::Named(action, argument)
    }

    fn create(&mut self, random: &mut PythonRandom) -> Element {
        let longest = "L".repeat(255);
        let names = [
            "alpha",
            "beta",
            "gamma",
            "2",
            "snap with spaces",
            "snäp-名前",
            &longest,
        ];
        let name = (*random.choice(&names)).to_owned();
        let highest = self.live.iter().map(|(id, _)| *id).max().unwrap_or(0);
        self.live.push((highest + 1, name.clone()));
        Element::Named(SnapshotAction::Create, name)
    }

    fn draw_argument(&self, random: &mut PythonRandom) -> String {
        let number = random.randint(1, 20).to_string();
        let none = "no-such-snapshot".to_owned();
        if self.live.is_empty() {
            return random.choice(&[none, number]).clone();
        }
        let (id, name) = random.choice(&self.live);
        let (id, name) = (id.to_string(), name.clone());
        random
            .choice(&[
                name.clone(),
                name.clone(),
                name,
                id.clone(),
                id,
                none,
                number,
            ])
            .clone()
    }
}

impl Snapshot {
    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        let mut file = ImageFile::new(&context.stem, Format::Qcow2).with_options([
            CreateOption::ClusterSize(self.cluster_size),
            CreateOption::Compat(self.compat),
        ]);
        let extended = self.extended_l2.then_some(CreateOption::ExtendedL2(true));
        file.options.extend(extended);
        let base = self.backing.then(|| Self::base(context));
        file.options
            .extend(base.into_iter().flat_map(ImageFile::backing_options));
        file
    }

    fn base(context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&format!("{}-base", context.stem), Format::Qcow2)
    }

    /// Returns the data of the backing file, if there is one: around all later writes, so that tools must copy the rest
    /// of clusters, and at the end, to which the chain rarely writes.
    fn base_writes(&self, context: &StepContext<'_>) -> Vec<Write> {
        if !self.backing {
            return Vec::new();
        }
        let size = self.size.bytes();
        let later = self.seed_writes.iter().chain(&self.chain);
        let mut writes: Vec<Write> = (0..)
            .zip(later.filter_map(Element::write))
            .map(|(index, write)| {
                let start = write.offset / BASE_GRAIN_BYTES * BASE_GRAIN_BYTES;
                let end = (write.offset + write.length).next_multiple_of(BASE_GRAIN_BYTES);
                context.write(index, start, end.min(size) - start)
            })
            .collect();
        writes.push(context.write(6, size - BASE_GRAIN_BYTES, BASE_GRAIN_BYTES));
        writes
    }

    fn seeds(&self) -> Vec<Write> {
        self.seed_writes.iter().filter_map(Element::write).collect()
    }

    /// Returns what the image must have become, from the reference's result of each element that is not a write.
    fn history(&self, context: &StepContext<'_>, observations: &Observations) -> History {
        let base = self.base_writes(context).into_iter();
        let mut history = History::new(base.chain(self.seeds()).collect());
        let step_results = observations
            .reference
            .iter()
            .flat_map(|side_run| &side_run.step_results);
        let mut obeyed = step_results
            .filter(|step_result| {
                matches!(step_result.step.task, Task::Tool(Request::Snapshot { .. }))
            })
            .map(|step_result| step_result.answer.succeeded());
        for element in &self.chain {
            match element {
                Element::Write(..) => history.active.extend(element.write()),
                // Both sides refused it; otherwise the operation would not have completed.
                Element::Named(..) if obeyed.next() != Some(true) => {}
                Element::Named(action, argument) => match action {
                    SnapshotAction::Create => history.create(argument),
                    SnapshotAction::Delete => history.delete(argument),
                    SnapshotAction::Apply => history.apply(argument),
                },
            }
        }
        history
    }

    fn element_steps(&self, context: &StepContext<'_>, element: &Element) -> Vec<Step> {
        let file = self.file(context);
        match element {
            Element::Write(..) => {
                let writes = element.write().into_iter().collect();
                vec![Step::fixture(Request::Write { file, writes }, WRITE)]
            }
            Element::Named(action, argument) => {
                let action = *action;
                let request = Request::Snapshot {
                    file: file.clone(),
                    action,
                    snapshot: SnapshotKey::word(action, argument),
                };
                // If both sides refuse, the operation continues with the next element.
                let mut steps = vec![Step {
                    expected_exit: ExitExpectation::GoOn,
                    ..Step::own(request)
                }];
                // Tools may leave anything in clusters that an apply frees (issue 381 of instar).
                if action != SnapshotAction::Apply {
                    steps.push(Step::harness(HarnessAction::HostClusters { file }));
                }
                steps
            }
        }
    }
}

impl Perform for Snapshot {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        self.validity_of_all()
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let versions = Versions::new(self)
            .each(
                variants::shorter_not_empty(&self.chain),
                |version, chain| version.chain = chain,
            )
            .each(variants::shorter(&self.seed_writes), |version, writes| {
                version.seed_writes = writes
            })
            .when(self.backing, |version| version.backing = false)
            .when(self.extended_l2, |version| version.extended_l2 = false)
            .when(self.compat != Compat::Version3, |version| {
                version.compat = Compat::Version3
            })
            .when(self.cluster_size != 65536, |version| {
                version.cluster_size = 65536
            });
        versions.all().map(Operation::Snapshot).collect()
    }

    fn case_size(&self) -> CaseSize {
        let options = [
            self.backing,
            self.extended_l2,
            self.compat != Compat::Version3,
            self.cluster_size != 65536,
        ];
        let chained = self.chain.iter().filter_map(Element::write).count();
        CaseSize {
            operations: self.chain.len() - chained,
            options: options.into_iter().filter(|given| *given).count(),
            writes: self.seed_writes.len() + chained,
        }
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let fixture = |file: &ImageFile, writes: Vec<Write>| {
            let create = Request::Create {
                file: file.clone(),
                size: self.size.clone(),
            };
            let file = file.clone();
            let write = (!writes.is_empty()).then_some(Request::Write { file, writes });
            std::iter::once(Step::fixture(create, FIXTURE))
                .chain(write.map(|write| Step::fixture(write, FIXTURE)))
        };
        let base = self
            .backing
            .then(|| fixture(&Self::base(context), self.base_writes(context)));
        let elements = self.chain.iter();
        base.into_iter()
            .flatten()
            .chain(fixture(&self.file(context), self.seeds()))
            .chain(elements.flat_map(|element| self.element_steps(context, element)))
            .collect()
    }

    fn outputs(&self, context: &StepContext<'_>, observations: &Observations) -> Vec<Output> {
        let history = self.history(context, observations);
        let contents = |writes: &[Write]| Contents::of_writes(self.size.bytes(), writes);
        let snapshots = history.snapshots.iter().map(|taken| ExpectedSnapshot {
            id: taken.id.to_string(),
            contents: contents(&taken.writes),
        });
        vec![Output {
            content_aspect: OutputAspect::Compare,
            snapshots: Some(snapshots.collect()),
            ..Output::new(
                self.file(context),
                OutputRole::Snapshot,
                contents(&history.active),
            )
        }]
    }

    fn judge_steps(&self, observations: &Observations) -> Option<Verdict> {
        let reference = observations.reference.as_ref()?;
        let step_results = std::iter::zip(
            &observations.candidate.step_results,
            &reference.step_results,
        );
        let pairs: Vec<(&StepResult, &StepResult)> = step_results.collect();
        pairs.windows(2).find_map(|pairs| {
            let [(action, counterpart), (candidate, reference)] = pairs else {
                return None;
            };
            let compared = matches!(
                candidate.step.task,
                Task::Harness(HarnessAction::HostClusters { .. })
            ) && action.answer.succeeded()
                && counterpart.answer.succeeded();
            compared
                .then(|| same_bytes(action, &candidate.answer, &reference.answer))
                .flatten()
        })
    }
}
