//! Files an issue for each new group of divergences, with GitHub's command line tool `gh`.
//!
//! Called when the campaign's reports are written. A failure is reported in one line; no result is lost.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::oracle::signature::Group;
use crate::process::{self, Ending, Invocation};
use crate::report::complain;
use crate::report::digest::Found;
use crate::report::github::{issue_body, title};

/// Time limit for one call of `gh`, in wall time.
const GH_LIMIT: Duration = Duration::from_secs(60);

/// Prefixes of the environment variables by which `gh` logs in and finds its repository.
const GH_VARIABLES: [&str; 5] = ["GH_", "GITHUB_", "HOME", "XDG_", "https_proxy"];

/// How many open issues are searched for the title.
const LOOKED_THROUGH_MAX: &str = "1000";

/// An issue in the output of `gh issue list --json number,title`.
#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
}

/// The program `gh` and its environment.
struct Gh {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

/// Creates an issue for each group that has none, and comments on the issue of each other group.
pub(super) fn create(groups: &BTreeMap<Group, Found>, workflow_url: Option<&str>) {
    if groups.is_empty() {
        return;
    }
    let filed = Gh::find().and_then(|gh| {
        groups
            .iter()
            .try_for_each(|(group, found)| gh.file(group, found, workflow_url))
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

    fn file(&self, group: &Group, found: &Found, workflow_url: Option<&str>) -> Result<()> {
        let title = title(group);
        let search = format!("{} {} in:title", group.kind, group.operation);
        let listed = self.run(&[
            "issue",
            "list",
            "--state",
            "open",
            "--limit",
            LOOKED_THROUGH_MAX,
            "--search",
            &search,
            "--json",
            "number,title",
        ])?;
        let issues: Vec<Issue> = serde_json::from_str(&listed).map_err(|error| {
            Error::system(format!(
                "no issue is filed: the output of gh is not JSON: {error}"
            ))
        })?;
        let known = issues.iter().find(|issue| issue.title == title);

        let directory = tempfile::tempdir()
            .map_err(|error| Error::io("write an issue to", &std::env::temp_dir(), &error))?;
        let body = directory.path().join("body.md");
        fs::write(&body, issue_body(group, found, workflow_url))
            .map_err(|error| Error::io("write an issue to", &body, &error))?;
        let body = body.to_string_lossy();
        match known {
            Some(issue) => {
                let number = issue.number.to_string();
                self.run(&["issue", "comment", &number, "--body-file", &body])
            }
            None => self.run(&["issue", "create", "--title", &title, "--body-file", &body]),
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
