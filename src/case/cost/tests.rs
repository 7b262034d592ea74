//! Unit tests of `cost.rs`.

use super::*;
use crate::base::size::Size;
use crate::case::generation::{Generation, Selection};
use crate::image::options::CreateOptions;
use crate::tool::request::NewSize;

fn costs_of(options: &[&str], before: &str, after: u64) -> Vec<Cost> {
    let options = CreateOptions::parse(options).expect("options of ours");
    let file = ImageFile::new("image", Format::Qcow2).with_options(options);
    let create = Request::Create {
        file: file.clone(),
        size: Size::literal(before),
    };
    let resize = Request::Resize {
        file,
        size: NewSize::of_bytes(after),
        end_bytes: after,
        shrink: true,
        preallocation: None,
    };
    of_steps(&[Step::own(create), Step::own(resize)])
}

#[test]
fn predicted_flushes_are_within_one_percent_of_those_that_strace_counted() {
    let counted = [
        ("cluster_size=512", "64M", 1 << 20, 6073),
        ("cluster_size=512", "256M", 4 << 20, 24289),
        ("cluster_size=512", "16M", 1 << 20, 1446),
        ("cluster_size=4096", "1G", 1 << 20, 1540),
    ];
    for (option, before, after, counted) in counted {
        let foretold = costs_of(&[option], before, after)[1].flushes;
        let apart = foretold.abs_diff(counted);
        assert!(
            apart * 100 <= counted,
            "{before}: {foretold}, not {counted}"
        );
    }
    let extended = ["cluster_size=16384", "extended_l2=on"];
    assert_eq!(costs_of(&extended, "4G", 1 << 20)[1].flushes, 768);
    let metadata = ["cluster_size=512", "preallocation=metadata"];
    assert_eq!(costs_of(&metadata, "64M", 64 << 20)[0].flushes, 8192);
    assert_eq!(
        costs_of(&["cluster_size=65536"], "1M", 64 << 20)[1].flushes,
        0
    );
}

#[test]
fn progress_is_reported_in_flushes() {
    let shrink = costs_of(&["cluster_size=512"], "256M", 4 << 20)[1];
    assert_eq!(
        shrink.progress(2064384).as_deref(),
        Some("about 12,096 of about 24,192 expected flushes")
    );
    assert_eq!(Cost::default().progress(1), None);
}

#[test]
fn a_known_slow_case_comes_first_in_its_group_and_no_case_is_lost() {
    let generation = Generation::named("ops7").unwrap();
    let cases = generation
        .cases(59095591, 0, &Selection::ALL)
        .unwrap()
        .take(800);
    let ordered: Vec<u64> = long_first(cases.map(Ok::<_, ()>))
        .map(|case| case.unwrap().iteration.unwrap())
        .collect();
    // The group from 512 to 767 contains the shrink of issue 336.
    assert!(ordered[512..520].contains(&751), "{:?}", &ordered[512..520]);
    let mut sorted = ordered;
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..800));
}
