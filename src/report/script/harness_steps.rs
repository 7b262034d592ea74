//! The harness's own steps in a shell: damage before a repair, and the comparison of whole images with normalized dates
//! of snapshots.
//!
//! Used for the steps of a side and for the comparison. `imgduel inspect` reads the metadata of a qcow2.

use super::ScriptInput;
use super::shell::{Check, NEEDS_IMGDUEL};
use crate::operation::snapshot::host_clusters::DATE_SLACK_SECONDS;
use crate::oracle::observations::{HarnessAction, Task};
use crate::oracle::verdict::Subject;
use crate::run::evidence::quoted;

/// Returns the line for step `number`, which no tool performs. The command line of damage was recorded when it was
/// done.
pub(super) fn line(action: &HarnessAction, number: usize, damage: Option<&str>) -> Option<String> {
    let name = quoted(&action.file().path);
    match action {
        // The dates are normalized when the copies are compared.
        HarnessAction::HostClusters { .. } => {
            Some(format!("cp --sparse=always {name} {number}.host"))
        }
        HarnessAction::Corrupt { .. } => damage.map(str::to_owned),
        _ => None,
    }
}

/// Returns the comparison of both sides' bytes after every create and delete; `None` for other kinds.
pub(super) fn of_host_clusters(input: &ScriptInput<'_>) -> Option<Check> {
    let mut text = String::new();
    for (number, step) in input.steps.iter().enumerate() {
        if !matches!(step.task, Task::Harness(HarnessAction::HostClusters { .. })) {
            continue;
        }
        let sides = |ending: &str| format!("candidate/{number}{ending} reference/{number}{ending}");
        text.push_str(&match input.subject()? {
            Subject::HostClusters { .. } => format!(
                "imgduel inspect candidate/{number}.host --against reference/{number}.host\n\
                 case $? in 0) ;; 1) exit 0 ;; *) exit 2 ;; esac\n"
            ),
            Subject::SnapshotDate { .. } => format!(
                "for side in candidate reference; do imgduel inspect $side/{number}.host --dates >$side/{number}.host.dates || exit 2; done\n\
                 paste {} | awk '{{ apart = $1 - $2; if (apart > {DATE_SLACK_SECONDS} || -apart > {DATE_SLACK_SECONDS}) far = 1 }} END {{ exit !far }}' && exit 0\n",
                sides(".host.dates")
            ),
            Subject::SnapshotTable { .. } => {
                let name = quoted(&step.task.file().path);
                let list = |side: &str| {
                    format!("(cd {side} && \"$reference\" snapshot -l {name}) >/dev/null 2>&1")
                };
                format!("{} && ! {} && exit 0\n", list("reference"), list("candidate"))
            }
            _ => return None,
        });
    }
    let functions = match input.subject()? {
        Subject::SnapshotTable { .. } => "",
        _ => NEEDS_IMGDUEL,
    };
    (!text.is_empty()).then_some(Check {
        functions,
        text,
        ..Check::default()
    })
}
