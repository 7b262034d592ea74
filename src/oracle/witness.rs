//! libyal's info tools as witnesses, which cross-check the description of an image and whether it can be read at all.
//!
//! The session finds them, the runner runs them on the candidate's copy of a source image, and the judges of `info` and
//! `check` use their answers. A missing witness is reported once at the start, and in the summary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::error::Result;
use crate::image::format::Format;
use crate::oracle::observations::CrossCheck;
use crate::process::{self, Ending, Invocation};
use crate::tool::CallContext;
use crate::tool::request::{Answer, CallUsage, Exit, Report, Transcript};

/// One row of the list of witnesses.
struct Row {
    name: &'static str,
    package: &'static str,
    formats: &'static [Format],
}

const WITNESSES: [Row; 3] = [
    Row {
        name: "qcowinfo",
        package: "libqcow-utils",
        formats: &[Format::Qcow2],
    },
    Row {
        name: "vmdkinfo",
        package: "libvmdk-utils",
        formats: &[Format::Vmdk],
    },
    Row {
        name: "vhdiinfo",
        package: "libvhdi-utils",
        formats: &[Format::Vpc],
    },
];

/// The witnesses of this machine.
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    found: Vec<Witness>,
}

#[derive(Clone, Debug)]
struct Witness {
    name: &'static str,
    formats: &'static [Format],
    program: PathBuf,
    version: String,
}

impl Witnesses {
    /// Searches all of them on `PATH` and reads their versions, within `limit`.
    pub fn find(limit: Duration) -> Self {
        Self::found_by(|name| which::which(name).ok(), limit)
    }

    /// Searches them in one directory only.
    pub fn find_in(directory: &Path, limit: Duration) -> Self {
        Self::found_by(|name| which::which(directory.join(name)).ok(), limit)
    }

    fn found_by(find: impl Fn(&str) -> Option<PathBuf>, limit: Duration) -> Self {
        let found = WITNESSES.iter().filter_map(|row| {
            let program = find(row.name)?;
            let version = version(&program, limit)?;
            Some(Witness {
                name: row.name,
                formats: row.formats,
                program,
                version,
            })
        });
        Self {
            found: found.collect(),
        }
    }

    /// Returns all possible witnesses, with their versions if they are installed.
    pub fn versions(&self) -> BTreeMap<&'static str, Option<String>> {
        let version = |row: &Row| self.found.iter().find(|found| found.name == row.name);
        WITNESSES
            .iter()
            .map(|row| (row.name, version(row).map(|found| found.version.clone())))
            .collect()
    }

    /// Returns a message about the missing ones; `None` if none is.
    pub fn missing(&self) -> Option<String> {
        let rows = || {
            WITNESSES
                .iter()
                .filter(|row| self.found.iter().all(|found| found.name != row.name))
        };
        let names: Vec<&str> = rows().map(|row| row.name).collect();
        let packages: Vec<&str> = rows().map(|row| row.package).collect();
        (!names.is_empty()).then(|| {
            format!(
                "no cross-check by {} (on Debian and Ubuntu: apt-get install {})",
                names.join(", "),
                packages.join(" ")
            )
        })
    }

    /// Returns the cross-check of the image `name` in `directory`; `None` if no witness reads its format, or if the one
    /// that does timed out or crashed, which says nothing about the image.
    pub fn cross_check(
        &self,
        format: Format,
        name: &str,
        call_context: &CallContext<'_>,
    ) -> Result<Option<CrossCheck>> {
        let Some(witness) = self
            .found
            .iter()
            .find(|witness| witness.formats.contains(&format))
        else {
            return Ok(None);
        };
        let arguments = [name.to_owned()];
        let finished = process::run(&call_context.invocation(&witness.program, &arguments))?;
        let exit = match finished.ending {
            Ending::Exited(0) => Exit::Success,
            Ending::Exited(code) => Exit::Refused(code),
            Ending::Signaled(_) | Ending::TimedOut(_) | Ending::HitLimit(_) => return Ok(None),
        };
        let answer = Answer {
            exit,
            report: Report::Nothing,
            usage: CallUsage {
                duration: finished.elapsed,
                cpu: finished.cpu,
                peak_memory_bytes: 0,
                calls: 1,
            },
            transcript: Transcript {
                command: vec![witness.program.display().to_string(), name.to_owned()],
                stdout: finished.stdout,
                stderr: finished.stderr,
            },
        };
        Ok(Some(CrossCheck {
            witness: witness.name,
            answer,
        }))
    }
}

/// Returns the last word of the first line of `-V`: "qcowinfo 20201213".
fn version(program: &Path, limit: Duration) -> Option<String> {
    let arguments = ["-V".to_owned()];
    let directory = std::env::temp_dir();
    let finished = process::run(&Invocation {
        program,
        arguments: &arguments,
        directory: &directory,
        limit,
        grace: Duration::ZERO,
        sandbox: None,
        environment: &[],
        input: None,
        memory_bytes_max: None,
    })
    .ok()?;
    let line = finished.stdout.first_line();
    line.split_whitespace().last().map(str::to_owned)
}
