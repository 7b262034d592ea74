//! The files that `imgduel init` makes.

use std::path::{Path, PathBuf};

use super::place::Place;
use crate::base::program;

/// What runs leave in the package's directory.
pub(super) const IGNORED: [&str; 3] = ["/fuzz-findings", "/fuzz-corpus", "/imgduel-*"];

/// A file to be made.
pub(super) struct Template {
    /// Where.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) text: String,
}

/// Returns the files, as far as their text does not depend on others.
pub(super) fn all(place: &Place) -> Vec<Template> {
    let Place {
        directory,
        workspace,
        repository,
        ..
    } = place;
    let filled = |text: &str| fill(text, place);
    let mut files = vec![
        (
            directory.join("fuzz-seeds/first_chain.json"),
            include_str!("first_chain.json.in").to_owned(),
        ),
        (
            directory.join("known").join(name(place) + ".toml"),
            filled(include_str!("known.toml.in")),
        ),
    ];
    match &place.package {
        Some(package) => {
            let target = directory.join("tests").join(package.target);
            files.extend([
                (
                    target.with_extension("rs"),
                    filled(include_str!("test_target.rs.in")),
                ),
                (
                    directory.join("imgduel.toml"),
                    filled(include_str!("imgduel.toml.in")),
                ),
                (
                    workspace.join(".config/nextest.toml"),
                    include_str!("nextest.toml.in").to_owned(),
                ),
                (
                    repository.join(".github/workflows/imgduel.yml"),
                    filled(include_str!("github.yml.in")),
                ),
                (gitlab(repository), filled(include_str!("gitlab.yml.in"))),
            ]);
        }
        None => files.extend([
            (
                directory.join("imgduel.toml"),
                filled(include_str!("adapter.toml.in")),
            ),
            (
                repository.join(".github/workflows/imgduel.yml"),
                filled(include_str!("adapter_github.yml.in")),
            ),
            (
                gitlab(repository),
                filled(include_str!("adapter_gitlab.yml.in")),
            ),
        ]),
    }
    let files = files.into_iter();
    files.map(|(path, text)| Template { path, text }).collect()
}

/// GitLab has one file; where that is taken, the jobs stand in one that it can include.
fn gitlab(repository: &Path) -> PathBuf {
    let own = repository.join(".gitlab-ci.yml");
    match own.exists() && !is_of_imgduel(&own) {
        true => repository.join(".gitlab/imgduel.yml"),
        false => own,
    }
}

fn is_of_imgduel(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("IMGDUEL_PROFILE"))
}

/// The name of the tool under test.
fn name(place: &Place) -> String {
    let package = place.package.as_ref().map(|package| package.name.clone());
    package.unwrap_or_else(|| "mytool".to_owned())
}

fn fill(text: &str, place: &Place) -> String {
    let target = place.package.as_ref().map_or("", |package| package.target);
    let below = match place.below.as_os_str().is_empty() {
        true => ".".to_owned(),
        false => place.below.display().to_string(),
    };
    text.replace("@NAME@", &name(place))
        .replace("@TARGET@", target)
        .replace("@BELOW@", &below)
}

/// Returns what a person does next.
pub(super) fn next_steps(place: &Place) -> String {
    match &place.package {
        Some(package) => fill(
            &format!(
                "next: put the calls of @NAME@ into tests/{}.rs, then cargo test -p @NAME@ --test @TARGET@\n",
                package.target
            ),
            place,
        ),
        None => format!(
            "next: write an adapter (docs/adapters.md), name it in imgduel.toml, then {} adapter-check COMMAND and {} fuzz\n",
            program::line(),
            program::line()
        ),
    }
}
