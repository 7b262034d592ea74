//! Where `imgduel init` works: the package, its workspace, its repository.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use crate::base::error::{Error, Result};

/// The names that the test target may have; the first that is free is taken.
const TARGETS: [&str; 2] = ["differential", "imgduel"];

/// Where files go.
pub(super) struct Place {
    /// The directory of the package, as it was given.
    pub(super) directory: PathBuf,
    /// The package; none in a repository of another language.
    pub(super) package: Option<Package>,
    /// The directory of the workspace, for what cargo's tools look up there.
    pub(super) workspace: PathBuf,
    /// The root of the repository, for what a forge looks up there.
    pub(super) repository: PathBuf,
    /// The directory of the package as seen from the root of the repository; empty if that is the same.
    pub(super) below: PathBuf,
}

/// A package of cargo.
pub(super) struct Package {
    /// Its manifest.
    pub(super) manifest: DocumentMut,
    /// Its name.
    pub(super) name: String,
    /// The name of the test target.
    pub(super) target: &'static str,
}

impl Place {
    /// Finds it from a directory. Fails if that has a workspace without a package.
    pub(super) fn find(directory: &Path) -> Result<Self> {
        let failed = |error| Error::io("work in", directory, &error);
        let whole = directory.canonicalize().map_err(failed)?;
        let is_repository = |above: &&Path| above.join(".git").exists();
        let repository = whole.ancestors().find(is_repository);
        let below = repository.and_then(|root| whole.strip_prefix(root).ok());
        let below = below.unwrap_or(Path::new("")).to_owned();
        let is_workspace = |above: &Path| {
            let text = fs::read_to_string(above.join("Cargo.toml")).unwrap_or_default();
            text.lines()
                .any(|line| line.trim_start().starts_with("[workspace"))
        };
        let levels = |wanted: &Path| {
            let up = whole
                .strip_prefix(wanted)
                .map_or(0, |below| below.iter().count());
            (0..up).fold(directory.to_owned(), |path, _| path.join(".."))
        };
        let workspace = whole.ancestors().find(|above| is_workspace(above));
        Ok(Self {
            package: Package::read(directory)?,
            directory: shown(directory),
            workspace: shown(&levels(workspace.unwrap_or(&whole))),
            repository: shown(&levels(repository.unwrap_or(&whole))),
            below,
        })
    }
}

/// Returns a path without a leading `./`.
fn shown(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).to_owned()
}

impl Package {
    fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("Cargo.toml");
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display();
        let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, &error))?;
        let manifest: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            Error::usage(format!("{shown} cannot be read: {}", error.message()))
        })?;
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"));
        let Some(name) = name.and_then(|name| name.as_str()) else {
            return Err(Error::usage(format!(
                "{shown} has no package: name the directory of a member of the workspace (imgduel init DIR)"
            )));
        };
        let is_free = |target: &&str| {
            let text = fs::read_to_string(directory.join(format!("tests/{target}.rs")));
            text.is_ok_and(|text| text.contains("imgduel::"))
                || !directory
                    .join("tests")
                    .join(format!("{target}.rs"))
                    .exists()
        };
        let Some(target) = TARGETS.into_iter().find(is_free) else {
            return Err(Error::usage(format!(
                "{shown}: the tests {} are there already",
                TARGETS.join(" and ")
            )));
        };
        Ok(Some(Self {
            name: name.to_owned(),
            manifest,
            target,
        }))
    }
}
