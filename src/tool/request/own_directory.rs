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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::size::Size;
    use crate::image::format::Format;
    use crate::tool::request::{Exit, Placement, RebaseMode};

    fn overlay() -> ImageFile {
        let below = ImageFile::new("one/0", Format::Raw);
        let placement = Placement {
            names: BackingName::Absolute,
            ..Placement::default()
        };
        let overlay = ImageFile {
            placement,
            ..ImageFile::new("other/1", Format::Qcow2)
        };
        overlay.over(&below)
    }

    #[test]
    fn an_absolute_name_has_the_path_of_the_side_where_a_tool_is_asked() {
        let mut file = overlay();
        let below = file.backing.clone().expect("it lies on another");
        let name = file.name_for(&below);
        file.options
            .extend([CreateOption::BackingFile(name.clone())]);
        let size = Size::of_bytes(512);
        let request = Request::Create { file, size };
        assert!(request.names_its_directory());
        let Request::Create { file, .. } = request.in_directory("/a/side") else {
            panic!("another request");
        };
        let recorded = file.options.backing_file().map(String::as_str);
        assert_eq!(recorded, Some("/a/side/one/0.raw"));
        let request = Request::Rebase {
            file: overlay(),
            new_backing: Some(name),
            mode: RebaseMode::default(),
        };
        let Request::Rebase { new_backing, .. } = request.in_directory("/a/side") else {
            panic!("another request");
        };
        assert_eq!(new_backing.as_deref(), Some("/a/side/one/0.raw"));
    }

    #[test]
    fn an_answer_has_the_mark_in_the_place_of_the_side_s_directory_alone() {
        let mut answer = Answer::from(Exit::Success);
        let tree =
            json!({"backing-filename": "/a/side/0", "children": [{"name": "/another/side/0"}]});
        answer.report = Report::Json {
            tree,
            is_partial: false,
        };
        let marked =
            json!({"backing-filename": "@DIRECTORY@/0", "children": [{"name": "/another/side/0"}]});
        let answer = answer.without_directory("/a/side");
        assert_eq!(answer.report.tree(), Ok(&marked));
    }
}
