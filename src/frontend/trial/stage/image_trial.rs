//! The trial of a kept image: every tool of this machine looks at it, and each that reads it must see what was seen when it was accepted.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::TestSession;
use crate::base::error::{Error, Result};
use crate::campaign::tools_here;
use crate::frontend::libtest::Outcome;
use crate::report::junit::Fault;
use crate::report::terminal;
use crate::run::kept_image::{KeptImage, KeptPath};
use crate::run::outside_image::OutsideImage;
use crate::run::views::{self, Looking, Outcome as Came, View};
use crate::tool::{Tool, ToolEnv, ToolSpec};

/// The tools that look at kept images, opened by the first trial of one.
#[derive(Default)]
pub(super) struct ToolsOfImages(OnceLock<Result<Vec<Arc<dyn Tool>>>>);

impl TestSession {
    /// Runs the trial.
    pub(super) fn kept_image(&self, name: &str, image: &KeptPath) -> Outcome {
        let outcome = match self.looked_at(&image.path) {
            Ok(outcome) => outcome,
            Err(error) => return self.not_possible(name, &error),
        };
        if let (Outcome::Failed(text), Some(written)) = (&outcome, &mut *self.lock()) {
            let fault = Fault {
                name,
                message: text,
                is_missing_tool: false,
            };
            // The trial fails, even if the report cannot be written.
            let _ = written.sinks.add_fault(&fault);
            let document = written.document.as_mut();
            let _ = document.map_or(Ok(()), |document| document.append_fault(&fault));
        }
        outcome
    }

    fn looked_at(&self, path: &Path) -> Result<Outcome> {
        let (kept, bytes) = KeptImage::read(path)?;
        let scratch = tempfile::tempdir()
            .map_err(|error| Error::io("make a directory in", &std::env::temp_dir(), &error))?;
        let mut image = OutsideImage::find(&kept.make(&bytes, scratch.path())?)?;
        image.shown = path.to_owned();
        let (workdir, sandbox) = (self.settings.workdir(), self.settings.sandbox());
        let looking = Looking {
            workdir: &workdir,
            limit: self.settings.timeout,
            sandbox: &sandbox,
        };
        let views = views::of_all(self.tools_of_images()?, &image, &looking)?;
        let seen = views.iter().filter_map(View::seen).count();
        let wrong = views.iter().filter_map(|view| contradiction(view, &kept));
        let wrong: Vec<String> = wrong.collect();
        Ok(match (wrong.is_empty(), seen) {
            (false, _) => {
                let (all, wrong) = (
                    terminal::views::views(&image, &image.described().unwrap_or_default(), &views),
                    wrong.join("\n  "),
                );
                let why = match &*kept.why {
                    "" => String::new(),
                    why => format!("  kept because: {why}\n"),
                };
                Outcome::Failed(format!("{all}  {wrong}\n{why}"))
            }
            (true, 0) => Outcome::Ignored("no tool here reads it".to_owned()),
            (true, _) => Outcome::Passed,
        })
    }

    fn tools_of_images(&self) -> Result<&[Arc<dyn Tool>]> {
        let open = || {
            let settings = &self.settings;
            let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
            let all = ToolSpec::named(ToolSpec::ALL);
            let specs: Vec<ToolSpec> = settings.candidates.iter().cloned().chain([all]).collect();
            tools_here::open(&specs, &tool_env)
        };
        let tools = self.of_images.0.get_or_init(open);
        tools.as_deref().map_err(Clone::clone)
    }
}

/// What is wrong with how a tool stands over an image.
fn contradiction(view: &View, kept: &KeptImage) -> Option<String> {
    match &view.outcome {
        Came::Read(seen) if seen.contents().digest() != kept.seen.digest => {
            let by = kept.seen.by.join(", ");
            Some(format!("{} does not see what {by} saw", view.tool))
        }
        Came::Dies(words) => Some(format!("{} dies of it: {words}", view.tool)),
        Came::Read(_) | Came::Refuses(_) | Came::Unsupported(_) | Came::Skipped(_) => None,
    }
}
