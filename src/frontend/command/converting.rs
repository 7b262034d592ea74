//! `imgduel convert-catalogue`: converts a JSON catalogue into a directory of files, one for each tool.
//!
//! For users' catalogues; a notice recommends it when one is read. It merges nothing: every entry is written in full,
//! without an example.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::base::error::{Error, Result};
use crate::base::whole_file::write_text;
use crate::case::known::{Catalogue, Entry, is_json};

/// Why no entry of a converted catalogue has an example.
const NO_EXAMPLE: &str = "it was accepted before entries had examples";

#[derive(Args)]
pub(super) struct ConvertArguments {
    /// The catalogue, a file of JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The directory into which the files go
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn convert(arguments: &ConvertArguments) -> Result<ExitCode> {
    let ConvertArguments { file, directory } = arguments;
    if !is_json(file) {
        std::fs::metadata(file).map_err(|error| Error::io("read the catalogue", file, &error))?;
        let file = file.display();
        return Err(Error::usage(format!("{file} is no catalogue of JSON")));
    }
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    let catalogue = Catalogue::read(file)?;
    for entry in &catalogue.entries {
        let path = directory.join(Catalogue::file_name(&entry.tool));
        if path.exists() {
            let path = path.display();
            return Err(Error::usage(format!("{path} is there already")));
        }
        let reason = (!entry.is_about_exhaustion()).then(|| NO_EXAMPLE.to_owned());
        let entry = Entry {
            no_example: reason,
            ..entry.clone()
        };
        let text = Catalogue::with_entry(texts.get(&path).map(String::as_str), &entry)?;
        texts.insert(path, text);
    }
    for (path, text) in &texts {
        write_text(path, text, "write the catalogue")?;
    }
    Ok(super::print_text(&format!(
        "{}: {} entries in {} files; {} is not needed any more\n",
        directory.display(),
        catalogue.entries.len(),
        texts.len(),
        file.display()
    )))
}
