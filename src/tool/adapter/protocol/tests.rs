//! Tests of the adapter protocol.

use super::*;
use crate::image::content::{Fill, Recipe, Texture, Write};
use crate::image::options::CreateOptions;

fn hello() -> Hello {
    serde_json::from_str(
        r#"{"protocol":1,"name":"reader","version":"3","can":{"contents":["qcow2","raw"]},
            "lacks":[{"format":"qcow2","option":"extended_l2=on","feature":"extended L2 entries"}]}"#,
    )
    .expect("a hello")
}

fn contents(options: &[&str]) -> Request {
    let options = CreateOptions::parse(options).expect("options of ours");
    Request::Contents {
        file: ImageFile::new("a", Format::Qcow2).with_options(options),
    }
}

#[test]
fn a_tool_gets_only_requests_that_it_offers() {
    let hello = hello();
    assert_eq!(hello.objection(&contents(&["cluster_size=512"])), None);
    let lacking = hello.objection(&contents(&["extended_l2=on"]));
    assert_eq!(lacking.as_deref(), Some("reader lacks extended L2 entries"));
    let file = ImageFile::new("a", Format::Vmdk);
    let foreign = hello.objection(&Request::Contents { file: file.clone() });
    assert_eq!(foreign.as_deref(), Some("reader cannot contents vmdk"));
    let other = hello.objection(&Request::Info { file });
    assert_eq!(other.as_deref(), Some("reader has no info"));
}

#[test]
fn a_tool_that_reads_no_backing_files_gets_no_overlay() {
    let base = ImageFile::new("base", Format::Raw);
    let file = ImageFile::new("a", Format::Qcow2).over(&base);
    let request = Request::Contents { file };
    let objection = hello().objection(&request);
    assert_eq!(objection.as_deref(), Some("reader reads no backing files"));
    let reads = Hello {
        backing: true,
        ..hello()
    };
    assert_eq!(reads.objection(&request), None);
}

#[test]
fn data_of_a_recipe_comes_from_a_file_and_only_to_adapters_that_take_it() {
    let fill = Fill::Data(Recipe {
        texture: Texture::Text,
        seed: 9,
        shift: 0,
    });
    let writes = vec![
        Write::repeated(0, 512, 1),
        Write {
            offset: 512,
            length: 1024,
            fill,
        },
    ];
    let file = ImageFile::new("a", Format::Raw);
    let request = Request::Write { file, writes };
    let writer: Hello = serde_json::from_str(
        r#"{"protocol":2,"name":"writer","version":"1","can":{"write":["raw"]}}"#,
    )
    .expect("a hello");
    let objection = writer.objection(&request);
    assert_eq!(
        objection.as_deref(),
        Some("writer writes repeated bytes only")
    );
    let takes = Hello {
        data_from_files: true,
        ..writer
    };
    assert_eq!(takes.objection(&request), None);
    let line = Message::line(&request, Path::new("/scratch"), 2).expect("JSON");
    assert!(line.contains(r#""data_file":"a.raw.fill1""#), "{line}");
    assert!(!line.contains("fill0"), "{line}");
    // An embedded library reads the recipe instead.
    let back: Message = serde_json::from_str(&line).expect("the same");
    assert!(matches!(back, Message::Request { request: same, .. } if same == request));
}

#[test]
fn a_line_has_the_request_and_its_directory() {
    let options = &["cluster_size=4096", "extended_l2=on"];
    let request = contents(options);
    let line = |version| Message::line(&request, Path::new("/scratch"), version).expect("JSON");
    assert_eq!(
        line(1),
        r#"{"directory":"/scratch","request":"contents","file":{"path":"a.qcow2","format":"qcow2","options":["cluster_size=4096","extended_l2=on"]}}"#
    );
    let line = line(2);
    assert_eq!(
        line,
        r#"{"directory":"/scratch","request":"contents","file":{"path":"a.qcow2","format":"qcow2","options":{"cluster_size":4096,"extended_l2":true}}}"#
    );
    let back: Message = serde_json::from_str(&line).expect("the same");
    assert!(matches!(back, Message::Request { request, .. } if request == contents(options)));
}
