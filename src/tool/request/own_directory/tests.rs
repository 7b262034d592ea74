//! Unit tests of `own_directory.rs`.

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
    let tree = json!({"backing-filename": "/a/side/0", "children": [{"name": "/another/side/0"}]});
    answer.report = Report::Json {
        tree,
        is_partial: false,
    };
    let marked =
        json!({"backing-filename": "@DIRECTORY@/0", "children": [{"name": "/another/side/0"}]});
    let answer = answer.without_directory("/a/side");
    assert_eq!(answer.report.tree(), Ok(&marked));
}
