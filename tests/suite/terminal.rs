//! The command's other output: escaping of control characters, the heading of merged reports, the harness's log, completions and manual
//! pages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Output;

use crate::ring;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = ring::imgduel();
    command.args(arguments).envs(variables.iter().copied());
    command.current_dir(ring::package()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn control_characters_in_the_output_of_tools_are_escaped_in_all_reports() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (page, junit) = (file("page.html"), file("junit.xml"));
    let coloured = "qemu-img:tests/stand_ins/colours_what_it_says";
    let ids = ["ops7_s3_i0", "ops7_s3_i1", "ops7_s3_i2"];
    let arguments = [
        &["replay"][..],
        &ids,
        &["--ops", "info,check", "--candidate", coloured],
        &["--html", &page, "--junit", &junit],
    ]
    .concat();
    for variables in [&[][..], &[("GITHUB_ACTIONS", "true")]] {
        let output = run(&arguments, variables);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let reports = [
            ("standard output", output.stdout),
            ("standard error", output.stderr),
            ("page", fs::read(&page).unwrap()),
            ("JUnit", fs::read(&junit).unwrap()),
        ];
        for (name, report) in &reports {
            assert!(!report.contains(&0x1b) && !report.contains(&7), "{name}");
        }
        let said = text(&reports[0].1);
        assert!(said.contains(r"\x1b[31mno\x1b[0m\x07"), "{said}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_evidence_has_a_diff_of_the_differing_outputs() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html");
    let seed = "fuzz-seeds/issue_315_measure_of_a_vpc_source.json";
    let liar = "qemu-img:tests/stand_ins/wrong_measure";
    let page_flag = page.to_str().unwrap();
    let output = run(
        &["replay", seed, "--candidate", liar, "--html", page_flag],
        &[],
    );
    let said = text(&output.stdout);
    let diff = "diff of the outputs of measure (- candidate, + reference)\n    @@ -1,4 +1,4 @@\n     {\n    -    \"required\": 1507328,\n    +    \"required\": 1441792,\n";
    assert!(said.contains(diff), "{said}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<del>-    &quot;required&quot;: 1507328,</del>"));
    assert!(page.contains("<ins>+    &quot;required&quot;: 1441792,</ins>"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_heading_of_a_merge_names_all_candidates_and_the_common_settings() {
    let directory = tempfile::tempdir().unwrap();
    let records = |name: &str, arguments: &[&str]| {
        let file = directory.path().join(name).to_str().unwrap().to_owned();
        let arguments = [&["replay"][..], arguments, &["--json", &file]].concat();
        let output = run(&arguments, &[]);
        assert_ne!(output.status.code(), Some(2), "{}", text(&output.stderr));
        file
    };
    let [imago, own] = [
        ("imago.jsonl", ["ops7_s3_i0", "--candidate", "imago"]),
        ("own.jsonl", ["ops7_s3_i1", "--candidate", "qemu-img"]),
    ]
    .map(|(name, arguments)| records(name, &arguments));
    let other = records("other.jsonl", &["ops8_s4_i0", "--candidate", "qemu-img"]);
    let heading = |files: &[&String]| {
        let files = files.iter().map(|file| file.as_str());
        let arguments: Vec<&str> = std::iter::once("merge").chain(files).collect();
        let output = run(&arguments, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let lines: Vec<String> = said.lines().take(2).map(str::to_owned).collect();
        lines
    };
    let [tools, campaign] = &*heading(&[&imago, &own]) else {
        panic!("two lines")
    };
    assert!(tools.starts_with("candidates imago "), "{tools}");
    assert!(tools.contains(", qemu-img ") && tools.contains(", reference qemu-img "));
    assert_eq!(campaign, "generation ops7, seed 3");
    let [tools, campaign] = &*heading(&[&own, &other]) else {
        panic!("two lines")
    };
    assert!(tools.starts_with("candidate qemu-img "), "{tools}");
    assert_ne!(campaign, "generation ops7, seed 3", "the other's is ops8");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_log_on_standard_error_shows_cases_operations_and_calls_only_if_enabled() {
    let arguments = ["replay", "ops7_s3_i0", "--candidate", "qemu-img"];
    let silent = run(&arguments, &[]);
    assert!(!text(&silent.stderr).contains("case{"));
    let told = run(&arguments, &[("IMGDUEL_LOG", "info,imgduel::run=trace")]);
    let said = text(&told.stderr);
    for part in [
        "case{id=ops7_s3_i000000 ",
        "operation{index=0 ",
        "step{index=0 ",
        "call{by=",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The report on standard output does not change, except for times.
    let figures = |output: &Output| {
        let said = text(&output.stdout);
        let lines = said.lines().filter(|line| !line.contains(" s tool CPU"));
        lines.map(str::to_owned).collect::<Vec<String>>()
    };
    let [silent, told] = [silent, told].map(|output| figures(&output));
    assert_eq!(silent.last(), told.last());
    assert_eq!(silent.len(), told.len());
}

#[test]
fn completions_for_every_shell_contain_commands_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell], &[]);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{shell}");
        for word in ["adapter-check", "generation", "strict-known"] {
            assert!(said.contains(word), "{shell}: no {word}");
        }
    }
    let output = run(&["completions", "tcsh"], &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.lines().count() == 1 && said.contains("zsh"), "{said}");
}

#[test]
fn the_manual_has_a_page_for_the_command_and_one_for_each_of_its_commands() {
    let whole = text(&run(&["man"], &[]).stdout);
    assert!(whole.contains(".TH imgduel 1") && whole.contains(r"imgduel\-fuzz(1)"));
    let fuzz = text(&run(&["man", "fuzz"], &[]).stdout);
    assert!(fuzz.contains(r"\-\-generation") && fuzz.contains("IMGDUEL_GENERATION"));
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    assert!(
        run(&["man", "--dir", pages.to_str().unwrap()], &[])
            .status
            .success()
    );
    let names = fs::read_dir(&pages).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.contains(&"imgduel.1".to_owned()), "{names:?}");
    assert!(
        names.contains(&"imgduel-adapter-check.1".to_owned()),
        "{names:?}"
    );
    let nowhere = run(&["man", "--dir", "/dev/null/pages"], &[]);
    let said = text(&nowhere.stderr);
    assert_eq!(nowhere.status.code(), Some(2), "{said}");
    assert!(
        said.lines().count() == 1 && said.contains("/dev/null/pages"),
        "{said}"
    );
    let output = run(&["man", "fuz"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no command 'fuz'"));
}

/// With `dd_shifts` on both sides, both images agree with each other and contradict the recipe.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_contradiction_of_both_sides_to_the_recipe_names_the_recipe_in_every_report() {
    let directory = ring::scratch();
    let [records, page, junit] = ["records.jsonl", "page.html", "junit.xml"]
        .map(|name| directory.path().join(name).display().to_string());
    let shifts = format!("qemu-img:{}", ring::stand_in("dd_shifts").display());
    let tools = ["--candidate", &shifts, "--reference", &shifts];
    let cases = ["--generation", "ops16", "--seed", "7", "--ops", "dd"];
    let files = ["--json", &records, "--html", &page, "--junit", &junit];
    let findings = directory.path().join("findings").display().to_string();
    let limits = [
        "--iterations",
        "40",
        "--fail-fast",
        "--no-shrink",
        "--findings",
        &findings,
    ];
    let campaign = [&["fuzz"][..], &tools, &cases, &files, &limits].concat();
    let done = run(&campaign, &[]);
    let terminal = text(&done.stdout) + &text(&done.stderr);
    let stored = std::fs::read_to_string(&records).unwrap();
    let record = stored.lines().find(|line| line.contains("dd_recipe"));
    let record: serde_json::Value = serde_json::from_str(record.expect(&terminal)).unwrap();
    assert!(record["reason"].as_str().unwrap().contains("reference"));
    let id = record["id"].as_str().unwrap();
    let replayed = run(
        &[&["replay", id][..], &tools, &["--ops", "dd"]].concat(),
        &[],
    );
    let reported = run(
        &[&["report", id][..], &tools, &["--ops", "dd"]].concat(),
        &[],
    );
    for report in [
        terminal,
        std::fs::read_to_string(&page).unwrap(),
        std::fs::read_to_string(&junit).unwrap(),
        text(&replayed.stdout),
        text(&reported.stdout),
    ] {
        assert!(
            report.contains("both sides") && report.contains("recipe"),
            "{report}"
        );
        assert!(!report.contains("on both sides,:"), "{report}");
    }
}
