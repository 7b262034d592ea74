//! Names of files by the absolute path of a side's directory. Cases and requests have a mark in its place, which both sides share.
//!
//! Whoever calls a tool puts the path in, and the mark into the answer. It opens nothing.

use std::iter::successors;

use super::placement::{BackingName, DIRECTORY_MARK};
use super::{Answer, ImageFile, Report, Request};
use crate::image::options::CreateOption;

use serde_json::Value;

impl ImageFile {
    /// Whether it, or an image below it, records an absolute name.
    pub fn names_its_directory(&self) -> bool {
        let mut chain = successors(Some(self), |file| file.backing.as_deref());
        chain.any(|file| file.placement.names == BackingName::Absolute)
    }
}

impl Request {
    /// Whether an image that it concerns, or one below, records an absolute name.
    pub fn names_its_directory(&self) -> bool {
        self.images()
            .into_iter()
            .any(ImageFile::names_its_directory)
    }

    /// Returns the request with `directory` in the places of the mark.
    pub fn in_directory(&self, directory: &str) -> Self {
        let placed = |name: &String| name.replace(DIRECTORY_MARK, directory);
        let mut request = self.clone();
        match &mut request {
            Self::Create { file, .. } => {
                let options = file.options.iter().map(|option| match option {
                    CreateOption::BackingFile(name) => CreateOption::BackingFile(placed(name)),
                    other => other.clone(),
                });
                file.options = options.collect();
            }
            Self::Rebase {
                new_backing: Some(name),
                ..
            } => *name = placed(name),
            _ => {}
        }
        request
    }
}

impl Answer {
    /// Returns the answer with the mark in the places of `directory`: in its command, and in what it reports.
    pub fn without_directory(mut self, directory: &str) -> Self {
        let marked = |text: &mut String| {
            if text.contains(directory) {
                *text = text.replace(directory, DIRECTORY_MARK);
            }
        };
        self.transcript.command.iter_mut().for_each(marked);
        match &mut self.report {
            Report::Json { tree, .. } => each_text(tree, &marked),
            Report::Audit(audit) => audit.facts.values_mut().for_each(marked),
            _ => {}
        }
        self
    }
}

fn each_text(tree: &mut Value, change: &impl Fn(&mut String)) {
    match tree {
        Value::String(text) => change(text),
        Value::Array(entries) => entries
            .iter_mut()
            .for_each(|entry| each_text(entry, change)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| each_text(field, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
