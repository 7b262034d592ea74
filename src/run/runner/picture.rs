//! Adds to the evidence how the source image was made, and allocation maps of the image in which an operation
//! diverged.
//!
//! The runner calls it for operations that did not match. Only divergences are mapped, so that all other cases cost
//! nothing.

use super::CaseRun;
use crate::base::error::Result;
use crate::operation::Perform;
use crate::oracle::observations::{Output, Side, StepContext};
use crate::oracle::verdict::Verdict;
use crate::run::evidence::{Evidence, Picture, Strip};
use crate::tool::Support;
use crate::tool::request::{ImageFile, Request, Window};

impl CaseRun<'_> {
    /// Returns the evidence with the commands that made the source image and, for a divergence, the picture.
    pub(super) fn illustrated(
        &mut self,
        mut evidence: Evidence,
        verdict: &Verdict,
        operation: &dyn Perform,
        context: &StepContext<'_>,
        outputs: &[Output],
    ) -> Result<Evidence> {
        let reads_source = operation.reads_source();
        if reads_source {
            evidence.fixture = self.fixture.clone();
        }
        if matches!(verdict, Verdict::Divergence(_)) {
            evidence.picture = self.picture(context, outputs, reads_source)?;
        }
        Ok(evidence)
    }

    /// The picture of the first output that exists, else of the source image; `None` if there is no image.
    fn picture(
        &mut self,
        context: &StepContext<'_>,
        outputs: &[Output],
        reads_source: bool,
    ) -> Result<Option<Picture>> {
        let is_there = |file: &ImageFile| {
            let sides = [Side::Candidate, Side::Reference];
            sides
                .iter()
                .any(|side| self.scratch_dir.length(*side, &file.path).is_some())
        };
        let output = outputs.iter().find(|output| is_there(&output.file));
        let (file, made) = match output {
            Some(output) => (&output.file, true),
            None if reads_source => (&context.source, false),
            None => return Ok(None),
        };
        let mut strips = Vec::new();
        for (side, by) in self.maps(file) {
            strips.push(self.strip(side, by, file)?);
        }
        let find = |side: Side, by: Side| {
            let found = |strip: &&Strip| (strip.side, strip.by) == (side, by);
            strips.iter().find(found)
        };
        // Two files are compared as the reference maps both; a file that both sides share, as each tool maps it.
        let own = find(Side::Candidate, Side::Candidate).filter(|_| !made);
        let candidate = own.or_else(|| find(Side::Candidate, Side::Reference));
        let reference = find(Side::Reference, Side::Reference);
        let differing = candidate
            .zip(reference)
            .map(|(candidate, reference)| candidate.differing(reference));
        let written = match output.filter(|_| !reads_source) {
            Some(output) => output.expected.non_zero_ranges(),
            None => written(context),
        };
        let guest_bytes = strips.iter().map(Strip::end).max().unwrap_or_default();
        Ok(Some(Picture {
            file: file.path.clone(),
            guest_bytes,
            written,
            differing: differing.unwrap_or_default(),
            contents: self.differing_contents(file, made)?,
            strips,
        }))
    }

    /// The ranges (offset, length in bytes) in which the contents differ: as the reference reads both sides' files, or
    /// for a file that both sides share, as each tool reads it.
    fn differing_contents(&mut self, file: &ImageFile, made: bool) -> Result<Vec<(u64, u64)>> {
        let request = Request::Contents { file: file.clone() };
        let reads = self.runner.candidate.support(&request) == Support::Yes;
        let reader = match made || !reads {
            true => Side::Reference,
            false => Side::Candidate,
        };
        let ours = self.call(Side::Candidate, reader, &request)?.report;
        let theirs = self
            .call(Side::Reference, Side::Reference, &request)?
            .report;
        let both = ours.contents().zip(theirs.contents());
        Ok(both.map_or_else(Vec::new, |(ours, theirs)| ours.differing_ranges(theirs)))
    }

    /// The maps to draw: whose file, and which side's tool maps it.
    fn maps(&self, file: &ImageFile) -> Vec<(Side, Side)> {
        let map = Request::Map {
            file: file.clone(),
            window: Window::WHOLE,
        };
        let candidate_maps =
            !self.same_program && self.runner.candidate.support(&map) == Support::Yes;
        let own = candidate_maps.then_some((Side::Candidate, Side::Candidate));
        own.into_iter()
            .chain([Side::Candidate, Side::Reference].map(|side| (side, Side::Reference)))
            .filter(|(side, _)| self.scratch_dir.length(*side, &file.path).is_some())
            .collect()
    }

    fn strip(&mut self, side: Side, by: Side, file: &ImageFile) -> Result<Strip> {
        let answer = self.call(
            side,
            by,
            &Request::Map {
                file: file.clone(),
                window: Window::WHOLE,
            },
        )?;
        if !answer.succeeded() {
            return Ok(Strip::without_map(side, by, answer.describe()));
        }
        Ok(match answer.report.tree() {
            Ok(tree) => Strip::of_json(side, by, tree),
            Err(wrong) => {
                Strip::without_map(side, by, format!("the output of map is not JSON: {wrong}"))
            }
        })
    }
}

fn written(context: &StepContext<'_>) -> Vec<(u64, u64)> {
    let writes = context.recipe.writes().iter();
    let table = context.recipe.partition_table();
    writes
        .map(|write| (write.offset, write.length))
        .chain(table.map(|(offset, bytes)| (offset, bytes.len() as u64)))
        .collect()
}

/// The shell command that writes bytes into a raw file.
pub(super) fn in_shell(file: &str, offset: u64, bytes: &[u8]) -> Vec<String> {
    let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let script = format!("printf '{octal}' | dd of={file} bs=1 seek={offset} conv=notrunc");
    ["sh".to_owned(), "-c".to_owned(), script].into()
}
