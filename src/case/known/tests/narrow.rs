//! Tests of entries on the step or file that differs: facts about another file of the case do not suffice.

use super::*;
use crate::oracle::verdict::samples;

/// Entries whose condition used to concern whole cases.
const NARROWED: [&str; 22] = [
    "imago-ignores-encryption",
    "imago-grows-over-what-a-cluster-holds",
    "imago-grows-overlays-by-zero-clusters",
    "imago-keeps-host-space",
    "imago-keeps-host-space-of-discards",
    "imago-keeps-host-space-of-zeros",
    "imago-allocates-where-a-damaged-table-points",
    "imago-allocates-by-a-damaged-refcount-table",
    "imago-allocates-by-a-damaged-refcount-block",
    "7zz-extracts-extended-l2",
    "7zz-ignores-data-files",
    "7zz-checks-a-vhdx-to-the-letter",
    "dissect-extended-l2",
    "dissect-misreads-extended-l2",
    "dissect-hangs-on-extended-l2",
    "dissect-misreads-subclusters",
    "dissect-hangs-on-damaged-subclusters",
    "qemu-img-guessed-backing",
    "qemu-img-repaired-snapshots",
    "rqcow2-info-passes-over-what-it-does-not-need",
    "vmdk-core-wants-whole-grains",
    "libvhdi-checks-the-regions-of-a-vhdx",
];

/// Returns a text that the condition accepts.
fn what_differs(when: &Condition) -> String {
    let sample = samples()
        .into_iter()
        .find(|subject| when.subjects.contains(&subject.kind()));
    match sample {
        Some(subject) => subject.to_string(),
        None => when.differences[0].trim_end_matches('*').to_owned(),
    }
}

#[test]
fn an_entry_that_asks_for_the_place_holds_for_no_other_place_and_no_other_blame() {
    let catalogue = Catalogue::built_in().unwrap();
    for id in NARROWED {
        let mut when = catalogue.named(id).unwrap().when.clone();
        // The requirements on the case do not concern the place.
        (when.features, when.damage) = (Vec::new(), Vec::new());
        when.operation = texts(&["chain"]);
        let value = |words: &Option<String>, usual: &str| words.clone().unwrap_or(usual.to_owned());
        let seen = Seen {
            case: chain(&[]),
            differences: vec![Difference::written(
                &what_differs(&when),
                &value(&when.candidate_says, "0x01"),
                &value(&when.reference_says, "0x00"),
            )],
            at: when.at.iter().chain(when.any_at.first()).cloned().collect(),
        };
        let of = |at: &[String], blame: Option<Blame>| {
            when.holds(&Sighting {
                kind: &when.kind[0],
                blame,
                at,
                ..seen.sighting()
            })
        };
        let blame = when.blame.first().copied().or(Some(Blame::Unclear));
        assert!(of(&seen.at, blame), "{id}");
        assert!(!seen.at.is_empty(), "{id}");
        for fact in &seen.at {
            let others: Vec<String> = seen.at.iter().filter(|one| *one != fact).cloned().collect();
            assert!(!of(&others, blame), "{id} without {fact}");
        }
        if !when.blame.is_empty() {
            let all = [
                Blame::Candidate,
                Blame::Reference,
                Blame::Both,
                Blame::Unclear,
            ];
            let other = all.into_iter().find(|blame| !when.blame.contains(blame));
            assert!(!of(&seen.at, other), "{id}");
        }
    }
}
