//! Unit tests of `sanitize.rs`.

use super::*;
use crate::image::content::Fill;
use crate::image::options::{CreateOption, CreateOptions};
use crate::tool::request::SnapshotAction;

fn chain(steps: Vec<ChainStep>) -> Chain {
    let layer = Layer {
        format: Format::Qcow2,
        size: 1 << 20,
        options: CreateOptions::new(),
        writes: Vec::new(),
        steps: Vec::new(),
        placement: Default::default(),
        outside: None,
    };
    let layers = vec![layer];
    Chain { layers, steps }
}

fn snapshot(action: SnapshotAction) -> ChainStep {
    let name = "a".to_owned();
    ChainStep::Snapshot { action, name }
}

#[test]
fn removing_a_step_removes_its_dependents() {
    let rest = vec![
        snapshot(SnapshotAction::Apply),
        snapshot(SnapshotAction::Delete),
        ChainStep::Commit {
            base: None,
            keeps: false,
        },
        ChainStep::Rebase {
            onto: None,
            is_unsafe: false,
            compresses: false,
        },
        ChainStep::Read,
    ];
    assert_eq!(chain(rest).sanitized().steps, [ChainStep::Read]);
}

#[test]
fn only_growth_that_allocates_every_cluster_is_too_expensive() {
    let resize = || ChainStep::Resize {
        size: 32 << 30,
        preallocation: None,
    };
    let mut chain = chain(vec![resize()]);
    assert!(!chain.is_unbearable());
    chain.layers[0].options = [
        CreateOption::ClusterSize(1024),
        CreateOption::DataFileRaw(true),
    ]
    .into();
    assert!(chain.is_unbearable());
}

#[test]
fn ranges_are_cut_at_the_end_and_discards_are_whole_clusters() {
    let write = |offset, length| Write {
        offset,
        length,
        fill: Fill::Byte(1),
    };
    let steps = vec![
        ChainStep::Write {
            writes: vec![write(0, 2 << 20), write(1 << 20, 1)],
        },
        ChainStep::Discard {
            offset: 70000,
            length: 512,
        },
    ];
    let sanitized = chain(steps).sanitized().steps;
    let writes = vec![write(0, 1 << 20)];
    let (offset, length) = (65536, 65536);
    assert_eq!(
        sanitized,
        [
            ChainStep::Write { writes },
            ChainStep::Discard { offset, length }
        ]
    );
}
