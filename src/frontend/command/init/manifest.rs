//! What `imgduel init` adds to `Cargo.toml`: the test target and the dependency. Everything else keeps its place and its comments.

use std::path::PathBuf;

use toml_edit::{ArrayOfTables, InlineTable, Item, Table, value};

use super::Report;
use super::place::{Package, Place};
use crate::base::error::{Error, Result};
use crate::base::whole_file::write_text;

/// The version that a package depends on: what is compatible with this one.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);

/// A change of a manifest.
pub(super) struct Change {
    path: PathBuf,
    text: String,
    added: Vec<String>,
    kept: Vec<String>,
}

impl Change {
    /// Writes the manifest if anything is added.
    pub(super) fn carry_out(self, report: &mut Report) -> Result<()> {
        for why in &self.kept {
            report.kept(&self.path, why);
        }
        if self.added.is_empty() {
            return Ok(());
        }
        write_text(&self.path, &self.text, "write")?;
        let path = self.path.display();
        report
            .0
            .push(format!("added to {path}: {}", self.added.join(", ")));
        Ok(())
    }
}

/// Returns what is to be added. Fails if a part of the manifest has another shape than cargo knows.
pub(super) fn change(place: &Place, package: &Package) -> Result<Change> {
    let path = place.directory.join("Cargo.toml");
    let mut manifest = package.manifest.clone();
    let wrong = |what: &str| Error::usage(format!("{}: {what} is no table", path.display()));
    let (mut added, mut kept) = (Vec::new(), Vec::new());

    let mut sections = ["dependencies", "dev-dependencies"].into_iter();
    let is_there = |section| {
        let section: Option<&Item> = manifest.get(section);
        section.is_some_and(|section| section.get("imgduel").is_some())
    };
    if sections.any(is_there) {
        kept.push("it depends on imgduel".to_owned());
    } else {
        let section = manifest
            .entry("dev-dependencies")
            .or_insert(Item::Table(Table::new()));
        let section = section
            .as_table_like_mut()
            .ok_or_else(|| wrong("dev-dependencies"))?;
        let mut wanted = InlineTable::new();
        wanted.insert("version", VERSION.into());
        wanted.insert("default-features", false.into());
        section.insert("imgduel", value(wanted));
        added.push("the dependency imgduel".to_owned());
    }

    let tests = manifest
        .entry("test")
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let tests = tests
        .as_array_of_tables_mut()
        .ok_or_else(|| wrong("test"))?;
    let is_own = |test: &&Table| test.get("name").and_then(Item::as_str) == Some(package.target);
    let own = tests.iter().find(is_own);
    let has_own_main = own.map(|own| own.get("harness").and_then(Item::as_bool) == Some(false));
    match has_own_main {
        Some(has_own_main) => {
            kept.push(match has_own_main {
                true => format!("it has the test {}", package.target),
                false => format!("give its test {} the line harness = false", package.target),
            });
        }
        None => {
            let mut test = Table::new();
            test.insert("name", value(package.target));
            test.insert("harness", value(false));
            tests.push(test);
            added.push(format!("the test {}", package.target));
        }
    }
    Ok(Change {
        path,
        text: manifest.to_string(),
        added,
        kept,
    })
}
