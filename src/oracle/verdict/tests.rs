//! Unit tests of `verdict.rs`.

use super::*;

fn finding(key: &str) -> Finding {
    Finding::of_difference(
        DivergenceKind::CandidateCrash,
        Difference::new(Subject::json_key(key), "a", "b"),
    )
}

fn every() -> [Verdict; 5] {
    [
        Verdict::Match,
        finding("x").into(),
        Verdict::Flaky(finding("y")),
        Verdict::inconclusive(InconclusiveKind::BothLimit, "z"),
        Verdict::Unsupported {
            reason: "u".to_owned(),
        },
    ]
}

#[test]
fn a_verdict_tells_its_name_its_kind_its_blame_its_aspect_and_why() {
    let crash = Some("candidate_crash".to_owned());
    let limit = Some("inconclusive_both_limit".to_owned());
    let blame = Some(Blame::Candidate);
    let aspect = Some(Aspect::Exit);
    let told = every().map(|verdict| {
        let reason = verdict.reason().map(str::to_owned);
        let (name, kind) = (verdict.name(), verdict.kind_name());
        let differences = verdict.differences().len();
        (
            name,
            kind,
            verdict.blame(),
            verdict.aspect(),
            differences,
            reason,
        )
    });
    let reason = |text: &str| Some(text.to_owned());
    let x = reason("x: candidate a, reference b");
    let y = reason("y: candidate a, reference b");
    let expected = [
        (VerdictName::Match, None, None, None, 0, None),
        (VerdictName::Divergence, crash.clone(), blame, aspect, 1, x),
        (VerdictName::Flaky, crash, blame, aspect, 1, y),
        (VerdictName::Inconclusive, limit, None, None, 0, reason("z")),
        (VerdictName::Unsupported, None, None, None, 0, reason("u")),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_worst_verdict_counts_and_of_equals_the_first() {
    let [agreed, diverged, flaky, unsure, unsupported] = every();
    let worst = |of: [&Verdict; 2]| Verdict::deciding(of.map(Clone::clone).to_vec());
    let order = [&diverged, &flaky, &unsure, &agreed, &unsupported];
    for pair in order.windows(2) {
        assert_eq!(worst([pair[0], pair[1]]), *pair[0]);
        assert_eq!(worst([pair[1], pair[0]]), *pair[0]);
    }
    let later: Verdict = finding("later").into();
    assert_eq!(worst([&diverged, &later]), diverged);
    assert_eq!(Verdict::deciding(Vec::new()), Verdict::Match);
}

#[test]
fn a_finding_of_several_differences_is_summed_up_by_the_first() {
    let kind = DivergenceKind::InfoOutput;
    let difference =
        |key: &str| Difference::new(Subject::json_key(key), "1", "2").with_expected("3");
    let several = Finding::of_differences(kind, vec![difference("a"), difference("b")]);
    let several = several.unwrap();
    assert_eq!(
        several.summary,
        "a: candidate 1, reference 2, expected 3 (and 1 more)"
    );
    assert_eq!(several.differences.len(), 2);
    assert_eq!(several.blame, Blame::Unclear);
    let one = Finding::of_differences(kind, vec![difference("a")]).unwrap();
    assert_eq!(one.summary, "a: candidate 1, reference 2, expected 3");
    assert_eq!(one.clone().blamed(Blame::Both).blame, Blame::Both);
    assert_eq!(Finding::of_differences(kind, Vec::new()), None);
}

#[test]
fn what_is_no_json_is_told_for_each_side() {
    let (json, error): (Result<u8, &str>, _) = (Ok(1), Err("at line 1"));
    let request = RequestKind::Map;
    let subject = || Subject::OutputAsJson { request };
    assert_eq!(subject().to_string(), "map as JSON");
    assert_eq!(
        Difference::of_parsing(request, &error, &json),
        Difference::new(subject(), "at line 1", "JSON")
    );
    assert_eq!(
        Difference::of_parsing(request, &json, &error),
        Difference::new(subject(), "JSON", "at line 1")
    );
}

#[test]
fn every_aspect_and_blame_is_named_as_it_is_written() {
    let written = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    let aspects = [
        Aspect::Exit,
        Aspect::Contents,
        Aspect::Facts,
        Aspect::Allocation,
        Aspect::Metadata,
        Aspect::Host,
        Aspect::CrossReading,
        Aspect::Saying,
    ];
    for aspect in aspects {
        let json = serde_json::to_value(aspect).unwrap();
        assert_eq!(written(json), aspect.name());
    }
    let blames = [
        Blame::Candidate,
        Blame::Reference,
        Blame::Both,
        Blame::Unclear,
    ];
    for blame in blames {
        let json = serde_json::to_value(blame).unwrap();
        assert_eq!(written(json), blame.name());
    }
}
