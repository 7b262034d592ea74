//! The two forms of `commit`, `rebase` and `bench`: the plain recipe, and the one with snapshots.
//!
//! In a case, the field `snapshot_bearing` tells which one it is. The later Python generations draw the form first.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Command, SnapshotBearing};
use crate::base::rng::PythonRandom;
use crate::image::ImageRecipe;
use crate::operation::{AsPerform, DrawPython, Perform, Picker};

/// How often the later generations draw the form with snapshots.
const SNAPSHOT_PROBABILITY: f64 = 0.40;

/// The recipe of an operation, in either form.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Form<Plain> {
    /// Without snapshots.
    Plain(Plain),
    /// With snapshots.
    SnapshotBearing(SnapshotBearing),
}

/// A recipe without snapshots to which one with snapshots belongs.
pub trait PlainRecipe: Perform + DrawPython + DeserializeOwned {
    /// The command that both test.
    const COMMAND: Command;
}

impl<'de, Plain: PlainRecipe> Deserialize<'de> for Form<Plain> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::<String, Value>::deserialize(deserializer)?;
        let bears_snapshots = fields.contains_key("snapshot_bearing");
        let fields = Value::Object(fields);
        let form = match bears_snapshots {
            false => Plain::deserialize(fields).map(Self::Plain),
            true => SnapshotBearing::deserialize(fields).map(|recipe| {
                Self::SnapshotBearing(SnapshotBearing {
                    command: Plain::COMMAND,
                    ..recipe
                })
            }),
        };
        form.map_err(D::Error::custom)
    }
}

impl<Plain: PlainRecipe> DrawPython for Form<Plain> {
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, picker: Picker) -> Self {
        // The first draw is made whether or not anything with snapshots follows.
        if picker == Picker::V3 && random.chance(SNAPSHOT_PROBABILITY) {
            let cluster_size = SnapshotBearing::draw_cluster_size(random);
            let recipe = SnapshotBearing::draw(Plain::COMMAND, random, cluster_size);
            return Self::SnapshotBearing(recipe);
        }
        Self::Plain(Plain::draw_python(random, image, picker))
    }
}

impl<Plain: PlainRecipe> AsPerform for Form<Plain> {
    fn as_perform(&self) -> &dyn Perform {
        match self {
            Self::Plain(plain) => plain,
            Self::SnapshotBearing(recipe) => recipe,
        }
    }
}
