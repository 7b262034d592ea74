//! Documented limits, each with a request that it excludes and one that it does not.

use super::*;
use crate::tool::request::{BenchPlan, RebaseMode, Window};

fn objection_to(request: Request) -> String {
    objection(&request).unwrap_or_default()
}

#[test]
fn a_differencing_image_is_composed_and_neither_mapped_nor_measured_nor_checked() {
    for format in [Format::Vpc, Format::Vhdx] {
        let parent = ImageFile::new("parent", format);
        let child = ImageFile::new("child", format).over(&parent);
        let (file, source) = (child.clone(), child.clone());
        let target = ImageFile::new("new", Format::Raw);
        let window = Window::WHOLE;
        let refused = [
            Request::Map {
                file: file.clone(),
                window,
            },
            Request::Measure {
                options: Default::default(),
                snapshot: None,
                source: source.clone(),
                target: Format::Qcow2,
            },
            Request::Check { file: file.clone() },
        ];
        for request in refused {
            assert!(objection(&request).is_some(), "{request:?}");
        }
        let overlay = ImageFile::new("overlay", Format::Qcow2).over(&child);
        let composed = [
            Request::Convert {
                source: source.clone(),
                target: target.clone(),
                compress: false,
                mode: Default::default(),
            },
            Request::Dd {
                source,
                target,
                block_size: 512,
                count: None,
                skip: 0,
            },
            Request::Compare {
                first: child.clone(),
                second: parent,
            },
            Request::Bench {
                file,
                plan: BenchPlan::default(),
            },
            Request::Rebase {
                file: overlay,
                new_backing: None,
                mode: RebaseMode::default(),
            },
        ];
        for request in composed {
            assert_eq!(objection(&request), None, "{request:?}");
        }
    }
}

#[test]
fn convert_has_flags_for_some_options_only() {
    let to = |format, option, compress| Request::Convert {
        source: ImageFile::new("image", Format::Raw),
        target: ImageFile::new("new", format).with_options([option]),
        compress,
        mode: Default::default(),
    };
    let subformat = CreateOption::Subformat;
    for (request, wanted) in [
        (to(Format::Qcow2, CreateOption::ClusterSize(512), true), ""),
        (to(Format::Qcow2, CreateOption::ExtendedL2(true), false), ""),
        (
            to(Format::Vmdk, subformat(Subformat::StreamOptimized), false),
            "",
        ),
        (
            to(Format::Vmdk, subformat(Subformat::MonolithicFlat), false),
            "",
        ),
        (
            to(Format::Vmdk, subformat(Subformat::MonolithicFlat), true),
            "compress vmdk",
        ),
        (
            to(
                Format::Vmdk,
                subformat(Subformat::TwoGbMaxExtentFlat),
                false,
            ),
            "(convert)",
        ),
        (
            to(Format::Qcow2, CreateOption::RefcountBits(8), false),
            "(convert)",
        ),
        (
            to(Format::Vpc, subformat(Subformat::Fixed), false),
            "(convert)",
        ),
    ] {
        let found = objection_to(request.clone());
        assert!(
            found.contains(wanted) && found.is_empty() == wanted.is_empty(),
            "{request:?}: {found}"
        );
    }
}

#[test]
fn a_snapshot_with_a_number_for_a_name_is_not_asked_for_by_name() {
    let convert = |snapshot| Request::ConvertSnapshot {
        source: ImageFile::new("image", Format::Qcow2),
        target: ImageFile::new("new", Format::Raw),
        compress: false,
        snapshot,
    };
    let name = |name: &str| convert(SnapshotKey::Name(name.to_owned()));
    assert!(objection_to(name("2")).contains("T19"));
    assert_eq!(objection(&name("alpha")), None);
    assert_eq!(objection(&convert(SnapshotKey::Id("2".to_owned()))), None);
}

#[test]
fn a_fixed_vpc_is_read_only_where_its_format_can_be_told() {
    let fixed = [CreateOption::Subformat(Subformat::Fixed)];
    let file = ImageFile::new("image", Format::Vpc).with_options(fixed);
    let contents = |file: ImageFile| Request::Contents { file };
    assert!(objection_to(contents(file.clone())).contains("C14"));
    let info = Request::Info { file };
    assert_eq!(objection(&info), None);
    assert_eq!(
        objection(&contents(ImageFile::new("image", Format::Vpc))),
        None
    );
}
