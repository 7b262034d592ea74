//! What the two tools of a record are called in a bug report or a script: by their names or, where that is the same tool twice, by their parts too.
//!
//! No path of a machine is in them.

use crate::oracle::side::Side;
use crate::run::record::{Record, ToolName};

/// Returns the name of the tool on a side: `7zz`, or `qemu-img (candidate)` against another build of it.
pub fn side_name(record: &Record, side: Side) -> String {
    let [own, other] = sides(record, side);
    match own.name == other.name {
        true => format!("{} ({})", own.name, side.name()),
        false => own.name.clone(),
    }
}

/// Returns the name and the version of the tool on a side; of two builds of one release, what is told apart is the part.
pub fn side_name_and_version(record: &Record, side: Side) -> String {
    let [own, other] = sides(record, side);
    match (&own.name, &own.version) == (&other.name, &other.version) {
        true => format!("{own} ({})", side.name()),
        false => own.to_string(),
    }
}

fn sides(record: &Record, side: Side) -> [&ToolName; 2] {
    match side {
        Side::Candidate => [&record.candidate, &record.reference],
        Side::Reference => [&record.reference, &record.candidate],
    }
}
