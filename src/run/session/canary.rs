//! The canary: before a campaign, a tool with planted faults must be caught.
//!
//! The faulty tool calls the reference, but reports another size for every image and changes the first sector of every
//! image that it converts. The same scratch directory, runner and judges that serve real cases must find both faults;
//! otherwise no result of the campaign can be trusted.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Session;
use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::image::content::{Fill, Write};
use crate::oracle::verdict::Verdict;
use crate::process::Captured;
use crate::run::runner::DifferentialRunner;
use crate::tool::request::{Answer, Report, Request};
use crate::tool::{CallContext, Reproducer, Tool, ToolWrapper, model};

/// The smallest case that exercises both faults.
const CASE: &str = r#"{"generation": "canary", "seed": 0, "iteration": 0, "iter_seed": 1, "words_used": 0,
    "image": {"format": "raw", "virtual_size": "64K", "pattern": "random", "writes": [{"offset": 0, "length": 512, "byte": 7}]},
    "ops": [{"op": "info"}, {"op": "convert", "target": "raw"}]}"#;

/// The least time limit for one call of the canary, in wall time.
const LIMIT_MIN: Duration = Duration::from_secs(5);

/// The byte that the faulty tool writes all over the first sector.
const LIE: u8 = 0xa5;

struct Liar(Arc<dyn Tool>);

impl ToolWrapper for Liar {
    fn inner(&self) -> &dyn Tool {
        &*self.0
    }

    fn name(&self) -> &'static str {
        "canary"
    }

    /// `None`, so that it does not count as the same program as the reference.
    fn program(&self) -> Option<&Path> {
        None
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let mut answer = self.0.ask(request, call_context)?;
        match request {
            Request::Info { .. } => {
                if let Report::Json { tree, .. } = &mut answer.report {
                    let size = tree["virtual-size"].as_u64();
                    tree["virtual-size"] = size.map(|size| size + 512).into();
                    answer.transcript.stdout = Captured::from_text(tree.to_string());
                }
            }
            Request::Convert { target, .. } if answer.succeeded() => {
                let lie = Request::Write {
                    file: target.clone(),
                    writes: vec![Write {
                        offset: 0,
                        length: 512,
                        fill: Fill::Byte(LIE),
                    }],
                };
                self.0.ask(&lie, call_context)?;
            }
            _ => {}
        }
        Ok(answer)
    }

    fn reproducer(&self, _: &Request) -> Option<Reproducer> {
        None
    }
}

impl Session {
    /// Runs the canary case. Fails if the faulty tool is not caught.
    pub fn run_canary(&self) -> Result<()> {
        // A reference that only reads makes no image for the canary: the model takes its place there.
        let reference = match self.runner.reference.capabilities().can("write") {
            true => Arc::clone(&self.runner.reference),
            false => model::tool(),
        };
        let liar: Arc<dyn Tool> = Arc::new(Liar(Arc::clone(&reference)));
        self.must_catch(liar, reference)
    }

    fn must_catch(&self, liar: Arc<dyn Tool>, reference: Arc<dyn Tool>) -> Result<()> {
        let case: Case = serde_json::from_str(CASE)
            .map_err(|error| Error::system(format!("cannot decode the canary's case: {error}")))?;
        let runner = DifferentialRunner {
            candidate: liar,
            reference,
            keep: false,
            // Generous limit: the canary tests detection, not speed.
            limit: self.runner.limit.max(LIMIT_MIN),
            ..self.runner.clone()
        };
        let outcome = runner.run(&case)?;
        let verdicts = || {
            outcome
                .operations
                .iter()
                .map(|operation| &operation.verdict)
        };
        let is_caught = |verdict: &Verdict| matches!(verdict, Verdict::Divergence(_));
        // A slow machine may time out one of the two operations (inconclusive), but then the other must diverge.
        let is_missed = |verdict: &Verdict| matches!(verdict, Verdict::Match);
        if verdicts().any(is_caught) && !verdicts().any(is_missed) {
            return Ok(());
        }
        let said: Vec<String> = std::iter::zip(&case.ops, verdicts())
            .map(|(operation, verdict)| {
                let reason = verdict.reason().unwrap_or_default();
                format!("{}: {} {reason}", operation.name(), verdict.name())
            })
            .collect();
        Err(Error::system(format!(
            "the canary, a tool with planted faults, was not caught ({}), so no result of this campaign could be trusted: check the reference with imgduel tools",
            said.join("; ")
        )))
    }
}

#[cfg(test)]
mod tests;
