//! The scripts that `imgduel script` prints: without imgduel, they show the divergence with the defective stand-in, and not with a correct tool.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use imgduel::report::script::script;
use imgduel::run::record::Record;

use crate::ring;

const CASES_MAX: usize = 60;
const SEED: u64 = 7;
const LIMIT: Duration = Duration::from_secs(30);

fn exit_code(path: &Path, candidate: Option<&str>) -> Option<i32> {
    let mut command = Command::new("sh");
    command
        .arg(path)
        .env("PATH", ring::path_with_stand_ins(&ring::stand_in(".")));
    command.envs(candidate.map(|program| ("CANDIDATE", program)));
    command.output().unwrap().status.code()
}

/// Returns the record of the first case of this operation that detects the defect.
fn found(lie: &str, operation: &str, workdir: &Path) -> (imgduel::run::session::Session, Record) {
    let candidate = format!("qemu-img:{}", ring::stand_in(lie).display());
    let session = ring::session(&candidate, "qemu-img", LIMIT, workdir);
    let cases = ring::cases("ops16", SEED, &[operation]);
    let record =
        ring::first_that_differs(&session, cases, CASES_MAX).expect("the defect is not detected");
    (session, record)
}

fn shows(lie: &str, operation: &str) {
    let workdir = ring::scratch();
    let (session, record) = found(lie, operation, workdir.path());
    let text = script(&record, session.candidate(), session.reference(), LIMIT).unwrap();
    assert!(
        text.starts_with("#!/bin/sh\n") && !text.contains("imgduel"),
        "{text}"
    );
    let path = workdir.path().join("script.sh");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(exit_code(&path, None), Some(0), "{text}");
    assert_eq!(exit_code(&path, Some("qemu-img")), Some(1), "{text}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_script_of_another_build_of_the_reference_wants_to_be_told_where_that_is() {
    let workdir = ring::scratch();
    let build = workdir.path().join("build");
    std::fs::create_dir(&build).unwrap();
    let program = build.join("qemu-img");
    let lie = ring::stand_in("wrong_virtual_size");
    std::fs::write(
        &program,
        format!("#!/bin/sh\nexec '{}' \"$@\"\n", lie.display()),
    )
    .unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let candidate = format!("qemu-img:{}", program.display());
    let session = ring::session(&candidate, "qemu-img", LIMIT, workdir.path());
    let cases = ring::cases("ops16", SEED, &["info"]);
    let record =
        ring::first_that_differs(&session, cases, CASES_MAX).expect("the defect is not detected");
    let text = script(&record, session.candidate(), session.reference(), LIMIT).unwrap();
    let path = workdir.path().join("script.sh");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(exit_code(&path, None), Some(2), "{text}");
    assert_eq!(exit_code(&path, program.to_str()), Some(0), "{text}");
}

macro_rules! scripts {
    ($($name:ident: $lie:literal in $operation:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { shows($lie, $operation); }
        )*
    };
}

scripts! {
    a_wrong_description_is_reproduced: "wrong_virtual_size" in "info";
    a_description_that_is_not_json_is_reproduced: "info_is_no_json" in "info";
    a_crash_is_reproduced: "crashes" in "info";
    a_changed_input_is_reproduced: "changes_its_input" in "info";
    a_wrong_exit_is_reproduced: "wrong_exit" in "check";
    a_wrong_count_is_reproduced: "finds_a_leak" in "check";
    a_wrong_byte_is_reproduced: "flips_a_byte" in "convert";
    a_leak_is_reproduced: "convert_leaks" in "convert";
    a_wrong_reading_is_reproduced: "reads_wrongly" in "convert";
    a_wrong_measure_is_reproduced: "wrong_measure" in "measure";
    a_wrong_map_is_reproduced: "map_lies_about_zeros" in "map";
    lost_data_is_reproduced: "resize_loses_data" in "resize";
    a_commit_that_does_nothing_is_reproduced: "commit_does_nothing" in "commit";
    a_wrong_schedule_is_reproduced: "bench_counts_wrongly" in "bench";
}

/// Asserts that the script, which pipes lines of JSON into an adapter, reproduces its defect, and does not with a correct adapter.
fn adapter_defect_is_reproduced(lie: &str, kind: &str) {
    let adapter = |lie: &str| format!("{} {lie}", ring::stand_in("lying_adapter").display());
    let workdir = ring::scratch();
    let candidate = format!("adapter:{}", adapter(lie));
    let limit = Duration::from_secs(2);
    let session = ring::session(&candidate, "qemu-img", limit, workdir.path());
    let cases = ring::cases("native1", SEED, &["write", "read", "info"]);
    let cases = cases.filter(|case| session.concerns(case));
    let record =
        ring::first_that_differs(&session, cases, CASES_MAX).expect("the defect is not detected");
    assert_eq!(record.kind.as_deref(), Some(kind), "{record:#?}");
    let text = script(&record, session.candidate(), session.reference(), limit).unwrap();
    assert!(!text.contains("imgduel"), "{text}");
    let path = workdir.path().join("script");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(exit_code(&path, None), Some(0), "{text}");
    let honest = adapter("truth_of_all");
    assert_eq!(exit_code(&path, Some(&honest)), Some(1), "{text}");
}

macro_rules! adapters {
    ($($name:ident: $lie:literal is $kind:literal;)*) => {
        $(
            #[test]
            #[cfg(not(missing_python))]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { adapter_defect_is_reproduced($lie, $kind); }
        )*
    };
}

adapters! {
    an_adapter_that_flips_a_byte_is_reproduced: "flips_a_byte_of_all" is "chain_reading_divergence";
    an_adapter_that_reports_another_size_is_reproduced: "tells_another_size" is "chain_info_divergence";
    an_adapter_that_refuses_is_reproduced: "refuses_all" is "chain_reading_refused";
    an_adapter_that_panics_is_reproduced: "panics" is "candidate_crash";
    an_adapter_that_dies_is_reproduced: "dies" is "candidate_crash";
    an_adapter_that_violates_the_protocol_is_reproduced: "misspells" is "candidate_crash";
    an_adapter_that_hangs_is_reproduced: "hangs" is "candidate_timeout";
}
