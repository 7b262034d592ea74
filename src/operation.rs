//! The operations: one file and one row each.
//!
//! An operation consists of its parameters, how a generation draws them, the steps for each side, and what must agree
//! afterwards. It never names a tool. To add one: write a file, its `mod` line and its row below.

use serde::{Deserialize, Serialize};

use crate::base::rng::PythonRandom;
use crate::base::variants::CaseSize;
use crate::image::ImageRecipe;
use crate::image::format::Format;
use crate::image::validity::Validity;
use crate::oracle::observations::{Observations, Output, ResourceBounds, Step, StepContext};
use crate::oracle::verdict::{Place, Verdict};
use crate::tool::request::ImageFile;
use facts::Facts;
use feature::Feature;
use snapshot_bearing::{Command, Form, PlainRecipe, SnapshotBearing};

pub mod amend;
pub mod bench;
pub mod bitmap;
pub mod chain;
pub mod check;
pub mod commit;
pub mod convert;
pub mod convert_compressed;
pub mod create;
pub mod dd;
pub mod facts;
pub mod feature;
pub mod info;
pub mod malformed;
pub mod map;
pub mod measure;
pub mod qcow2_options;
pub mod rebase;
pub mod repair;
pub mod resize;
pub mod snapshot;
pub mod snapshot_bearing;
pub mod written;

/// The interface of an operation. The steps are the same for each side.
pub trait Perform {
    /// Validates an operation from a file, for this image. Drawn operations are always valid.
    fn validity(&self, image: &ImageRecipe) -> Validity;

    /// Whether it works on the case's source image.
    fn reads_source(&self) -> bool;

    /// Returns why the operation is skipped in this case, if it is.
    fn skipped(&self) -> Option<String> {
        None
    }

    /// Returns the steps for each side, in order. A side stops at the first step that does not succeed.
    fn steps(&self, context: &StepContext<'_>) -> Vec<Step>;

    /// Returns the final images of each side, if both sides completed the steps.
    fn outputs(&self, context: &StepContext<'_>, observations: &Observations) -> Vec<Output> {
        let _ = (context, observations);
        Vec::new()
    }

    /// Returns the images that exist if every step succeeds: a tool that supports no step may still read one of them.
    fn leaves(&self, context: &StepContext<'_>) -> Vec<ImageFile> {
        let _ = context;
        Vec::new()
    }

    /// Judges single steps, even if the operation did not complete. This verdict precedes those about later exits,
    /// which may be mere consequences.
    fn judge_steps(&self, observations: &Observations) -> Option<Verdict> {
        let _ = observations;
        None
    }

    /// Judges what exits and outputs do not show, if both sides completed the steps; `None` if everything agrees.
    fn judge(&self, context: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let _ = (context, observations);
        None
    }

    /// Returns the resource limits of one call, if the operation has its own.
    fn bounds(&self) -> Option<ResourceBounds> {
        None
    }

    /// Whether a third tool cross-checks the source image.
    fn hears_witness(&self) -> bool {
        false
    }

    /// Returns the candidate's image that a third tool cross-checks after the last step.
    fn witnessed(
        &self,
        context: &StepContext<'_>,
        observations: &Observations,
    ) -> Option<ImageFile> {
        let _ = observations;
        self.hears_witness().then(|| context.source.clone())
    }

    /// Returns the features that the catalogue of known divergences matches.
    fn features(&self) -> Vec<Feature> {
        Vec::new()
    }

    /// Returns the facts about the step or file at which a divergence was found, for the catalogue of known
    /// divergences.
    fn facts(
        &self,
        context: &StepContext<'_>,
        observations: &Observations,
        outputs: &[Output],
        place: &Place,
    ) -> Vec<String> {
        let _ = context;
        Facts::of_place(observations, outputs, place).in_order()
    }

    /// Whether, of several differences, the one of the first aspect of the image is reported instead of the one found
    /// first.
    fn judges_by_aspect(&self) -> bool {
        false
    }

    /// Whether it judges the exits of its steps itself, those of the reference included.
    fn judges_exits(&self) -> bool {
        false
    }

    /// Whether it can be judged if the reference does not support it.
    fn stands_alone(&self) -> bool {
        false
    }

    /// Returns simpler versions for the shrinker, those with the largest reductions first. Each is consistent:
    /// dependent parameters are adjusted. No sequence of them may lead back to its start.
    fn simpler(&self) -> Vec<Operation> {
        Vec::new()
    }

    /// Returns the operation adjusted to another source image; `None` if it does not depend on the image.
    fn sanitized(&self, image: &ImageRecipe) -> Option<Operation> {
        let _ = image;
        None
    }

    /// Returns the size of the operation, which the shrinker reduces.
    fn case_size(&self) -> CaseSize {
        CaseSize::of_operation(0)
    }
}

/// The version of the Python harness's pickers that a generation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picker {
    /// Up to ops11.
    V1,
    /// From ops13 on: create and resize draw refcount_bits too.
    V2,
    /// From ops16s on: commit, rebase and bench draw first whether their images have snapshots.
    V3,
}

/// Whether the Python harness added the format to those of its source images after its generation ops16s. It maps and measures none of these
/// images, and draws nothing for that.
pub fn is_added(format: Format) -> bool {
    matches!(
        format,
        Format::Vdi | Format::Parallels | Format::Qcow | Format::Dmg
    )
}

/// The parameters of an operation, as its interface.
trait AsPerform {
    fn as_perform(&self) -> &dyn Perform;
}

impl<Parameters: Perform> AsPerform for Parameters {
    fn as_perform(&self) -> &dyn Perform {
        self
    }
}

/// Draws an operation for the Python generations.
pub trait DrawPython {
    /// Draws the parameters from the iteration's generator.
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, picker: Picker) -> Self;
}

macro_rules! operations {
    (
        drawn as in Python { $($variant:ident = $name:literal, $parameters:ty;)* }
        ours { $($own_variant:ident = $own_name:literal, $own_parameters:ty;)* }
    ) => {
        /// An operation with its parameters. In JSON, the parameters are beside `"op": NAME`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "op")]
        pub enum Operation {
            $(
                #[doc = concat!("`", $name, "`.")]
                #[serde(rename = $name)]
                $variant($parameters),
            )*
            $(
                #[doc = concat!("`", $own_name, "`.")]
                #[serde(rename = $own_name)]
                $own_variant($own_parameters),
            )*
        }

        /// The names of all operations, in the order of the list.
        pub const OPERATION_NAMES: &[&str] = &[$($name,)* $($own_name),*];

        impl Operation {
            /// Returns the name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    $(Self::$own_variant(_) => $own_name,)*
                }
            }

            /// Draws the parameters of the operation `name` as the Python harness does; `None` if no operation has that
            /// name.
            pub fn draw_python(
                name: &str,
                random: &mut PythonRandom,
                image: &ImageRecipe,
                picker: Picker,
            ) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant(<$parameters>::draw_python(random, image, picker))),)*
                    _ => None,
                }
            }

            /// Returns the operation's interface.
            pub fn perform(&self) -> &dyn Perform {
                match self {
                    $(Self::$variant(parameters) => parameters.as_perform(),)*
                    $(Self::$own_variant(parameters) => parameters.as_perform(),)*
                }
            }
        }
    };
}

operations! {
    drawn as in Python {
        Info = "info", info::Info;
        Check = "check", check::Check;
        Convert = "convert", convert::Convert;
        ConvertCompressed = "convert_compressed", convert_compressed::ConvertCompressed;
        Measure = "measure", measure::Measure;
        Create = "create", create::Create;
        Resize = "resize", resize::Resize;
        Amend = "amend", amend::Amend;
        Rebase = "rebase", Form<rebase::Rebase>;
        Commit = "commit", Form<commit::Commit>;
        Map = "map", map::Map;
        Snapshot = "snapshot", snapshot::Snapshot;
        Repair = "repair", repair::Repair;
        Dd = "dd", dd::Dd;
        Bitmap = "bitmap", bitmap::Bitmap;
        Bench = "bench", Form<bench::Bench>;
    }
    ours {
        Chain = "chain", chain::Chain;
        Malformed = "malformed", malformed::Malformed;
        Written = "written", written::Written;
    }
}

impl PlainRecipe for commit::Commit {
    const COMMAND: Command = Command::Commit;
}

impl From<commit::Commit> for Operation {
    fn from(plain: commit::Commit) -> Self {
        Self::Commit(Form::Plain(plain))
    }
}

impl PlainRecipe for rebase::Rebase {
    const COMMAND: Command = Command::Rebase;
}

impl From<rebase::Rebase> for Operation {
    fn from(plain: rebase::Rebase) -> Self {
        Self::Rebase(Form::Plain(plain))
    }
}

impl PlainRecipe for bench::Bench {
    const COMMAND: Command = Command::Bench;
}

impl From<bench::Bench> for Operation {
    fn from(plain: bench::Bench) -> Self {
        Self::Bench(Form::Plain(plain))
    }
}

impl From<SnapshotBearing> for Operation {
    fn from(recipe: SnapshotBearing) -> Self {
        match recipe.command {
            Command::Commit => Self::Commit(Form::SnapshotBearing(recipe)),
            Command::Rebase => Self::Rebase(Form::SnapshotBearing(recipe)),
            Command::Bench => Self::Bench(Form::SnapshotBearing(recipe)),
        }
    }
}
