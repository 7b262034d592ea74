//! Damaged images: the harness detects crashes, hangs and excessive use of resources, and survives them. Every check has a canary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::process::Command;
use std::time::Duration;

use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};
use imgduel::disk_format::damage::{self, Cut, Damage, Value};
use imgduel::image::content::{Fill, Write};
use imgduel::image::format::Format;
use imgduel::operation::Operation;
use imgduel::operation::chain::Chain;
use imgduel::operation::malformed::{BaseImage, Malformed, ReadRequest};
use imgduel::report::script::script;
use imgduel::run::record::Record;
use imgduel::run::runner::DifferentialRunner;
use imgduel::run::session::Session;
use imgduel::tool::{self, ToolEnv};

const LIMIT: Duration = Duration::from_secs(30);

/// Returns a case with a damaged qcow2 image and these inspections.
fn case(damage: Damage, reads: &[ReadRequest]) -> Case {
    let base_image = BaseImage {
        writes: vec![Write {
            offset: 0,
            length: 65536,
            fill: Fill::Byte(7),
        }],
        ..BaseImage::empty(Format::Qcow2, 1 << 20)
    };
    Case {
        generation: "malformed1".to_owned(),
        seed: Some(0),
        iteration: Some(0),
        iter_seed: Some(0),
        image: Chain::no_source(),
        from: None,
        ops: vec![Operation::Malformed(Malformed {
            base_image,
            outside: Vec::new(),
            damages: vec![damage],
            reads: reads.to_vec(),
            change: None,
        })],
        words_used: 0,
        ops_filter: None,
        fields_filter: None,
    }
}

fn replace(structure: &str, field: &str, value: Value) -> Damage {
    Damage::Replace {
        structure: structure.to_owned(),
        index: 0,
        field: field.to_owned(),
        value,
        stale_checksum: false,
    }
}

/// A damage that no tool notices.
fn harmless() -> Damage {
    replace("header", "compatible_features", Value::Flip(40))
}

/// A damage that every tool refuses.
fn fatal() -> Damage {
    replace("header", "cluster_bits", Value::Number(63))
}

fn tried(candidate: &str, limit: Duration, case: Case) -> Record {
    let workdir = tempfile::tempdir().unwrap();
    let session = ring::session(candidate, "qemu-img", limit, workdir.path());
    session.try_case(case).unwrap()
}

/// Asserts that the stand-in is detected with this kind, and blamed.
fn caught(lie: &str, damage: Damage, read: ReadRequest, limit: Duration, kind: &str) {
    let program = ring::stand_in("malformed").join(lie);
    let candidate = format!("qemu-img:{}", program.display());
    let record = tried(&candidate, limit, case(damage, &[read]));
    assert_eq!(record.kind.as_deref(), Some(kind), "{record:#?}");
    let blamed = record.blame.map(|blame| blame.name());
    let both_may_be_right = kind.ends_with("_divergence") && kind != "input_changed_divergence";
    let expected = if both_may_be_right {
        "unclear"
    } else {
        "candidate"
    };
    assert_eq!(blamed, Some(expected), "{record:#?}");
}

macro_rules! canaries {
    ($($name:ident: $lie:literal, $damage:expr, $read:ident, $kind:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught($lie, $damage, ReadRequest::$read, LIMIT, $kind); }
        )*
    };
}

canaries! {
    a_crash_is_caught: "crashes", harmless(), Map, "candidate_crash";
    a_tool_that_writes_to_its_input_is_caught: "writes_its_input", harmless(), Map, "input_changed_divergence";
    a_tool_that_runs_out_of_memory_is_caught: "eats_memory", harmless(), Map, "candidate_limit";
    a_tool_that_uses_too_much_memory_is_caught: "has_much_memory", harmless(), Map, "malformed_memory_blowup";
    a_tool_that_fills_the_disk_is_caught: "fills_the_disk", harmless(), Map, "malformed_disk_blowup";
    a_tool_that_accepts_an_invalid_image_is_caught: "accepts_everything", fatal(), Map, "exit_code_divergence";
    a_tool_that_refuses_a_readable_image_is_caught: "refuses_everything", harmless(), Map, "exit_code_divergence";
    a_tool_that_reads_other_bytes_is_caught: "reads_other_bytes", harmless(), Contents, "malformed_content_divergence";
    a_tool_that_reports_another_size_is_caught: "tells_another_size", harmless(), Info, "malformed_info_divergence";
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn a_tool_that_hangs_is_caught() {
    let limit = Duration::from_millis(700);
    caught(
        "hangs",
        harmless(),
        ReadRequest::Map,
        limit,
        "candidate_timeout",
    );
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn correct_tools_agree_on_damaged_images() {
    let reads = [
        ReadRequest::Info,
        ReadRequest::Contents,
        ReadRequest::Convert,
        ReadRequest::Compare,
    ];
    for damage in [harmless(), fatal()] {
        for candidate in ["qemu-img", "imago"] {
            let record = tried(candidate, LIMIT, case(damage.clone(), &reads));
            assert_eq!(record.verdict, "match", "{record:#?}");
        }
    }
}

/// Runs a case with this program as imago's worker.
fn with_worker(worker: &str, reads: &[ReadRequest]) -> Record {
    let workdir = tempfile::tempdir().unwrap();
    let tool_env = ToolEnv {
        worker_program: ring::stand_in("malformed").join(worker),
        ..ring::tool_env()
    };
    let runner = DifferentialRunner {
        candidate: tool::open(&"imago".parse().unwrap(), &tool_env).unwrap(),
        ..ring::runner("imago", "qemu-img", LIMIT, workdir.path())
    };
    let session = Session::new(runner, ring::empty_catalogue());
    let record = session.try_case(case(harmless(), reads)).unwrap();
    // The next case starts a new worker.
    let again = session.try_case(case(harmless(), reads)).unwrap();
    assert_eq!(again.kind, record.kind);
    record
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn a_crashed_worker_is_a_finding_and_the_next_case_gets_a_new_one() {
    let record = with_worker("worker_aborts", &[ReadRequest::Info]);
    assert_eq!(
        record.kind.as_deref(),
        Some("candidate_crash"),
        "{record:#?}"
    );
    let record = with_worker("worker_starves", &[ReadRequest::Info]);
    let kind = record.kind.as_deref();
    assert_eq!(kind, Some("malformed_memory_blowup"), "{record:#?}");
}

#[test]
fn decoding_is_deterministic_and_a_case_survives_its_json_form() {
    for name in ["malformed1", "malformed1_imago"] {
        let generation = Generation::named(name).unwrap();
        for case in generation.cases(5, 0, &Selection::ALL).unwrap().take(300) {
            let text = serde_json::to_string(&case).unwrap();
            let read: Case = serde_json::from_str(&text).unwrap();
            assert_eq!(read, case);
            assert_eq!(Generation::case(&case.id(), &Selection::ALL).unwrap(), case);
        }
    }
}

/// The golden file has one case per line, from the first release of the generations. A generation that draws differently needs a new name.
#[test]
fn the_cases_are_those_of_the_first_release() {
    let golden = include_str!("../golden/malformed1.jsonl");
    for line in golden.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        assert_eq!(Generation::case(&case.id(), &Selection::ALL).unwrap(), case);
    }
    assert_eq!(golden.lines().count(), 11);
}

fn fields(names: &[&str]) -> Selection {
    let fields = names.iter().map(|name| (*name).to_owned());
    Selection {
        fields: Some(fields.collect()),
        ..Selection::ALL
    }
}

#[test]
fn fields_select_what_is_damaged_and_an_unknown_field_is_an_error_with_the_list() {
    let generation = Generation::named("malformed1").unwrap();
    let wanted = fields(&["bat", "l2_table.entry"]);
    let cases = generation.cases(3, 0, &wanted).unwrap();
    for case in cases.take(200) {
        let text = serde_json::to_string(&case.ops).unwrap();
        assert!(
            text.contains(r#""structure":"bat""#) || text.contains(r#""structure":"l2_table""#),
            "{text}"
        );
        assert!(!text.contains("subcluster"), "{text}");
    }
    for wrong in ["l3_table", "l2_table.size"] {
        let wrong = fields(&[wrong]);
        let error = generation.cases(3, 0, &wrong).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("snapshot_table") && !text.contains('\n'),
            "{text}"
        );
    }
    assert!(Generation::usual().cases(3, 0, &wanted).is_err());
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn a_damaged_file_has_the_requested_value_and_valid_checksums() {
    let workdir = tempfile::tempdir().unwrap();
    let run = |format: &str| {
        let path = workdir.path().join(format!("image.{format}"));
        let image = imgduel::tool::request::ImageFile::new("image", path_format(format));
        let create = imgduel::tool::request::Request::Create {
            file: image,
            size: imgduel::base::size::Size::of_bytes(1 << 20),
        };
        let call_context = tool::CallContext {
            grace: Duration::ZERO,
            sandbox: &imgduel::process::SandboxPolicy::default(),
            directory: workdir.path(),
            limit: LIMIT,
            memory_bytes_max: None,
        };
        let answer = ring::open("qemu-img").ask(&create, &call_context).unwrap();
        assert!(answer.succeeded(), "{answer:?}");
        path
    };
    for (format, structure, field) in [
        ("qcow2", "header", "l1_size"),
        ("vmdk", "sparse_extent_header", "grainSize"),
        ("vpc", "dynamic_disk_header", "block_size"),
        ("vhdx", "vhdx_header", "version"),
        ("vhdx", "region_table_entry", "length"),
    ] {
        let path = run(format);
        let damage = [replace(structure, field, Value::Number(0x1234))];
        damage::inflict(&path, path_format(format), &damage).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let layout = damage::layout(path_format(format), &bytes);
        let is_it = |found: &&imgduel::disk_format::structure::Field| {
            found.structure == structure && found.name == field
        };
        let found = layout.fields.iter().find(is_it).unwrap();
        let value = match found.bits {
            16 => layout.number::<2>(&bytes, found.offset),
            32 => layout.number::<4>(&bytes, found.offset),
            _ => layout.number::<8>(&bytes, found.offset),
        };
        assert_eq!(value, 0x1234, "{format} {structure}.{field}");
        if format == "vhdx" {
            let seal = layout
                .seals
                .iter()
                .find(|seal| (seal.offset..seal.offset + seal.length).contains(&found.offset));
            let seal = seal.unwrap();
            let start = seal.offset as usize;
            let mut sealed = bytes[start..start + seal.length as usize].to_vec();
            let told = u32::from_le_bytes(sealed[4..8].try_into().unwrap());
            sealed[4..8].fill(0);
            assert_eq!(crc32c::crc32c(&sealed), told);
        }
    }
    let path = run("qcow2");
    let cut = Damage::Truncate {
        structure: "l1_table".to_owned(),
        index: 0,
        at: Cut::Start,
    };
    damage::inflict(&path, Format::Qcow2, &[cut]).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 * 65536);
}

fn path_format(name: &str) -> Format {
    Format::all().find(|format| format.name() == name).unwrap()
}

/// Asserts that the script for a finding of this stand-in reproduces it, and does not with a correct tool.
fn has_a_script(lie: &str, read: ReadRequest) {
    let workdir = tempfile::tempdir().unwrap();
    let lie = ring::stand_in("malformed").join(lie);
    let candidate = format!("qemu-img:{}", lie.display());
    let session = ring::session(&candidate, "qemu-img", LIMIT, workdir.path());
    let record = session.try_case(case(harmless(), &[read])).unwrap();
    let text = script(&record, session.candidate(), session.reference(), LIMIT).unwrap();
    let path = workdir.path().join("script.sh");
    std::fs::write(&path, &text).unwrap();
    let exit_code = |honest: Option<(&str, &str)>| {
        let mut command = Command::new("sh");
        command.arg(&path).envs(honest);
        command.env(
            "PATH",
            ring::path_with_stand_ins(&ring::stand_in("malformed")),
        );
        command.output().unwrap().status.code()
    };
    assert_eq!(exit_code(None), Some(0), "{text}");
    assert_eq!(
        exit_code(Some(("CANDIDATE", "qemu-img"))),
        Some(1),
        "{text}"
    );
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn the_script_for_different_contents_reproduces_them() {
    has_a_script("reads_other_bytes", ReadRequest::Contents);
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn the_script_for_excessive_memory_sets_a_lower_limit() {
    has_a_script("has_much_memory", ReadRequest::Map);
}
