//! The names and aspects of the kinds.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_kind_has_a_name_of_its_own_by_which_it_is_found_again() {
    let names: Vec<String> = DivergenceKind::all().map(|kind| kind.to_string()).collect();
    let different: BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    for kind in DivergenceKind::all() {
        assert_eq!(DivergenceKind::named(&kind.to_string()), Some(kind));
    }
    assert_eq!(DivergenceKind::named("no_such_divergence"), None);
    let written = serde_json::to_string(&DivergenceKind::ExitCode).unwrap();
    assert_eq!(written, "\"exit_code_divergence\"");
}

#[test]
fn what_is_said_of_a_whole_operation_is_the_same_for_each_of_its_images() {
    let kind = |role, aspect| DivergenceKind::output(role, aspect).to_string();
    for role in [OutputRole::CommitBacking, OutputRole::CommitOverlay] {
        let read = kind(role, OutputAspect::ContentReadback);
        assert_eq!(read, "commit_content_readback_failure");
    }
    assert_eq!(
        kind(OutputRole::ChainBacking, OutputAspect::InfoReadback),
        "chain_info_readback_failure"
    );
    assert_eq!(
        kind(OutputRole::CommitOverlay, OutputAspect::Content),
        "commit_overlay_content_divergence"
    );
    assert_eq!(
        kind(OutputRole::ChainBacking, OutputAspect::Check),
        "chain_backing_check_divergence"
    );
}

#[test]
fn a_kind_is_about_the_aspect_that_differs_whatever_words_its_name_has() {
    let aspects = [
        ("exit_code_divergence", Aspect::Exit),
        ("resize_write_failure", Aspect::Exit),
        ("amend_create_seed_divergence", Aspect::Exit),
        ("resize_content_divergence", Aspect::Contents),
        ("snapshot_byte_divergence", Aspect::Contents),
        ("snapshot_compare_divergence", Aspect::Contents),
        ("commit_snapshot_readback_divergence", Aspect::Contents),
        ("rebase_snapshot_readback_error", Aspect::Contents),
        ("bench_snapshot_refcount_divergence", Aspect::Metadata),
        ("bench_write_divergence", Aspect::Contents),
        ("repair_data_divergence", Aspect::Contents),
        ("repair_safety_divergence", Aspect::Metadata),
        ("resize_info_divergence", Aspect::Facts),
        ("measure_bitmaps_presence_divergence", Aspect::Facts),
        ("bitmap_info_divergence", Aspect::Facts),
        ("chain_map_divergence", Aspect::Allocation),
        ("map_field_divergence", Aspect::Allocation),
        ("convert_check_divergence", Aspect::Metadata),
        ("chain_metadata_divergence", Aspect::Metadata),
        ("input_changed_divergence", Aspect::Host),
        ("chain_host_divergence", Aspect::Host),
        ("malformed_memory_blowup", Aspect::Host),
        ("malformed_disk_blowup", Aspect::Host),
        ("convert_reading_refused", Aspect::CrossReading),
        ("commit_info_readback_failure", Aspect::CrossReading),
        ("measure_numeric_divergence", Aspect::Saying),
    ];
    for (name, aspect) in aspects {
        let kind = DivergenceKind::named(name).unwrap();
        assert_eq!(kind.aspect(), aspect, "{name}");
    }
}

#[test]
fn what_only_the_candidate_can_do_is_usually_its_fault() {
    let blamed = [
        DivergenceKind::CandidateCrash,
        DivergenceKind::CandidateTimeout,
        DivergenceKind::CandidateLimit,
        DivergenceKind::InputChanged,
    ];
    for kind in DivergenceKind::all() {
        let blame = match blamed.contains(&kind) {
            true => Blame::Candidate,
            false => Blame::Unclear,
        };
        assert_eq!(kind.usual_blame(), blame, "{kind}");
    }
}
