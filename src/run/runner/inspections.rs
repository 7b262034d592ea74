//! Inspects the images that an operation leaves, on each side.
//!
//! The runner calls it when both sides have completed the operation's steps; the judges interpret the answers.

use super::{CaseRun, harness};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::oracle::observations::{HarnessAction, Inspection, Observations, Output, Side, Task};
use crate::tool::Support;
use crate::tool::request::{Answer, Exit, Request, Window};

impl CaseRun<'_> {
    /// Inspects every output on each side: the reference inspects everything, the candidate only the contents, where
    /// it can read them. If both sides' images are equivalent, one inspection serves both.
    pub(super) fn inspect_outputs(
        &mut self,
        observations: &mut Observations,
        outputs: &[Output],
    ) -> Result<()> {
        for (index, output) in outputs.iter().enumerate() {
            // Reading a raw image's contents already compares the files byte by byte.
            let is_raw = output.file.format == Format::Raw;
            let mut equivalent = observations.reference.is_some()
                && !is_raw
                && self.scratch_dir.is_equivalent(&output.file);
            for (by, task) in self.inspections(output) {
                let answer = self.inspect(Side::Candidate, by, &task)?;
                if let Exit::Unsupported(feature) = answer.exit {
                    observations.candidate.lacks.push(feature);
                    continue;
                }
                let inspection = Inspection {
                    output: index,
                    by,
                    task,
                    answer,
                };
                if let Some(side_run) = &mut observations.reference {
                    let serves_both = equivalent
                        && match inspection.task {
                            // These report space on the host, holes included.
                            Task::Harness(HarnessAction::Audit { .. })
                            | Task::Tool(Request::Map { .. }) => {
                                self.scratch_dir.has_same_holes(&output.file)
                            }
                            _ => true,
                        };
                    let answer = match serves_both {
                        true => inspection.answer.clone(),
                        false => self.inspect(Side::Reference, by, &inspection.task)?,
                    };
                    if is_raw && by == Side::Reference && answer.report.contents().is_some() {
                        equivalent = answer.report == inspection.answer.report;
                    }
                    side_run.inspections.push(Inspection {
                        answer,
                        ..inspection.clone()
                    });
                }
                observations.candidate.inspections.push(inspection);
            }
        }
        Ok(())
    }

    /// Makes one inspection. The harness itself audits images and describes raw files; all else needs a tool.
    fn inspect(&mut self, side: Side, by: Side, task: &Task) -> Result<Answer> {
        let is_raw = task.file().format == Format::Raw;
        match task {
            Task::Harness(action) => Ok(harness::carry_out(action, self.scratch_dir, side)),
            Task::Tool(request @ Request::Info { .. }) if is_raw => Ok(harness::carry_out_raw(
                request,
                &self.scratch_dir.directory(side),
            )),
            Task::Tool(request) => self.call(side, by, request),
        }
    }

    /// The inspections of an output, each with the side whose tool makes it.
    fn inspections(&self, output: &Output) -> Vec<(Side, Task)> {
        let requests = self.inspections_by_tools(output).into_iter();
        let mut inspections: Vec<(Side, Task)> = requests
            .map(|(by, request)| (by, Task::Tool(request)))
            .collect();
        if output.closely {
            let file = output.file.clone();
            let audit = Task::Harness(HarnessAction::Audit { file });
            // The audit follows the map, which reports the same space.
            let map = inspections
                .iter()
                .position(|(_, task)| matches!(task, Task::Tool(Request::Map { .. })));
            let place = map.map_or(inspections.len(), |place| place + 1);
            inspections.insert(place, (Side::Reference, audit));
        }
        inspections
    }

    /// The inspections of an output that tools make.
    fn inspections_by_tools(&self, output: &Output) -> Vec<(Side, Request)> {
        let file = || output.file.clone();
        let can = |by: Side, request: &Request| self.tool(by).support(request) == Support::Yes;
        // Of a qcow2 that the model judges alone, the audit reports what these two would.
        let is_audited = self.runner.is_alone && output.closely && file().format == Format::Qcow2;
        let mut inspections = Vec::new();
        if !is_audited {
            inspections.push((Side::Reference, Request::Info { file: file() }));
        }
        if file().format.is_checked() && !is_audited {
            inspections.push((Side::Reference, Request::Check { file: file() }));
        }
        inspections.push((Side::Reference, Request::Contents { file: file() }));
        let contents = Request::Contents { file: file() };
        if !self.same_program && can(Side::Candidate, &contents) {
            inspections.push((Side::Candidate, contents));
        }
        if output.closely && !is_audited {
            let window = Window::WHOLE;
            let map = Request::Map {
                file: file(),
                window,
            };
            inspections.push((Side::Reference, map));
        }
        let Some(snapshots) = &output.snapshots else {
            return inspections;
        };
        let ids = snapshots.iter().map(|snapshot| snapshot.id.clone());
        inspections.extend(ids.map(|id| {
            let request = Request::SnapshotContents { file: file(), id };
            (Side::Reference, request)
        }));
        // Lists are only compared with each other, so either both tools list or none does.
        let list = Request::SnapshotList { file: file() };
        let both = [Side::Reference, Side::Candidate];
        if !self.same_program && both.iter().all(|by| can(*by, &list)) {
            inspections.extend(both.map(|by| (by, list.clone())));
        }
        inspections
    }
}
