//! Files an issue for each new group of divergences, with GitHub's command line tool `gh`.
//!
//! Called when the campaign's reports are written. A failure is reported in one line; no result is lost.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::oracle::signature::Group;
use crate::process::{self, Ending, Invocation};
use crate::report::complain;
use crate::report::digest::Found;
use crate::report::{github, instar_issue};

/// Time limit for one call of `gh`, in wall time.
const GH_LIMIT: Duration = Duration::from_secs(60);

/// Prefixes of the environment variables by which `gh` logs in and finds its repository.
const GH_VARIABLES: [&str; 5] = ["GH_", "GITHUB_", "HOME", "XDG_", "https_proxy"];

/// How many open issues are searched for the title.
const LOOKED_THROUGH_MAX: &str = "1000";

/// How issues are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum IssueFormat {
    /// Titled with kind, operation and what differs
    #[default]
    Imgduel,
    /// As the scripts of shakenfist/instar read them: titled with type, seed and iteration, and labelled
    Instar,
}

/// What issues are filed with.
pub(super) struct Filing {
    pub(super) format: IssueFormat,
    /// The URL of the workflow run, for the text.
    pub(super) workflow_url: Option<String>,
}

/// An issue in the output of `gh issue list --json number,title,body`.
#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
    #[serde(default)]
    body: String,
}

/// The text of a group's issue.
struct Draft {
    title: String,
    body: String,
    /// The words that `gh` searches titles for.
    search: String,
    label: Option<&'static str>,
    /// A line that only issues of this group have in their text; `None` where the title tells the group.
    mark: Option<String>,
}

impl Draft {
    fn new(group: &Group, found: &Found, filing: &Filing) -> Self {
        let workflow_url = filing.workflow_url.as_deref();
        match filing.format {
            IssueFormat::Imgduel => Self {
                title: github::title(group),
                body: github::issue_body(group, found, workflow_url),
                search: format!("{} {} in:title", group.kind, group.operation),
                label: None,
                mark: None,
            },
            IssueFormat::Instar => Self {
                title: instar_issue::title(&found.example),
                body: instar_issue::body(group, found, workflow_url),
                search: format!("{} in:title", group.kind),
                label: Some(instar_issue::LABEL),
                mark: Some(instar_issue::mark(group)),
            },
        }
    }

    fn is_in(&self, issue: &Issue) -> bool {
        match &self.mark {
            Some(mark) => issue.body.lines().any(|line| line.trim_end() == mark),
            None => issue.title == self.title,
        }
    }
}

/// The program `gh` and its environment.
struct Gh {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

/// Creates an issue for each group that has none, and comments on the issue of each other group.
pub(super) fn create(groups: &BTreeMap<Group, Found>, filing: &Filing) {
    if groups.is_empty() {
        return;
    }
    let filed = Gh::find().and_then(|gh| {
        groups
            .iter()
            .try_for_each(|(group, found)| gh.file(&Draft::new(group, found, filing)))
    });
    if let Err(error) = filed {
        complain(&error);
    }
}

impl Gh {
    fn find() -> Result<Self> {
        let program = which::which("gh").map_err(|_| {
            Error::missing_tool(
                "no issue is filed: gh is not installed (see cli.github.com); all findings are in the reports",
            )
        })?;
        let is_for_gh = |name: &str| {
            let mut prefixes = GH_VARIABLES.iter();
            prefixes.any(|prefix| name.starts_with(prefix))
        };
        let environment =
            std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_for_gh));
        Ok(Self {
            program,
            environment: environment.collect(),
        })
    }

    fn file(&self, draft: &Draft) -> Result<()> {
        let listed = self.run(&[
            "issue",
            "list",
            "--state",
            "open",
            "--limit",
            LOOKED_THROUGH_MAX,
            "--search",
            &draft.search,
            "--json",
            "number,title,body",
        ])?;
        let issues: Vec<Issue> = serde_json::from_str(&listed).map_err(|error| {
            Error::system(format!(
                "no issue is filed: the output of gh is not JSON: {error}"
            ))
        })?;
        let known = issues.iter().find(|issue| draft.is_in(issue));

        let directory = tempfile::tempdir()
            .map_err(|error| Error::io("write an issue to", &std::env::temp_dir(), &error))?;
        let body = directory.path().join("body.md");
        fs::write(&body, &draft.body)
            .map_err(|error| Error::io("write an issue to", &body, &error))?;
        let body = body.to_string_lossy();
        match known {
            Some(issue) => {
                let number = issue.number.to_string();
                self.run(&["issue", "comment", &number, "--body-file", &body])
            }
            None => {
                let mut create = vec!["issue", "create", "--title", &draft.title];
                create.extend(["--body-file", &body]);
                create.extend(draft.label.iter().flat_map(|label| ["--label", label]));
                self.run(&create)
            }
        }
        .map(drop)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        // `gh` finds the repository by the current directory.
        let finished = process::run(&Invocation {
            program: &self.program,
            arguments: &arguments,
            directory: Path::new("."),
            limit: GH_LIMIT,
            grace: Duration::ZERO,
            sandbox: None,
            environment: &self.environment,
            input: None,
            memory_bytes_max: None,
        })?;
        if finished.ending == Ending::Exited(0) {
            return Ok(String::from_utf8_lossy(&finished.stdout.bytes).into_owned());
        }
        Err(Error::system(format!(
            "no issue is filed: gh {} failed: {}; all findings are in the reports",
            arguments[..2].join(" "),
            finished.stderr.first_line()
        )))
    }
}
