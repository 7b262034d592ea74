//! Has a tool write the image of a case from a raw file, once for both sides.

use std::time::Duration;

use super::CaseRun;
use crate::base::error::{Error, Result};
use crate::disk_format::writer::{Guest, WrittenFiles};
use crate::image::content::copy_sparse;
use crate::oracle::observations::{Side, StepResult};
use crate::tool::request::{Answer, Exit, ImageFile};
use crate::tool::writing;

/// What is written, and by whom.
pub(super) struct Recipe<'step> {
    pub(super) writer: &'step str,
    pub(super) file: &'step ImageFile,
    pub(super) files: &'step WrittenFiles,
    pub(super) guest: &'step Guest,
}

impl CaseRun<'_> {
    /// Has the tool write the image into a side's directory. `done` is the reference's result of the same step: its image is then copied, because two of one
    /// recipe may differ. What the tool refuses to make is unsupported.
    pub(super) fn write_by_tool(
        &mut self,
        side: Side,
        recipe: &Recipe<'_>,
        done: Option<&StepResult>,
    ) -> Result<Answer> {
        let directory = self.scratch_dir.directory(side);
        let cannot =
            |why: String| Error::system(format!("cannot write {}: {why}", recipe.file.path));
        let written = recipe.files.write_into(&directory);
        written.map_err(|why| cannot(why.to_string()))?;
        if let Some(done) = done.filter(|_| side == Side::Candidate) {
            let from = self.scratch_dir.directory(Side::Reference);
            let entries =
                std::fs::read_dir(&from).map_err(|error| Error::io("list", &from, &error))?;
            for entry in entries.flatten() {
                let name = entry.file_name();
                let copy = directory.join(&name);
                // The names of a vmdk's extents and of files that later steps make begin alike.
                let is_made_later = name.to_string_lossy().contains("-copy.");
                let is_its = recipe.file.owns(&name.to_string_lossy()) && !is_made_later;
                if is_its && !copy.exists() {
                    copy_sparse(&entry.path(), &copy)?;
                }
            }
            return Ok(done.answer.clone());
        }
        let Some(tool) = self.runner.writers.named(recipe.writer) else {
            return Ok(Answer::unsupported(format!(
                "the writer {} is not here",
                recipe.writer
            )));
        };
        let raw = format!("{}-source.raw", recipe.file.stem());
        let flat = recipe.guest.flat(&raw).write_into(&directory);
        flat.map_err(|why| cannot(why.to_string()))?;
        let call_context = self.call_context(&directory, Duration::ZERO);
        let mut answer = writing::make(&*tool, &writing::source(&raw), recipe.file, &call_context)?;
        let raw = directory.join(raw);
        std::fs::remove_file(&raw).map_err(|error| Error::io("remove", &raw, &error))?;
        self.tool_calls += answer.usage.calls;
        self.tool_cpu += answer.usage.cpu;
        if let Exit::Refused(_) = answer.exit {
            let words = answer.describe();
            answer.exit = Exit::Unsupported(format!("{} does not make it: {words}", recipe.writer));
        }
        Ok(answer)
    }
}
