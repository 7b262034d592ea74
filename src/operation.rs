//! The operations, one file and one row each.
//!
//! An operation is its parameters, how a generation draws them, what it asks of each side and what must agree
//! afterwards. It never names a tool. Adding one: a file, its `mod` line and its row below.

use serde::{Deserialize, Serialize};

use crate::base::rng::PythonRandom;
use crate::base::simpler::CaseSize;
use crate::image::ImageRecipe;
use crate::image::validity::Validity;
use crate::oracle::observations::{Observations, Output, ResourceBounds, Step, StepContext};
use crate::oracle::verdict::{Place, Verdict};
use crate::tool::request::ImageFile;
use facts::Facts;
use feature::Feature;

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

/// What every operation offers. The steps are the same for each side.
pub trait Perform {
    /// What is wrong with it, as an operation on this image, if it came out of a file: what is drawn is valid.
    fn validity(&self, image: &ImageRecipe) -> Validity;

    /// Whether it works on the case's source image.
    fn reads_source(&self) -> bool;

    /// Why nothing is asked in this case, where that is so.
    fn skipped(&self) -> Option<String> {
        None
    }

    /// What is asked of each side, in order; it ends at the first that does not succeed.
    fn steps(&self, context: &StepContext<'_>) -> Vec<Step>;

    /// What is left on each side when both got to the end of the steps.
    fn outputs(&self, context: &StepContext<'_>, observations: &Observations) -> Vec<Output> {
        let _ = (context, observations);
        Vec::new()
    }

    /// The images that will be left if every step succeeds: a tool that can do no step may still read one of them.
    fn leaves(&self, context: &StepContext<'_>) -> Vec<ImageFile> {
        let _ = context;
        Vec::new()
    }

    /// What must agree after single steps, however the operation went on. It is said before how later steps came out,
    /// because those may only suffer from it.
    fn judge_steps(&self, observations: &Observations) -> Option<Verdict> {
        let _ = observations;
        None
    }

    /// What must agree beyond exits and outputs, when both got to the end of the steps; `None` when it does.
    fn judge(&self, context: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let _ = (context, observations);
        None
    }

    /// What one call may take, where that is known.
    fn bounds(&self) -> Option<ResourceBounds> {
        None
    }

    /// Whether it hears a witness on the source image.
    fn hears_witness(&self) -> bool {
        false
    }

    /// The image on the candidate's side that a witness is asked about, once it is over.
    fn witnessed(
        &self,
        context: &StepContext<'_>,
        observations: &Observations,
    ) -> Option<ImageFile> {
        let _ = observations;
        self.hears_witness().then(|| context.source.clone())
    }

    /// What is notable of it: the catalogue of known divergences may ask for it.
    fn features(&self) -> Vec<Feature> {
        Vec::new()
    }

    /// What is true of the step or file in which a divergence was found, for the catalogue of known divergences.
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

    /// Whether, of several things that differ, the one about the first aspect of the image is told rather than the one found first.
    fn judges_by_aspect(&self) -> bool {
        false
    }

    /// Whether it can be judged when the reference cannot do it.
    fn stands_alone(&self) -> bool {
        false
    }

    /// Simpler versions of itself for the shrinker, those that take away most first. Each is whole: parameters that follow
    /// from others follow in it too. No chain of them may come back to where it began.
    fn simpler(&self) -> Vec<Operation> {
        Vec::new()
    }

    /// Itself for another source image; `None` when it is the same for every image.
    fn sanitized(&self, image: &ImageRecipe) -> Option<Operation> {
        let _ = image;
        None
    }

    /// How much there is of it.
    fn case_size(&self) -> CaseSize {
        CaseSize::of_operation(0)
    }
}

/// Which form of the Python harness's pickers a generation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picker {
    /// Up to ops11.
    V1,
    /// From ops13 on: create and resize draw refcount_bits as well.
    V2,
}

/// How the Python generations draw an operation.
pub trait DrawPython {
    /// Its parameters, from the iteration's generator.
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, picker: Picker) -> Self;
}

macro_rules! operations {
    (
        drawn as in Python { $($variant:ident = $name:literal, $parameters:ty;)* }
        ours { $($own_variant:ident = $own_name:literal, $own_parameters:ty;)* }
    ) => {
        /// An operation with its parameters. In JSON: the parameters beside `"op": NAME`.
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

        /// Every operation's name, in the order of the list.
        pub const OPERATION_NAMES: &[&str] = &[$($name,)* $($own_name),*];

        impl Operation {
            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    $(Self::$own_variant(_) => $own_name,)*
                }
            }

            /// Draws the parameters of the operation called `name` as the Python harness does; `None` when there is none
            /// of that name.
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

            /// What it offers.
            pub fn perform(&self) -> &dyn Perform {
                match self {
                    $(Self::$variant(parameters) => parameters,)*
                    $(Self::$own_variant(parameters) => parameters,)*
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
        Rebase = "rebase", rebase::Rebase;
        Commit = "commit", commit::Commit;
        Map = "map", map::Map;
        Snapshot = "snapshot", snapshot::Snapshot;
        Repair = "repair", repair::Repair;
        Dd = "dd", dd::Dd;
        Bitmap = "bitmap", bitmap::Bitmap;
        Bench = "bench", bench::Bench;
    }
    ours {
        Chain = "chain", chain::Chain;
        Malformed = "malformed", malformed::Malformed;
    }
}
