//! Decodes seeds into cases: the table of generations.
//!
//! A generation is a row of the table: a name and the generator behind it. Decoding needs no tool and finishes before anything runs.
//! The cases of a named generation never change, so that ids in old reports stay valid.

pub mod ancestry;
pub mod image_case;
mod malformed;
mod native;
mod python;
mod selection;
pub mod start_image;
mod written;

pub use selection::Selection;

use crate::base::error::{Error, Result};
use crate::case::{Case, CaseId, Origin};
use crate::image::dmg::Payload;
use crate::operation::Picker;
use crate::operation::chain::Chain;
use crate::tool::known_as;
use ancestry::Change;
use native::NativeProfile;
use python::PythonGeneration;

/// A generator of cases. Its name is part of every case's id.
pub struct Generation {
    /// The name, as `--generation` takes it.
    pub name: &'static str,
    draws: Draws,
}

/// The generator behind a generation.
enum Draws {
    /// Draws the same cases as the Python harness.
    Python(PythonGeneration),
    /// Draws the same cases as cow-soak, a script of the Python harness.
    Soak,
    /// Draws chains of steps within this profile.
    Native(&'static NativeProfile),
    /// Draws damaged images within this profile.
    Malformed(&'static malformed::MalformedProfile),
    /// Draws images of our own writers within this profile.
    Written(&'static written::WrittenProfile),
}

/// The last iteration of a seed. The Python generations compute the seeds of all earlier iterations first, which takes a second for
/// this many.
pub const ITERATION_MAX: u64 = 99_999_999;

/// The default generation for tools that support all of its operations.
const DEFAULT_NAME: &str = "ops16";

/// The generations of the Python harness, oldest first, then the native ones.
static GENERATIONS: [Generation; 33] = [
    python("ops4", &V1_OPERATIONS, 4, Picker::V1, 4),
    python("ops5", &V1_OPERATIONS, 5, Picker::V1, 4),
    python("ops6", &V1_OPERATIONS, 6, Picker::V1, 4),
    python("ops7", &V1_OPERATIONS, 7, Picker::V1, 4),
    python("ops8", &V1_OPERATIONS, 8, Picker::V1, 4),
    python("ops9", &V1_OPERATIONS, 9, Picker::V1, 4),
    python("ops10", &V1_OPERATIONS, 10, Picker::V1, 4),
    python("ops11", &V1_OPERATIONS, 11, Picker::V1, 4),
    python("ops13", &V2_OPERATIONS, 13, Picker::V2, 4),
    python("ops14", &V2_OPERATIONS, 14, Picker::V2, 4),
    python("ops15", &V2_OPERATIONS, 15, Picker::V2, 4),
    python("ops16", &V2_OPERATIONS, 16, Picker::V2, 4),
    python("ops16s", &V2_OPERATIONS, 16, Picker::V3, 4),
    python("ops16v", &V2_OPERATIONS, 16, Picker::V3, 5),
    python("ops16p", &V2_OPERATIONS, 16, Picker::V3, 6),
    // Inferred: the text of ops16q was never seen. It came between its neighbours, and had the compressed form of qcow.
    python("ops16q", &V2_OPERATIONS, 16, Picker::V3, 7),
    python("ops16d", &V2_OPERATIONS, 16, Picker::V3, 8),
    Generation {
        name: "cow_soak",
        draws: Draws::Soak,
    },
    native("native1", &native::WIDE),
    native("native1_imago", &native::IMAGO),
    native("native1_readers", &native::READERS),
    native("native2", &native::DEEP),
    native("native2_imago", &native::DEEP_IMAGO),
    native("native3", &native::RICH),
    native("native3_imago", &native::RICH_IMAGO),
    native("native3_readers", &native::TEXTURED_READERS),
    native("native4", &native::PLACED),
    native("native4_imago", &native::PLACED_IMAGO),
    malformed("malformed1", &malformed::WIDE),
    malformed("malformed1_imago", &malformed::IMAGO),
    malformed("malformed1_readers", &malformed::READERS),
    Generation {
        name: "readers3",
        draws: Draws::Written(&written::READERS),
    },
    Generation {
        name: "writers3",
        draws: Draws::Written(&written::WRITERS),
    },
];

/// The operations up to ops11: each generation appended one.
const V1_OPERATIONS: [&str; 11] = [
    "info",
    "check",
    "convert",
    "convert_compressed",
    "measure",
    "create",
    "resize",
    "rebase",
    "commit",
    "map",
    "snapshot",
];

/// The operations from ops13 on: ops13 inserted amend in the middle, later generations appended again.
const V2_OPERATIONS: [&str; 16] = [
    "info",
    "check",
    "convert",
    "convert_compressed",
    "measure",
    "create",
    "resize",
    "amend",
    "rebase",
    "commit",
    "map",
    "snapshot",
    "repair",
    "dd",
    "bitmap",
    "bench",
];

/// The narrower generations for tools that support less than qemu-img: the wide generation, the tool, the narrower generation.
const NARROWINGS: [(&str, &str, &str); 5] = [
    ("native1", "imago", "native1_imago"),
    ("native2", "imago", "native2_imago"),
    ("native3", "imago", "native3_imago"),
    ("native4", "imago", "native4_imago"),
    ("malformed1", "imago", "malformed1_imago"),
];

/// The tools that support every operation of the default generation.
const WHOLE_TOOLS: [&str; 2] = ["qemu-img", "instar"];

/// Former generations of the Python harness that cannot be decoded: the name and what is unknown about them.
const NOT_KNOWN: [(&str, &str); 1] = [(
    "ops12",
    "it came between ops11 and ops13, and whether it drew refcount_bits is not known",
)];

/// Names of the Python harness that are no identifiers, and those that ids have instead.
const ALIASES: [(&str, &str); 1] = [("cow-soak", "cow_soak")];

/// Defines a Python generation that draws from the first `count` of `operations`, and source images of the first `format_count` formats.
const fn python(
    name: &'static str,
    operations: &'static [&'static str],
    count: usize,
    picker: Picker,
    format_count: usize,
) -> Generation {
    let (operations, _) = operations.split_at(count);
    let (formats, _) = python::FORMATS.split_at(format_count);
    Generation {
        name,
        draws: Draws::Python(PythonGeneration {
            operations,
            picker,
            formats,
        }),
    }
}

/// Defines a generation that draws chains of steps.
const fn native(name: &'static str, profile: &'static native::NativeProfile) -> Generation {
    Generation {
        name,
        draws: Draws::Native(profile),
    }
}

/// Defines a generation that draws damaged images.
const fn malformed(
    name: &'static str,
    profile: &'static malformed::MalformedProfile,
) -> Generation {
    Generation {
        name,
        draws: Draws::Malformed(profile),
    }
}

impl Generation {
    /// Whether the tools make the images of its cases; otherwise our own writers, or others, do.
    pub fn wants_made_images(&self) -> bool {
        !matches!(self.draws, Draws::Written(_))
    }

    /// Returns every generation.
    pub fn all() -> &'static [Self] {
        &GENERATIONS
    }

    /// Returns the default generation for tools that support all of its operations.
    pub fn usual() -> &'static Self {
        Self::named(DEFAULT_NAME).expect("the default is in the list")
    }

    /// Returns the default generation for these candidates: the usual one if all of them support its operations, otherwise the native
    /// one whose profile fits them. A generation that lacks a selected operation is not chosen. With `is_wide`, the native generation
    /// is native1 without a narrower profile.
    pub fn fitting(tools: &[&str], selection: &Selection, is_wide: bool) -> &'static Self {
        let has_all = |generation: &&'static Self| selection.is_within(&generation.operations());
        let can_do = |known: &[&str]| tools.iter().all(|tool| known.contains(&known_as(tool)));
        let own = match can_do(&WHOLE_TOOLS) {
            true => None,
            false if is_wide => Some("native1"),
            false if can_do(&[&WHOLE_TOOLS[..], &["imago"]].concat()) => Some("native1_imago"),
            false => Some("native1_readers"),
        };
        let own = own.and_then(|name| Self::named(name).ok());
        let usual = Self::usual();
        let whole = GENERATIONS.iter().find(|one| one.name == "native1");
        let fits = own.into_iter().chain([usual]).chain(whole).find(has_all);
        // If no generation has the whole pool, the error message should name the generation that fits the tools.
        fits.or(own).unwrap_or(usual)
    }

    /// Returns the generation with this name; otherwise an error that lists the known names, or says why this one cannot be replayed.
    pub fn named(name: &str) -> Result<&'static Self> {
        if let Some((_, missing)) = NOT_KNOWN.iter().find(|(unknown, _)| *unknown == name) {
            return Err(Error::usage(format!(
                "{name} cannot be replayed: {missing}"
            )));
        }
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let own = alias.map_or(name, |(_, own)| own);
        let found = GENERATIONS.iter().find(|generation| generation.name == own);
        found.ok_or_else(|| {
            let known: Vec<&str> = GENERATIONS
                .iter()
                .map(|generation| generation.name)
                .collect();
            Error::usage(format!(
                "there is no generation '{name}': known are {}",
                known.join(", ")
            ))
        })
    }

    /// Returns the narrower generation for this tool; `None` if there is none, or if it lacks a selected operation.
    pub fn narrowed_to(&self, tool: &str, selection: &Selection) -> Option<&'static Self> {
        let tool = known_as(tool);
        let (_, _, narrowed) = NARROWINGS
            .iter()
            .find(|(wide, narrow, _)| (*wide, *narrow) == (self.name, tool))?;
        let narrowed = Self::named(narrowed).ok()?;
        selection
            .is_within(&narrowed.operations())
            .then_some(narrowed)
    }

    /// Returns the names that `--ops` may select, in order: operations, or the kinds of steps of native generations.
    pub fn operations(&self) -> Vec<&'static str> {
        match &self.draws {
            Draws::Python(python) => python.operations.to_vec(),
            Draws::Soak => python::SOAK_OPERATIONS.to_vec(),
            Draws::Native(profile) => profile.names(),
            Draws::Malformed(profile) => profile.kinds.to_vec(),
            Draws::Written(profile) => profile.looks.to_vec(),
        }
    }

    /// Returns an endless iterator over the cases of `seed`, from iteration `start` on. Fails if `selection` has an
    /// unknown name, or fields for a generation that damages none, or `start` is beyond [`ITERATION_MAX`].
    pub fn cases(
        &'static self,
        seed: u64,
        start: u64,
        selection: &Selection,
    ) -> Result<impl Iterator<Item = Case> + use<>> {
        let fields = selection.fields.clone();
        self.checked_start(selection, start)?;
        let pool = self.checked_pool(selection)?;
        let iteration_seeds: Box<dyn Iterator<Item = (u64, u64)> + Send> = match &self.draws {
            Draws::Python(_) => {
                let seeds = python::iteration_seeds(seed);
                Box::new((0..).zip(seeds).skip(start as usize))
            }
            // Seed and iteration themselves are the seed.
            Draws::Soak => Box::new((start..).map(|iteration| (iteration, 0))),
            Draws::Native(_) | Draws::Malformed(_) | Draws::Written(_) => {
                Box::new(native::iteration_seeds(seed, start))
            }
        };
        Ok(iteration_seeds.map(move |(iteration, iter_seed)| {
            let id = CaseId::in_campaign(self.name, seed, iteration);
            match &self.draws {
                Draws::Python(python) => python.decode(id, iter_seed, pool.as_deref()),
                Draws::Soak => python::decode_soak(id, pool.as_deref()),
                Draws::Native(profile) => profile.decode(id, iter_seed, pool.as_deref(), None),
                Draws::Written(profile) => profile.decode(id, iter_seed, pool.as_deref()),
                Draws::Malformed(profile) => {
                    profile.decode(id, iter_seed, pool.as_deref(), fields.as_deref())
                }
            }
        }))
    }

    /// Checks the fields of a selection, and the first iteration.
    fn checked_start(&self, selection: &Selection, start: u64) -> Result<()> {
        match (&self.draws, &selection.fields) {
            (_, None) => {}
            (Draws::Malformed(_), Some(fields)) => malformed::checked_fields(fields)?,
            (_, Some(_)) => {
                return Err(Error::usage(format!(
                    "{} damages no fields: --fields is for malformed1",
                    self.name
                )));
            }
        }
        match start > ITERATION_MAX {
            true => Err(Error::usage(format!(
                "there is no iteration {start}: they are numbered from 0 to {ITERATION_MAX}"
            ))),
            false => Ok(()),
        }
    }

    /// Returns the case with this id. If the name contains changes, they are
    /// applied to the drawn case in order.
    pub fn case(id: &CaseId, selection: &Selection) -> Result<Case> {
        if let (_, Some(digest)) = image_case::parted(&id.generation) {
            return Err(image_case::missing(id, digest));
        }
        let (base, changes) = ancestry::lineage(&id.generation);
        let generation = Self::named(base)?;
        let (seed, iteration) = match id.origin {
            Origin::Campaign { seed, iteration } => (seed, iteration),
            Origin::IterationSeed(seed) => {
                return generation.case_of_iteration_seed(id, seed, selection);
            }
        };
        let mut cases = generation.cases(seed, iteration, selection)?;
        let drawn = cases.next().expect("the cases of a seed have no end");
        let mut changes = changes.into_iter();
        changes.try_fold(drawn, |parent, change| Self::child(&parent, change))
    }

    /// Returns the case whose own seed is `seed`. Only the Python generations accept such ids.
    fn case_of_iteration_seed(
        &self,
        id: &CaseId,
        seed: u32,
        selection: &Selection,
    ) -> Result<Case> {
        let Draws::Python(python) = &self.draws else {
            return Err(Error::usage(format!(
                "{id} holds an iteration's own seed, which only the generations of the Python harness (ops4 to ops16d) accept: write {}_sSEED_iITERATION",
                self.name
            )));
        };
        let pool = self.checked_pool(selection)?;
        Ok(python.decode(id.clone(), u64::from(seed), pool.as_deref()))
    }

    /// Returns the case that results from mutating or splicing `parent`. Fails unless `parent` belongs to a native generation.
    pub fn child(parent: &Case, change: Change) -> Result<Case> {
        let (base, _) = ancestry::lineage(&parent.generation);
        let Draws::Native(profile) = &Self::named(base)?.draws else {
            return Err(Error::usage(format!(
                "cases of {base} cannot be mutated: only those of native1 to native3 and their narrower variants can"
            )));
        };
        let partner = match change {
            Change::Mutation(_) => None,
            Change::Splice(iteration) => {
                let seed = parent.seed.expect("only a campaign's case is changed");
                let id = CaseId::in_campaign(base, seed, iteration);
                Some(Self::case(&id, &parent.selection())?)
            }
        };
        Ok(profile.changed(parent, change, partner.as_ref()))
    }

    /// Returns whether the main script of the Python harness draws these cases.
    pub fn is_of_python_harness(&self) -> bool {
        matches!(self.draws, Draws::Python(_))
    }

    /// Returns where the data of a dmg come from in a case with this seed of its own.
    pub fn payload(iter_seed: u64) -> Payload {
        python::payload(iter_seed)
    }

    /// Returns the estimated cost of a chain for the reference, in ordinary calls.
    pub fn cost_of_chain(chain: &Chain) -> u64 {
        native::budget::estimate(chain) / native::budget::CALL
    }

    /// Returns whether a guided campaign can use the generation, that is, whether its cases can be mutated and spliced.
    pub fn can_be_guided(&self) -> bool {
        matches!(self.draws, Draws::Native(_))
    }

    /// Returns whether a campaign omits cases that no candidate supports. The Python generations keep them, so that iteration numbers
    /// match those of the Python harness.
    pub fn passes_over(&self) -> bool {
        !matches!(self.draws, Draws::Python(_) | Draws::Soak)
    }

    /// Whether the model alone can judge its cases: chains of steps, and images of our own writers.
    pub fn is_judged_by_model(&self) -> bool {
        matches!(self.draws, Draws::Native(_) | Draws::Written(_))
    }

    /// Returns the static names of the selected operations. Fails if there is none or an unknown one.
    fn checked_pool(&self, selection: &Selection) -> Result<Option<Vec<&'static str>>> {
        let Some(pool) = &selection.operations else {
            return Ok(None);
        };
        if pool.is_empty() {
            return Err(Error::usage(
                "--ops names no operation: write them with commas, as in info,resize",
            ));
        }
        let all = self.operations();
        let known = |wanted: &String| {
            let found = all.iter().find(|name| *name == wanted);
            found.copied().ok_or_else(|| {
                let known = all.join(", ");
                Error::usage(format!(
                    "{} has no operation '{wanted}': it has {known}",
                    self.name
                ))
            })
        };
        pool.iter().map(known).collect::<Result<_>>().map(Some)
    }
}
