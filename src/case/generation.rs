//! How a seed becomes a case: the list of generations.
//!
//! Each is a row: a name and what it draws. A case is decoded whole, without any tool and before anything runs.

pub mod lineage;
mod malformed;
mod native;
mod python;

use crate::base::error::{Error, Result};
use crate::case::{Case, CaseId, Origin};
use crate::operation::Picker;
use lineage::Change;
use native::Narrowing;
use python::PythonGeneration;

/// A generator of cases. Its name is part of every case's id.
pub struct Generation {
    /// Its name.
    pub name: &'static str,
    draws: Draws,
}

/// How it draws.
enum Draws {
    /// As the Python harness did.
    Python(PythonGeneration),
    /// In our own way, within this narrowing.
    Native(&'static Narrowing),
    /// Damaged images, within this narrowing.
    Malformed(&'static malformed::Narrowing),
}

/// The last iteration of a seed. The Python generations have to be walked through from the first one, which takes a second for this many.
pub const ITERATION_MAX: u64 = 99_999_999;

/// The one that is used when none is named, for tools that can be asked all of it.
const DEFAULT_NAME: &str = "ops16";

/// The Python harness's, oldest first, then our own.
static GENERATIONS: [Generation; 20] = [
    python("ops4", &V1_OPERATIONS, 4, Picker::V1),
    python("ops5", &V1_OPERATIONS, 5, Picker::V1),
    python("ops6", &V1_OPERATIONS, 6, Picker::V1),
    python("ops7", &V1_OPERATIONS, 7, Picker::V1),
    python("ops8", &V1_OPERATIONS, 8, Picker::V1),
    python("ops9", &V1_OPERATIONS, 9, Picker::V1),
    python("ops10", &V1_OPERATIONS, 10, Picker::V1),
    python("ops11", &V1_OPERATIONS, 11, Picker::V1),
    python("ops13", &V2_OPERATIONS, 13, Picker::V2),
    python("ops14", &V2_OPERATIONS, 14, Picker::V2),
    python("ops15", &V2_OPERATIONS, 15, Picker::V2),
    python("ops16", &V2_OPERATIONS, 16, Picker::V2),
    native("native1", &native::WIDE),
    native("native1_imago", &native::IMAGO),
    native("native1_readers", &native::READERS),
    native("native2", &native::DEEP),
    native("native2_imago", &native::DEEP_IMAGO),
    malformed("malformed1", &malformed::WIDE),
    malformed("malformed1_imago", &malformed::IMAGO),
    malformed("malformed1_readers", &malformed::READERS),
];

/// Up to ops11, operations were appended.
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

/// In ops13, amend was put into the middle; then operations were appended again.
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

/// What is drawn for tools that do less than qemu-img: the generation, the tool, what both of them support.
const NARROWINGS: [(&str, &str, &str); 3] = [
    ("native1", "imago", "native1_imago"),
    ("native2", "imago", "native2_imago"),
    ("malformed1", "imago", "malformed1_imago"),
];

/// The tools that can be asked everything that the usual generation draws.
const WHOLE_TOOLS: [&str; 2] = ["qemu-img", "instar"];

/// Generations that there were, but of which too little is known to draw their cases: name and what is missing.
const NOT_KNOWN: [(&str, &str); 2] = [
    (
        "ops12",
        "it came between ops11 and ops13, and whether it drew refcount_bits is not known",
    ),
    (
        "ops16s",
        "it draws more for commit, rebase and bench than ops16, and where is not known",
    ),
];

/// The Python generation `name`, which draws from the first `count` of `operations`.
const fn python(
    name: &'static str,
    operations: &'static [&'static str],
    count: usize,
    picker: Picker,
) -> Generation {
    let (operations, _) = operations.split_at(count);
    Generation {
        name,
        draws: Draws::Python(PythonGeneration { operations, picker }),
    }
}

/// One that draws chains of steps.
const fn native(name: &'static str, narrowing: &'static native::Narrowing) -> Generation {
    Generation {
        name,
        draws: Draws::Native(narrowing),
    }
}

/// One that draws damaged images.
const fn malformed(name: &'static str, narrowing: &'static malformed::Narrowing) -> Generation {
    Generation {
        name,
        draws: Draws::Malformed(narrowing),
    }
}

impl Generation {
    /// Every generation.
    pub fn all() -> &'static [Self] {
        &GENERATIONS
    }

    /// The one that is used when none is named, for tools that can be asked all of it.
    pub fn usual() -> &'static Self {
        Self::named(DEFAULT_NAME).expect("the default is in the list")
    }

    /// The one that fits these tools, when none is named: the usual one where all can do its operations; else our own, narrowed to what
    /// the tools can do, as far as it has all of `pool`; `is_wide` leaves it whole.
    pub fn fitting(tools: &[&str], pool: Option<&[String]>, is_wide: bool) -> &'static Self {
        let has_all = |generation: &&'static Self| {
            let has = |name: &String| generation.operations().contains(&name.as_str());
            pool.is_none_or(|pool| pool.iter().all(has))
        };
        let can_do = |known: &[&str]| tools.iter().all(|tool| known.contains(tool));
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
        // What no generation has is refused with the words of the one that would have been drawn from.
        fits.or(own).unwrap_or(usual)
    }

    /// The generation called `name`.
    pub fn named(name: &str) -> Result<&'static Self> {
        if let Some((_, missing)) = NOT_KNOWN.iter().find(|(unknown, _)| *unknown == name) {
            return Err(Error::usage(format!(
                "{name} cannot be replayed: {missing}"
            )));
        }
        let found = GENERATIONS
            .iter()
            .find(|generation| generation.name == name);
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

    /// The same narrowed to what the tool of this name supports, where there is such a narrowing and it has all of `pool`.
    pub fn narrowed_to(&self, tool: &str, pool: Option<&[String]>) -> Option<&'static Self> {
        let (_, _, narrowed) = NARROWINGS
            .iter()
            .find(|(wide, narrow, _)| (*wide, *narrow) == (self.name, tool))?;
        let narrowed = Self::named(narrowed).ok()?;
        let has = |name: &String| narrowed.operations().contains(&name.as_str());
        pool.is_none_or(|pool| pool.iter().all(has))
            .then_some(narrowed)
    }

    /// The operations it draws from, in their order; of our own generations, the kinds of steps.
    pub fn operations(&self) -> Vec<&'static str> {
        match &self.draws {
            Draws::Python(python) => python.operations.to_vec(),
            Draws::Native(narrowing) => narrowing.names(),
            Draws::Malformed(narrowing) => narrowing.acts.to_vec(),
        }
    }

    /// The cases of `seed` from iteration `start` on, without end, drawn as they are asked for. `pool` replaces the generation's
    /// own list of operations: order and repeats count.
    pub fn cases(
        &'static self,
        seed: u64,
        start: u64,
        pool: Option<&[String]>,
    ) -> Result<impl Iterator<Item = Case> + use<>> {
        self.cases_of_fields(seed, start, pool, None)
    }

    /// The same with the structures and fields that are damaged, for a generation of damaged images.
    pub fn cases_of_fields(
        &'static self,
        seed: u64,
        start: u64,
        pool: Option<&[String]>,
        fields: Option<&[String]>,
    ) -> Result<impl Iterator<Item = Case> + use<>> {
        let fields = fields.map(<[String]>::to_vec);
        match (&self.draws, &fields) {
            (_, None) => {}
            (Draws::Malformed(_), Some(fields)) => malformed::checked_fields(fields)?,
            (_, Some(_)) => {
                return Err(Error::usage(format!(
                    "{} damages no fields: --fields is for malformed1",
                    self.name
                )));
            }
        }
        let pool = pool.map(|pool| self.checked_pool(pool)).transpose()?;
        if start > ITERATION_MAX {
            return Err(Error::usage(format!(
                "there is no iteration {start}: they are numbered from 0 to {ITERATION_MAX}"
            )));
        }
        let iteration_seeds: Box<dyn Iterator<Item = (u64, u64)> + Send> = match &self.draws {
            Draws::Python(_) => {
                let seeds = python::iteration_seeds(seed);
                Box::new((0..).zip(seeds).skip(start as usize))
            }
            Draws::Native(_) | Draws::Malformed(_) => {
                Box::new(native::iteration_seeds(seed, start))
            }
        };
        Ok(iteration_seeds.map(move |(iteration, iter_seed)| {
            let id = CaseId::in_campaign(self.name, seed, iteration);
            match &self.draws {
                Draws::Python(python) => python.decode(id, iter_seed, pool.as_deref()),
                Draws::Native(narrowing) => narrowing.decode(id, iter_seed, pool.as_deref()),
                Draws::Malformed(narrowing) => {
                    narrowing.decode(id, iter_seed, pool.as_deref(), fields.as_deref())
                }
            }
        }))
    }

    /// The one case called `id`, with `pool` as for [`Generation::cases`]. A name with changes is that of a child.
    pub fn case(id: &CaseId, pool: Option<&[String]>) -> Result<Case> {
        Self::case_of_fields(id, pool, None)
    }

    /// The same, with `fields` as for [`Generation::cases_of_fields`].
    pub fn case_of_fields(
        id: &CaseId,
        pool: Option<&[String]>,
        fields: Option<&[String]>,
    ) -> Result<Case> {
        let (base, changes) = lineage::lineage(&id.generation);
        let generation = Self::named(base)?;
        let (seed, iteration) = match id.origin {
            Origin::Campaign { seed, iteration } => (seed, iteration),
            Origin::IterationSeed(seed) => {
                return generation.case_of_iteration_seed(id, seed, pool);
            }
        };
        let mut cases = generation.cases_of_fields(seed, iteration, pool, fields)?;
        let drawn = cases.next().expect("the cases of a seed have no end");
        let mut changes = changes.into_iter();
        changes.try_fold(drawn, |parent, change| Self::child(&parent, change))
    }

    /// The case whose own seed is `seed`. Only the Python generations are quoted by such seeds.
    fn case_of_iteration_seed(
        &self,
        id: &CaseId,
        seed: u32,
        pool: Option<&[String]>,
    ) -> Result<Case> {
        let Draws::Python(python) = &self.draws else {
            return Err(Error::usage(format!(
                "{id} names an iteration's own seed, which only the Python harness's generations (ops4 to ops16) are named by: write {}_sSEED_iITERATION",
                self.name
            )));
        };
        let pool = pool.map(|pool| self.checked_pool(pool)).transpose()?;
        Ok(python.decode(id.clone(), u64::from(seed), pool.as_deref()))
    }

    /// The case that a change makes of another. Only our own generations can be changed.
    pub fn child(parent: &Case, change: Change) -> Result<Case> {
        let (base, _) = lineage::lineage(&parent.generation);
        let Draws::Native(narrowing) = &Self::named(base)?.draws else {
            return Err(Error::usage(format!(
                "{base} draws as it always did: only cases of native1, native2 and their narrowings can be changed"
            )));
        };
        let partner = match change {
            Change::Mutation(_) => None,
            Change::Splice(iteration) => {
                let seed = parent.seed.expect("only a campaign's case is changed");
                let id = CaseId::in_campaign(base, seed, iteration);
                Some(Self::case(&id, parent.ops_filter.as_deref())?)
            }
        };
        Ok(narrowing.changed(parent, change, partner.as_ref()))
    }

    /// Whether its cases can be changed into others.
    pub fn can_be_guided(&self) -> bool {
        matches!(self.draws, Draws::Native(_))
    }

    /// Whether a campaign passes over those of its cases that none of its candidates can be asked: not over the Python harness's, whose
    /// iterations are counted as they were there.
    pub fn passes_over(&self) -> bool {
        !matches!(self.draws, Draws::Python(_))
    }

    fn checked_pool(&self, pool: &[String]) -> Result<Vec<&'static str>> {
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
        pool.iter().map(known).collect()
    }
}
