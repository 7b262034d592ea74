//! The native generations: ids always decode to the same cases, and each profile draws only what its tool supports.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::collections::BTreeMap;
use std::time::Duration;

use imgduel::case::generation::{Generation, Selection};
use imgduel::case::{Case, CaseId};
use imgduel::oracle::observations::StepContext;
use imgduel::tool::Support;
use imgduel::tool::request::{ImageFile, Request};

/// Reads a golden file: one case per line, from the first release of the generation. A generation that draws differently needs a new name.
fn frozen(generation: &str) -> Vec<(String, Case)> {
    let path = ring::package().join(format!("tests/golden/{generation}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(str::to_owned);
    lines
        .map(|line| (line.clone(), serde_json::from_str(&line).unwrap()))
        .collect()
}

#[test]
fn a_native_id_decodes_to_the_frozen_case() {
    let frozen: Vec<_> = ["native1", "native2", "native3", "native4"]
        .into_iter()
        .flat_map(frozen)
        .collect();
    assert!(frozen.len() >= 40);
    for (line, case) in frozen {
        let decoded = Generation::case(&case.id(), &case.selection()).unwrap();
        assert_eq!(serde_json::to_string(&decoded).unwrap(), line);
        assert_eq!(decoded, case);
    }
}

/// The golden file has mutations and splices of drawn cases, as `imgduel show` printed them.
#[test]
fn the_id_of_a_child_decodes_to_the_frozen_case() {
    let generations = ["native1", "native2", "native3", "native4"];
    let children = generations.map(|name| {
        let path = ring::package().join(format!("tests/golden/{name}_children.jsonl"));
        std::fs::read_to_string(path).unwrap()
    });
    assert!(children.iter().all(|text| text.lines().count() >= 6));
    for line in children.iter().flat_map(|text| text.lines()) {
        let case: Case = serde_json::from_str(line).unwrap();
        let decoded = Generation::case(&case.id(), &Selection::ALL).unwrap();
        assert_eq!(serde_json::to_string(&decoded).unwrap(), line);
    }
}

#[test]
fn a_case_decoded_from_its_id_equals_the_one_of_its_campaign() {
    let generation = Generation::named("native1").unwrap();
    for (iteration, case) in generation
        .cases(9, 0, &Selection::ALL)
        .unwrap()
        .take(50)
        .enumerate()
    {
        let id = CaseId::in_campaign("native1", 9, iteration as u64);
        assert_eq!(Generation::case(&id, &Selection::ALL).unwrap(), case);
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
    }
}

#[test]
fn the_native_generations_are_not_the_default() {
    assert_eq!(Generation::usual().name, "ops16");
}

/// Returns the generation that a run of the command draws from, taken from its case ids.
fn drawn_from(arguments: &[&str]) -> String {
    let directory = ring::scratch();
    let records = directory.path().join("records.jsonl");
    let output = ring::imgduel()
        .args([
            "fuzz",
            "--seed",
            "3",
            "--iterations",
            "1",
            "--allow-vacuous",
            "--no-shrink",
            "--workdir",
        ])
        .arg(directory.path())
        .arg("--json")
        .arg(&records)
        .args(arguments)
        .output()
        .unwrap();
    let records = std::fs::read_to_string(records).unwrap_or_else(|_| panic!("{output:?}"));
    let record: serde_json::Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    record["generation"].as_str().unwrap().to_owned()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_campaign_draws_what_its_only_candidate_supports_unless_flags_request_more() {
    let native = ["--generation", "native1"];
    let with = |more: &[&str]| drawn_from(&[&native, more].concat());
    assert_eq!(with(&[]), "native1_imago");
    assert_eq!(with(&["--ops", "write,resize"]), "native1_imago");
    assert_eq!(with(&["--ops", "write,bitmap"]), "native1");
    assert_eq!(with(&["--wide"]), "native1");
    assert_eq!(with(&["--candidate", "qemu-img"]), "native1");
    assert_eq!(
        drawn_from(&["--generation", "malformed1"]),
        "malformed1_imago"
    );
    let field = ["--generation", "malformed1", "--fields", "header"];
    assert_eq!(drawn_from(&field), "malformed1");
}

/// Returns the requests of the only operation of a case.
fn requests(case: &Case) -> Vec<Request> {
    let context = StepContext {
        recipe: &case.image,
        source: ImageFile::new("image", case.image.format),
        stem: "0-chain".to_owned(),
        salt: case.iter_seed.unwrap_or_default(),
    };
    let steps = case.ops[0].perform().steps(&context);
    steps
        .into_iter()
        .filter_map(|step| step.task.request().cloned())
        .collect()
}

/// Returns for `cases` cases of a generation the number of requests, the number that imago supports, and the number of cases without any.
fn share_of_imago(generation: &str, cases: usize) -> (usize, usize, usize) {
    let imago = ring::open("imago");
    let generation = Generation::named(generation).unwrap();
    let (mut asked, mut done, mut idle) = (0, 0, 0);
    for case in generation.cases(5, 0, &Selection::ALL).unwrap().take(cases) {
        let requests = requests(&case);
        for request in &requests {
            let file = request.file().clone();
            let read = Request::Contents { file };
            assert_eq!(imago.support(&read), Support::Yes, "{read:?}");
        }
        let own = requests
            .iter()
            .filter(|request| imago.support(request) == Support::Yes)
            .count();
        asked += requests.len();
        done += own;
        idle += usize::from(own == 0);
    }
    (asked, done, idle)
}

#[test]
fn the_profiles_for_imago_draw_images_and_steps_that_imago_supports() {
    for (generation, idle_max) in [("native1_imago", 10), ("native2_imago", 10)] {
        let (asked, done, idle) = share_of_imago(generation, 500);
        assert!(
            done * 2 > asked,
            "{generation}: imago does {done} of {asked} steps"
        );
        assert!(
            idle < idle_max,
            "{generation}: nothing to do in {idle} of 500"
        );
    }
}

/// Returns the image that the last step of a case reads.
fn read_last(case: &Case) -> ImageFile {
    match requests(case).pop().unwrap() {
        Request::Contents { file } => file,
        other => panic!("{} is the last step", other.name()),
    }
}

#[test]
fn the_cases_for_readers_cover_all_formats_evenly_and_end_with_a_read() {
    let generation = Generation::named("native1_readers").unwrap();
    let mut counts = BTreeMap::new();
    for case in generation.cases(3, 0, &Selection::ALL).unwrap().take(700) {
        *counts.entry(read_last(&case).format.name()).or_insert(0) += 1;
    }
    // A conversion that triggers a known qemu-img bug is omitted, and its raw source is read: compressed qcow.
    assert!(counts.remove("raw").unwrap_or(0) < 14);
    assert_eq!(counts.len(), 7, "{counts:?}");
    assert!(
        counts.values().all(|count| (60..160).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn every_embedded_reader_can_read_most_of_the_cases_of_its_format() {
    let generation = Generation::named("native1_readers").unwrap();
    let readers = [
        ("qcow2-core", "qcow2", 40),
        ("vmdk-core", "vmdk", 70),
        ("vhd-core", "vpc", 100),
        ("vhdx-core", "vhdx", 100),
        ("vdi", "vdi", 60),
    ];
    for (name, format, least_percent) in readers {
        let reader = ring::open(name);
        let cases = generation.cases(3, 0, &Selection::ALL).unwrap().take(350);
        let files: Vec<ImageFile> = cases
            .map(|case| read_last(&case))
            .filter(|file| file.format.name() == format)
            .collect();
        let reads = |file: &&ImageFile| {
            let file = (*file).clone();
            reader.support(&Request::Contents { file }) == Support::Yes
        };
        let read = files.iter().filter(reads).count();
        assert!(
            read * 100 >= files.len() * least_percent,
            "{name}: {read} of {}",
            files.len()
        );
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn qemu_img_agrees_with_itself_and_with_the_model_in_the_frozen_cases() {
    let workdir = ring::scratch();
    let limit = Duration::from_secs(30);
    let session = ring::session("qemu-img", "qemu-img", limit, workdir.path());
    let cases = |generation: &str| frozen(generation).into_iter().take(5);
    for (_, case) in cases("native1").chain(cases("native2")) {
        let record = session.try_case(case).unwrap();
        assert_eq!(record.verdict, "match", "{record:#?}");
    }
}

/// Complete cases of divergences that the native generations rarely or never draw, each with its entry of the catalogue.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    another_qemu_img,
    ignore = "these are differences of qemu-img 10.0.2: another release may have fixed them"
)]
fn rare_known_divergences_match_their_entries_of_the_catalogue() {
    let of_qemu_img = [
        ("repaired_snapshots", "qemu-img-repaired-snapshots"),
        ("guessed_backing", "qemu-img-guessed-backing"),
        (
            "growth_over_free_clusters",
            "qemu-img-cannot-grow-over-free-clusters-itself",
        ),
    ];
    let of_imago = [
        ("dropped_bitmap_not_found", "imago-drops-bitmaps-not-found"),
        ("dropped_bitmap_leaks", "imago-drops-bitmaps-leaks"),
        ("dropped_bitmap_allows", "imago-drops-bitmaps-allowed"),
        (
            "grown_overlay_of_zeros",
            "imago-grows-overlays-by-zero-clusters",
        ),
    ];
    let directory = ring::scratch();
    for (candidate, differences) in [("qemu-img", &of_qemu_img[..]), ("imago", &of_imago[..])] {
        let records = directory.path().join(format!("{candidate}.jsonl"));
        let path = |name: &str| ring::package().join(format!("tests/golden/native1_{name}.json"));
        ring::imgduel()
            .arg("replay")
            .args(differences.iter().map(|(name, _)| path(name)))
            .args(["--candidate", candidate, "--jobs", "1", "--workdir"])
            .arg(directory.path())
            .arg("--json")
            .arg(&records)
            .output()
            .unwrap();
        let records = std::fs::read_to_string(records).unwrap();
        assert_eq!(records.lines().count(), differences.len());
        for (line, (_, entry)) in records.lines().zip(differences) {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["known"], *entry, "{record:#}");
        }
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn consequences_of_a_refused_step_are_not_differences() {
    let workdir = ring::scratch();
    let limit = Duration::from_secs(30);
    for name in ["half_written", "refused_bitmaps"] {
        let path = ring::package().join(format!("tests/golden/native1_{name}.json"));
        let seed = imgduel::report::seed_file::SeedFile::read(&path).unwrap();
        for candidate in ["imago", "qemu-img"] {
            let session = ring::session(candidate, "qemu-img", limit, workdir.path());
            let record = session.try_case(seed.case().unwrap()).unwrap();
            let is_idle = record.verdict == "unsupported";
            assert!(record.verdict == "match" || is_idle, "{record:#?}");
        }
    }
}
