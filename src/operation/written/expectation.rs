//! What an answer about a written image must be, by its recipe alone.

use std::cell::OnceCell;

use super::{Written, map};
use crate::disk_format::writer::{Guest, WrittenFiles};
use crate::image::content::{ContentPlace, Contents};
use crate::oracle::judge::CheckResult;
use crate::oracle::observations::{HarnessAction, StepResult, Task};
use crate::oracle::verdict::{DivergenceKind, Subject};
use crate::tool::request::{Exit, Request};

/// A wrong answer.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    pub(super) kind: DivergenceKind,
    pub(super) subject: Subject,
    /// What was said.
    pub(super) told: String,
    /// What the recipe requires.
    pub(super) expected: String,
}

/// The recipe's side of every comparison.
pub(super) struct Expectation<'case> {
    written: &'case Written,
    /// The files that were written.
    files: WrittenFiles,
    guest: Guest,
    contents: OnceCell<Contents>,
}

impl<'case> Expectation<'case> {
    pub(super) fn new(written: &'case Written, files: WrittenFiles) -> Self {
        Self {
            written,
            files,
            guest: written.guest(),
            contents: OnceCell::new(),
        }
    }

    fn contents(&self) -> &Contents {
        self.contents.get_or_init(|| self.guest.contents())
    }

    /// Returns what is wrong with an answer; `None` if nothing is, or nothing was answered.
    pub(super) fn wrong(&self, result: &StepResult) -> Option<Wrong> {
        let request = match &result.step.task {
            Task::Harness(HarnessAction::Unchanged { .. }) => return changed(result),
            Task::Harness(_) => return None,
            Task::Tool(request) => request,
        };
        let exit = Subject::Exit {
            request: request.kind(),
        };
        let refused = |kind, subject| {
            Some(Wrong {
                kind,
                subject,
                told: result.answer.describe(),
                expected: "exit 0".to_owned(),
            })
        };
        match (&result.answer.exit, request) {
            (Exit::Unsupported(_), _) => None,
            (Exit::Crashed(_), _) => refused(DivergenceKind::CandidateCrash, exit),
            (Exit::TimedOut(_), _) => refused(DivergenceKind::CandidateTimeout, exit),
            (Exit::HitLimit(_), _) => refused(DivergenceKind::CandidateLimit, exit),
            (Exit::Success | Exit::Refused(_), Request::Compare { second, .. }) => {
                self.compared(result, &second.path)
            }
            (Exit::Success | Exit::Refused(2 | 3), Request::Check { .. }) => {
                let found = CheckResult::from_answer(&result.answer);
                (!found.is_clean()).then(|| Wrong {
                    kind: DivergenceKind::WrittenCheck,
                    subject: Subject::IntermediateCheck {},
                    told: found.to_string(),
                    expected: "clean".to_owned(),
                })
            }
            (Exit::Refused(_), _) => refused(DivergenceKind::WrittenRefused, exit),
            (Exit::Success, request) => self.told_wrongly(result, request),
        }
    }

    /// A comparison with a raw image: success means that both are the same, exit code 1 that they differ.
    fn compared(&self, result: &StepResult, second: &str) -> Option<Wrong> {
        let Task::Tool(Request::Compare { first, .. }) = &result.step.task else {
            return None;
        };
        let is_same = !second.ends_with(&WrittenFiles::other_name(""));
        let (told, kind) = match result.answer.exit {
            Exit::Success => (true, DivergenceKind::WrittenCompare),
            Exit::Refused(1) => (false, DivergenceKind::WrittenCompare),
            _ => (!is_same, DivergenceKind::WrittenRefused),
        };
        (told != is_same).then(|| Wrong {
            kind,
            subject: Subject::Compare {
                first: first.path.clone(),
                second: second.to_owned(),
            },
            told: result.answer.describe(),
            expected: if is_same { "the same" } else { "a difference" }.to_owned(),
        })
    }

    /// Judges the report of a request that succeeded.
    fn told_wrongly(&self, result: &StepResult, request: &Request) -> Option<Wrong> {
        match request {
            Request::Info { file } => {
                let size = self.guest.size.into();
                let key = "virtual-size";
                let subject = Subject::IntermediateVirtualSize {
                    file: file.path.clone(),
                };
                fact(result, key, size, subject).or_else(|| {
                    let name = self.written.image.backing_name(self.files.stem())?;
                    let key = "backing-filename";
                    let json = result.answer.report.tree().ok()?;
                    // Not every tool tells it.
                    json.get(key)?;
                    fact(result, key, name.into(), Subject::json_key(key))
                })
            }
            Request::Contents { file } => {
                let place = |place| Subject::IntermediateContents {
                    file: file.path.clone(),
                    place,
                };
                shown(result, self.contents(), place)
            }
            Request::SnapshotContents { file, id } => {
                let expected = self.written.image.snapshot()?.contents();
                let place = |place| Subject::SnapshotContents {
                    id: id.clone(),
                    file: file.path.clone(),
                    place,
                };
                shown(result, &expected, place)
            }
            Request::Map { file, .. } => {
                let wrong = map::wrong(result.answer.report.tree(), &self.guest, &self.files)?;
                Some(Wrong {
                    kind: DivergenceKind::WrittenMap,
                    subject: Subject::IntermediateMap {
                        file: file.path.clone(),
                    },
                    told: wrong.told,
                    expected: wrong.expected,
                })
            }
            _ => None,
        }
    }
}

fn changed(result: &StepResult) -> Option<Wrong> {
    (!result.answer.succeeded()).then(|| Wrong {
        kind: DivergenceKind::InputChanged,
        subject: Subject::ImageOnlyRead {},
        told: result.answer.transcript.stderr.first_line(),
        expected: "as it was".to_owned(),
    })
}

/// Compares a value in the JSON of a description.
fn fact(
    result: &StepResult,
    key: &str,
    expected: serde_json::Value,
    subject: Subject,
) -> Option<Wrong> {
    let told = match result.answer.report.tree() {
        Ok(tree) => tree[key].clone(),
        Err(why) => format!("no JSON: {why}").into(),
    };
    (told != expected).then(|| Wrong {
        kind: DivergenceKind::WrittenInfo,
        subject,
        told: told.to_string(),
        expected: expected.to_string(),
    })
}

fn shown(
    result: &StepResult,
    expected: &Contents,
    subject: impl FnOnce(ContentPlace) -> Subject,
) -> Option<Wrong> {
    let found = result.answer.report.contents()?.difference(expected)?;
    Some(Wrong {
        kind: DivergenceKind::WrittenContent,
        subject: subject(found.place),
        told: found.first,
        expected: found.second,
    })
}
