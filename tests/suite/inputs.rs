//! Mistakes in arguments and environment variables: each is reported at once, in one line that says what is wrong, where, and what to do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Output};

use crate::ring;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = ring::imgduel();
    command.args(arguments).envs(variables.iter().copied());
    command
}

/// Asserts that the command fails with exit code 2, prints nothing to standard output, and one line with `words` to standard error.
fn refused(arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let output = command(arguments, variables).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{arguments:?} {variables:?}: {said}"
    );
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} {variables:?}: {said}");
    }
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn errors_about_numbers_out_of_range_name_the_range() {
    for (arguments, words) in [
        (&["fuzz", "--timeout", "1e18"][..], "from 0.001 to 86400"),
        (&["fuzz", "--timeout", "1e19"], "from 0.001 to 86400"),
        (&["fuzz", "--jobs", "1000000"], "up to 1024"),
        (
            &[
                "fuzz",
                "--start",
                "18446744073709551615",
                "--iterations",
                "2",
            ],
            "from 0 to 99999999",
        ),
        (
            &["fuzz", "--start", "99999999", "--iterations", "2"],
            "from 0 to 99999999",
        ),
        (
            &["fuzz", "--iterations", "18446744073709551615"],
            "up to 100000000",
        ),
        (
            &["show", "ops16_s1_i18446744073709551615"],
            "from 0 to 99999999",
        ),
        (
            &["show", "native1_s1_i0..18446744073709551615"],
            "up to 99999999",
        ),
        (&["replay", "ops7_s1_i100000000"], "from 0 to 99999999"),
    ] {
        refused(arguments, &[], &[words]);
    }
}

#[test]
fn errors_name_the_wrong_variable_and_a_flag_overrides_it() {
    for (name, value, words) in [
        ("IMGDUEL_JOBS", "many", "up to 1024"),
        ("IMGDUEL_TIMEOUT", "soon", "number of seconds"),
        ("IMGDUEL_SEED", "x", "a seed is a whole number"),
        ("IMGDUEL_START", "-1", "from 0 to"),
        ("IMGDUEL_ITERATIONS", "1e3", "whole number"),
        ("IMGDUEL_CANDIDATE", "qemu", "there is no tool 'qemu'"),
        ("IMGDUEL_EXEC_MODE", "thread", "thread"),
        ("IMGDUEL_STRICT", "maybe", "write 1 or 0"),
        ("IMGDUEL_KEEP", "2", "write 1 or 0"),
        ("IMGDUEL_PASS_ENV", "PATH", "sets this variable"),
        ("IMGDUEL_LOG", "loud", "write a level"),
    ] {
        refused(
            &["show", "ops7_s1_i0"],
            &[(name, value)],
            &[&format!("in {name}"), words],
        );
    }
    refused(
        &["fuzz", "--jobs", "0"],
        &[("IMGDUEL_JOBS", "2")],
        &["for '--jobs <N>'"],
    );
    refused(
        &["fuzz", "--create-issues", "--issue-format", "jira"],
        &[],
        &["imgduel, instar"],
    );
    refused(
        &["fuzz", "--issue-format", "instar"],
        &[],
        &["--create-issues"],
    );
    stdout(
        &command(
            &["show", "ops7_s1_i0", "--jobs", "2"],
            &[("IMGDUEL_JOBS", "many")],
        )
        .output()
        .unwrap(),
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let plain = stdout(&command(&["show", "ops7_s1_i0"], &[]).output().unwrap());
    let all = [
        "CANDIDATE",
        "REFERENCE",
        "GENERATION",
        "WIDE",
        "SEED",
        "ITERATIONS",
        "START",
        "OPS",
        "FIELDS",
        "TIMEOUT",
        "JOBS",
        "WORKDIR",
        "EXEC_MODE",
        "DURABLE",
        "NO_CACHE",
        "CACHE",
        "FAIL_FAST",
        "KEEP",
        "STRICT_KNOWN",
        "FINDINGS",
        "JSON",
        "SUMMARY",
        "JUNIT",
        "HTML",
        "NO_FLUSH",
        "NO_CAGE",
        "STRICT",
        "PASS_ENV",
        "LOG",
    ];
    for name in all {
        let name = format!("IMGDUEL_{name}");
        let output = command(&["show", "ops7_s1_i0"], &[(&name, "")])
            .output()
            .unwrap();
        assert_eq!(stdout(&output), plain, "{name}");
    }
}

#[test]
fn a_misspelt_name_is_reported_with_similar_ones() {
    refused(
        &["fuzz", "--iteration", "3"],
        &[],
        &["'--iteration'", "'--iterations'"],
    );
    refused(&["fuz"], &[], &["'fuz'", "'fuzz'"]);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_report_that_cannot_be_written_is_reported_before_the_first_case() {
    for flag in ["--json", "--summary", "--junit", "--html", "--findings"] {
        refused(
            &["fuzz", flag, "/dev/null/nowhere"],
            &[],
            &["/dev/null/nowhere"],
        );
    }
    for flag in ["--json", "--summary", "--junit", "--html"] {
        refused(
            &["replay", "ops7_s1_i0", flag, "/dev/null/nowhere"],
            &[],
            &["/dev/null/nowhere"],
        );
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn two_reports_to_the_same_file_are_an_error_even_with_different_paths() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report");
    let other = directory.path().join(".").join("report");
    let (file, other) = (file.to_str().unwrap(), other.to_str().unwrap());
    let flags = ["--json", "--summary", "--junit", "--html"];
    for (index, first) in flags.iter().enumerate() {
        for second in &flags[index + 1..] {
            let arguments = ["replay", "ops7_s1_i0", first, file, second, other];
            refused(&arguments, &[], &[first, second, "same file"]);
        }
    }
    assert!(!fs::exists(file).unwrap(), "nothing was begun");
}

#[test]
fn a_seed_whose_name_is_not_an_identifier_has_no_stub() {
    for stem in ["Not An-Id", "match", "2nd"] {
        let package = tempfile::tempdir().unwrap();
        let seeds = package.path().join("fuzz-seeds");
        fs::create_dir(&seeds).unwrap();
        fs::write(seeds.join(format!("{stem}.json")), "{}").unwrap();
        let package = package.path().to_str().unwrap().to_owned();
        refused(
            &["stubs", "--package", &package],
            &[],
            &[stem, "not a valid name for a seed"],
        );
    }
}

#[test]
fn a_catalogue_among_the_seeds_is_skipped_with_a_notice() {
    let seeds = tempfile::tempdir().unwrap();
    let catalogue = seeds.path().join("known-divergences.json");
    let catalogue = catalogue.to_str().unwrap();
    let output = command(&["replay", catalogue, "ops99_s1_i1"], &[])
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(
        said.contains("is the catalogue of known divergences"),
        "{said}"
    );
    assert!(said.contains("there is no generation 'ops99'"), "{said}");
    let output = command(&["replay", catalogue], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no case to replay"));
}

#[test]
fn control_characters_of_an_argument_do_not_reach_the_terminal() {
    let output = command(&["replay", "\x1b[31mred\x07"], &[])
        .output()
        .unwrap();
    assert!(!output.stderr.contains(&0x1b) && !output.stderr.contains(&7));
    assert!(text(&output.stderr).contains(r"\x1b[31mred\x07"));
}

#[test]
fn the_list_of_tools_fits_one_screen_and_names_variables_that_are_not_passed_on() {
    let output = command(&["tools"], &[("PYTHONPATH", "/somewhere")])
        .output()
        .unwrap();
    let said = stdout(&output);
    for name in ["imago", "qcow2", "parallels", "reads", "scratch", "sandbox"] {
        assert!(said.contains(name), "{said}");
    }
    let words: Vec<&str> = said.split_whitespace().collect();
    let words = words.join(" ");
    assert!(
        words.contains("PYTHONPATH is set, and tools do not see it"),
        "{said}"
    );
    assert!(words.contains("--pass-env PYTHONPATH"), "{said}");
    assert!(said.lines().count() <= 40, "{said}");
    let long = said.lines().find(|line| line.chars().count() > 80);
    assert_eq!(long, None, "wider than a terminal");
    let passed = command(
        &["tools", "--pass-env", "PYTHONPATH"],
        &[("PYTHONPATH", "/somewhere")],
    );
    let mut passed = passed;
    assert!(!stdout(&passed.output().unwrap()).contains("PYTHONPATH"));
    let long = stdout(&command(&["tools", "-v"], &[]).output().unwrap());
    assert!(long.contains("write_zeroes") && long.lines().count() > said.lines().count());
}

#[test]
fn the_help_of_fuzz_lists_the_generations_with_examples() {
    let said = stdout(&command(&["fuzz", "--help"], &[]).output().unwrap());
    for generation in imgduel::case::generation::Generation::all() {
        assert!(said.contains(generation.name), "{}", generation.name);
    }
    assert!(said.contains("Examples:"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_script_exits_2_if_its_candidate_cannot_be_started_and_accepts_a_relative_path() {
    let directory = tempfile::tempdir().unwrap();
    let liar = format!("qemu-img:{}", ring::stand_in("wrong_measure").display());
    let seed = ring::package().join("fuzz-seeds/issue_315_measure_of_a_vpc_source.json");
    let arguments = ["script", seed.to_str().unwrap(), "--candidate", &liar];
    let text = stdout(&command(&arguments, &[]).output().unwrap());
    let package = ring::package().display().to_string();
    assert!(!text.contains(&package), "a path of this machine: {text}");
    let script = directory.path().join("script.sh");
    fs::write(&script, &text).unwrap();
    for (candidate, code) in [
        ("/nonexistent", 2),
        ("/etc/passwd", 2),
        ("no-such-program", 2),
        ("./tests/stand_ins/wrong_measure", 0),
        ("tests/stand_ins/wrong_measure", 0),
        ("qemu-img", 1),
    ] {
        let mut shell = ring::started("sh");
        shell.arg(&script).env("CANDIDATE", candidate);
        let output = shell.current_dir(ring::package()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{candidate}: {text}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.contains("--- candidate/"), code != 2, "{said}");
    }
}

/// Asserts that a command in a directory with these settings fails in one line with `words`.
fn refused_settings(text_of_file: &str, arguments: &[&str], words: &str) {
    let directory = ring::scratch();
    fs::write(directory.path().join("imgduel.toml"), text_of_file).unwrap();
    let mut command = command(arguments, &[]);
    let output = command.current_dir(directory.path()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text_of_file:?}: {said}");
    assert!(said.contains(words), "{text_of_file:?}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn a_wrong_setting_in_imgduel_toml_is_told_with_file_and_line() {
    for (text_of_file, words) in [
        (
            "\ntimeot = 3\n",
            "imgduel.toml:2: there is no setting 'timeot': is timeout meant?",
        ),
        (
            "no_cache = true\n",
            "imgduel.toml:1: there is no setting 'no_cache': is no-cache meant?",
        ),
        (
            "config = \"a\"\n",
            "imgduel.toml:1: there is no setting 'config'",
        ),
        (
            "jobs = 0\n",
            "imgduel.toml:1: jobs: invalid value '0': write a whole number above 0",
        ),
        (
            "timeout = \"soon\"\n",
            "imgduel.toml:1: timeout: invalid value 'soon': a timeout is",
        ),
        ("wide = 3\n", "imgduel.toml:1: wide: write true or false"),
        (
            "guided = \"often\"\n",
            "imgduel.toml:1: guided: write true or false",
        ),
        (
            "candidate = \"imagoo\"\n",
            "imgduel.toml:1: candidate: invalid value 'imagoo': there is no tool",
        ),
        (
            "[profile.ci]\n\njobs = -1\n",
            "imgduel.toml:3: jobs: invalid value '-1'",
        ),
        ("jobs = = 1\n", "imgduel.toml:1: "),
    ] {
        refused_settings(text_of_file, &["config"], words);
        refused_settings(text_of_file, &["fuzz"], words);
    }
    refused_settings(
        "[profile.ci]\n",
        &["config", "--profile", "night"],
        "it has ci",
    );
}

#[test]
fn the_environment_wins_over_imgduel_toml_and_a_flag_over_both() {
    let directory = ring::scratch();
    let file = "jobs = 3\ntimeout = 7\nwide = true\n\n[profile.ci]\ntimeout = 8\n";
    fs::write(directory.path().join("imgduel.toml"), file).unwrap();
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(&[&["config"], arguments].concat(), variables);
        let output = command.current_dir(directory.path()).output().unwrap();
        stdout(&output)
    };
    let has = |text: &str, setting: &str, source: &str| {
        let line = text.lines().find(|line| line.starts_with(setting));
        let line = line.unwrap_or_else(|| panic!("no {setting}: {text}"));
        assert!(line.ends_with(&format!("# {source}")), "{line}");
    };
    let plain = shown(&[], &[]);
    has(&plain, "jobs = 3", "imgduel.toml:1");
    has(&plain, "timeout = 7", "imgduel.toml:2");
    has(&plain, "wide = true", "imgduel.toml:3");
    has(&plain, "findings = fuzz-findings", "default");
    let with_environment = shown(&[], &[("IMGDUEL_JOBS", "4"), ("IMGDUEL_PROFILE", "ci")]);
    has(&with_environment, "jobs = 4", "IMGDUEL_JOBS");
    has(&with_environment, "timeout = 8", "imgduel.toml:6");
    let with_flag = shown(&["--jobs", "5"], &[("IMGDUEL_JOBS", "4")]);
    has(&with_flag, "jobs = 5", "--jobs");
    // A campaign takes them, too: two of the candidates that the file names.
    let file = "candidate = [\"imago\", \"qcow2-core\"]\nreference = \"model\"\niterations = 2\nseed = 1\n";
    fs::write(directory.path().join("imgduel.toml"), file).unwrap();
    let mut fuzz = command(&["fuzz"], &[]);
    let output = fuzz.current_dir(directory.path()).output().unwrap();
    let said = text(&output.stdout);
    assert!(
        said.contains("imago 0.2.6, qcow2-core 0.3.4, reference model"),
        "{said}"
    );
}

#[test]
fn a_tool_that_is_required_and_a_witness_that_is_missing_end_the_run_at_once() {
    for (flags, words) in [
        (&["--require-tool", "7zz"][..], "apt-get install 7zip"),
        (&["--require-tool", "imago,qcowinfo"], "libqcow-utils"),
        (
            &["--require-tool", "sevenzip"],
            "there is no tool 'sevenzip'",
        ),
        (&["--fail-without-witness"], "vhdiinfo"),
    ] {
        let fuzz = ["fuzz", "--reference", "model", "--iterations", "1"];
        refused(&[&fuzz, flags].concat(), &[("PATH", "/nowhere")], &[words]);
    }
    let here = [
        "fuzz",
        "--reference",
        "model",
        "--seed",
        "1",
        "--iterations",
        "2",
    ];
    let output = command(
        &[&here[..], &["--require-tool", "imago,model"]].concat(),
        &[],
    );
    stdout(&{ output }.output().unwrap());
}
