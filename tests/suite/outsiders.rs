//! Crates of other people, made here in a temporary directory: from `imgduel init` to a planted defect that is found, shrunk, shown by a script, kept as a seed,
//! mended, and green again.
//!
//! They are built into the target directory of these tests, so that most of what they need is there already. Two need crates of the registry and are ignored:
//! `.ci/run` names them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::ring;

/// The most lines that an author writes by hand.
const LINES_MAX: usize = 25;

/// A crate of somebody else.
struct Outsider {
    name: &'static str,
    dependencies: &'static str,
    library: &'static str,
    /// The test target, as its author leaves it.
    target: &'static str,
    /// What is right in the library, and what stands there instead.
    defect: [&'static str; 2],
    /// Whether cargo needs nothing of the registry.
    is_offline: bool,
}

const READER: Outsider = Outsider {
    name: "own-reader",
    dependencies: "",
    library: include_str!("../outsiders/reader/lib.rs"),
    target: include_str!("../outsiders/reader/differential.rs"),
    defect: ["index / per_table * 8", "index / (per_table + 1) * 8"],
    is_offline: true,
};

const WRITER: Outsider = Outsider {
    name: "byte-disks",
    dependencies: "vhdx-rs = \"=0.1.0\"\n",
    library: include_str!("../outsiders/writer/lib.rs"),
    target: include_str!("../outsiders/writer/differential.rs"),
    defect: [
        "sectors.write_all(&whole)?",
        "sectors.write_all(&whole[..whole.len().min(4096)])?",
    ],
    is_offline: false,
};

const ASYNCHRONOUS: Outsider = Outsider {
    name: "async-reader",
    dependencies: "tokio = { version = \"1\", features = [\"fs\", \"io-util\", \"rt-multi-thread\"] }\n",
    library: include_str!("../outsiders/asynchronous/lib.rs"),
    target: include_str!("../outsiders/asynchronous/differential.rs"),
    defect: [
        "SeekFrom::Start(offset)",
        "SeekFrom::Start(offset % 131_072)",
    ],
    is_offline: false,
};

/// The crate's repository.
struct Repository<'crate_> {
    outsider: &'crate_ Outsider,
    directory: tempfile::TempDir,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn both(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

impl<'crate_> Repository<'crate_> {
    fn new(outsider: &'crate_ Outsider) -> Self {
        let directory = ring::scratch();
        let manifest = format!(
            "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n# Its own workspace, wherever it lies.\n[workspace]\n",
            outsider.name, outsider.dependencies
        );
        fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
        fs::create_dir(directory.path().join("src")).unwrap();
        let repository = Self {
            outsider,
            directory,
        };
        let lock = fs::read(ring::package().join("Cargo.lock")).unwrap();
        fs::write(repository.path("Cargo.lock"), lock).unwrap();
        fs::create_dir(repository.path(".cargo")).unwrap();
        let place = ring::package().display().to_string();
        let patch = format!("patch.crates-io.imgduel.path = \"{place}\"\n");
        fs::write(repository.path(".cargo/config.toml"), patch).unwrap();
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_library(&self, right: &str, instead: &str) {
        let library = self.outsider.library;
        assert!(library.contains(right));
        fs::write(self.path("src/lib.rs"), library.replace(right, instead)).unwrap();
    }

    /// Runs `imgduel init`, and writes what an author writes.
    fn initialize(&self) {
        let said = ring::imgduel()
            .arg("init")
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", both(&said));
        assert!(text(&said.stdout).contains("made tests/differential.rs\n"));
        let target = self.path("tests/differential.rs");
        let made = fs::read_to_string(&target).unwrap();
        let made: HashSet<&str> = made.lines().map(str::trim).collect();
        let lines = self.outsider.target.lines().map(str::trim);
        let written = lines.filter(|line| !line.is_empty() && !made.contains(line));
        let written = written.count();
        assert!(written <= LINES_MAX, "{written} lines");
        // The same text serves crates of several names.
        let own = self.outsider.name.replace('-', "_");
        let text = self.outsider.target.replace("own_reader", &own);
        fs::write(&target, text).unwrap();
    }

    /// Runs `cargo test --test differential -- ARGUMENTS`.
    fn target(&self, arguments: &[&str]) -> Output {
        let mut cargo = self.cargo();
        cargo.args(["test", "--quiet", "--test", "differential"]);
        // What a crate of the registry asks for may be newer than what it needs.
        cargo.args((!self.outsider.is_offline).then_some("--ignore-rust-version"));
        cargo.arg("--");
        cargo.args(arguments).output().unwrap()
    }

    /// cargo, which finds this checkout in place of the released crate, with the target directory of these tests.
    fn cargo(&self) -> Command {
        let mut cargo = ring::started(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let target = Path::new(ring::PROGRAM).ancestors().nth(2).unwrap();
        cargo
            .args(self.outsider.is_offline.then_some("--offline"))
            .env("CARGO_TARGET_DIR", target)
            .current_dir(self.directory.path());
        cargo
    }

    fn only_finding(&self) -> String {
        let found = fs::read_dir(self.path("fuzz-findings")).unwrap().flatten();
        let names = found.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
        names.sort();
        format!("fuzz-findings/{}", names[0])
    }

    /// Runs a script, and returns its exit code.
    fn run_script(&self, script: &str) -> Option<i32> {
        let path = self.path("script.sh");
        fs::write(&path, script).unwrap();
        let mut shell = ring::started("sh");
        shell.arg(path).output().unwrap().status.code()
    }
}

/// From an empty repository to a mended defect.
fn from_init_to_green(outsider: &Outsider, fuzz: &[&str]) {
    let repository = Repository::new(outsider);
    let [right, wrong] = outsider.defect;
    repository.write_library(right, wrong);
    repository.initialize();

    // Red, and shrunk.
    let found = repository.target(&[&["fuzz"], fuzz].concat());
    let said = both(&found);
    assert!(
        said.contains("new finding") && said.contains("shrunk in"),
        "{said}"
    );
    let again = format!(
        "again: cargo test -p {} --test differential -- replay",
        outsider.name
    );
    assert!(said.contains(&again), "{said}");
    let finding = repository.only_finding();

    // A script shows it, without imgduel beyond the author's own test binary.
    let script = text(&repository.target(&["script", &finding]).stdout);
    assert_eq!(repository.run_script(&script), Some(0), "{script}");

    // A seed, which fails by its name.
    let accepted = repository.target(&["accept", &finding, "--as", "planted"]);
    let said = text(&accepted.stdout);
    assert!(
        said.contains("fuzz-seeds/planted.json: regression::planted"),
        "{}",
        both(&accepted)
    );
    assert!(
        said.contains("tests/regression/mod.rs: written anew"),
        "{said}"
    );
    let stubs = fs::read_to_string(repository.path("tests/regression/mod.rs")).unwrap();
    assert!(stubs.contains("fn planted()"), "{stubs}");
    let red = repository.target(&["regression::"]);
    assert!(
        text(&red.stdout).contains("regression::planted"),
        "{}",
        both(&red)
    );
    assert!(!red.status.success());

    // As an editor starts one test.
    let flags = ["regression::planted", "--exact", "--show-output"];
    let alone = repository.target(&flags);
    assert!(
        text(&alone.stdout).contains("0 passed; 1 failed"),
        "{}",
        both(&alone)
    );

    // Mended, and green.
    repository.write_library(right, right);
    let green = repository.target(&["regression::"]);
    assert!(green.status.success(), "{}", both(&green));
    // The same script, which starts the test binary as it is now.
    assert_eq!(repository.run_script(&script), Some(1), "{script}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_reader_of_somebody_else_goes_from_init_to_green() {
    from_init_to_green(&READER, &["--seed", "3", "--iterations", "60"]);
}

#[test]
#[ignore = "builds crates of the registry: cargo test --test suite -- --ignored outsiders"]
fn a_writer_around_a_crate_of_the_registry_goes_from_init_to_green() {
    from_init_to_green(
        &WRITER,
        &[
            "--seed",
            "3",
            "--iterations",
            "30",
            "--generation",
            "native1",
        ],
    );
}

#[test]
#[ignore = "builds crates of the registry: cargo test --test suite -- --ignored outsiders"]
fn an_asynchronous_reader_goes_from_init_to_green() {
    from_init_to_green(&ASYNCHRONOUS, &["--seed", "3", "--iterations", "20"]);
}

/// None of the libraries that imgduel embeds is built for somebody else's test.
#[test]
fn somebody_elses_test_needs_none_of_the_embedded_libraries() {
    let repository = Repository::new(&READER);
    repository.write_library("offset", "offset");
    repository.initialize();
    let mut tree = repository.cargo();
    let output = tree.args(["tree", "--edges", "all", "--prefix", "none"]);
    let output = output.output().unwrap();
    let crates = text(&output.stdout);
    assert!(crates.contains("imgduel v"), "{}", both(&output));
    for embedded in [
        "imago",
        "qcow2-core",
        "vdi",
        "vmdk-core",
        "vhd-core",
        "vhdx-core",
    ] {
        let is_it = |line: &str| line.split(' ').next() == Some(embedded);
        assert!(!crates.lines().any(is_it), "{embedded}: {crates}");
    }
}

/// The trials come in the shards of nextest, and `merge` joins their records to one JUnit file.
#[test]
#[cfg_attr(
    missing_nextest,
    ignore = "cargo-nextest is not here (cargo install cargo-nextest)"
)]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn nextest_runs_the_trials_in_shards() {
    let sharded = Outsider {
        name: "sharded-reader",
        ..READER
    };
    let repository = Repository::new(&sharded);
    repository.write_library("offset", "offset");
    repository.initialize();
    for shard in ["count:1/2", "count:2/2"] {
        let mut nextest = repository.cargo();
        let run = [
            "nextest",
            "run",
            "--profile",
            "ci",
            "--test",
            "differential",
        ];
        nextest.args(run).args(["--partition", shard]);
        let output = nextest.env("IMGDUEL_RECORDS", repository.path("records"));
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", both(&output));
    }
    let merged = repository.target(&["merge", "records", "--junit", "junit.xml"]);
    assert!(
        text(&merged.stdout).contains("13 of 13 cases"),
        "{}",
        both(&merged)
    );
    let junit = fs::read_to_string(repository.path("junit.xml")).unwrap();
    // What the library cannot read is passed over when the trials are listed.
    assert!(!junit.contains("can do none of its steps"), "{junit}");
    assert!(
        junit.contains("name=\"first_chain\" classname=\"regression\""),
        "{junit}"
    );
}

/// What a library does to its process is an answer.
#[test]
fn a_panic_an_abort_and_a_hang_of_a_library_are_answers() {
    // Crates of one name would write to the same files in the target directory.
    let fragile = Outsider {
        name: "fragile-reader",
        ..READER
    };
    let repository = Repository::new(&fragile);
    repository.write_library("offset", "offset");
    repository.initialize();
    let place = "let mask = 0x00ff_ffff_ffff_fe00;";
    for (what, kind) in [
        ("panic!(\"planted\");", "crash"),
        ("std::process::abort();", "crash"),
        (
            "loop { std::thread::sleep(std::time::Duration::from_secs(9)); }",
            "timeout",
        ),
    ] {
        let instead = format!("{place}\n        if per_table > 0 {{ {what} }}");
        repository.write_library(place, &instead);
        let arguments = [
            "fuzz",
            "--reference",
            "model",
            "--seed",
            "3",
            "--iterations",
            "2",
            "--timeout",
            "1",
            "--no-shrink",
        ];
        let said = both(&repository.target(&arguments));
        assert!(
            said.contains("2 of 2 cases") && said.contains(kind),
            "{what}: {said}"
        );
    }
}

#[test]
fn nothing_is_overwritten_and_a_second_call_does_nothing() {
    let repository = Repository::new(&READER);
    repository.write_library("offset", "offset");
    fs::create_dir(repository.path("tests")).unwrap();
    let own = "#[test]\nfn of_its_own() {}\n";
    fs::write(repository.path("tests/differential.rs"), own).unwrap();
    fs::write(repository.path(".gitlab-ci.yml"), "own: {}\n").unwrap();
    fs::write(repository.path(".gitignore"), "/target").unwrap();
    let init = || {
        let mut command = ring::imgduel();
        let output = command
            .args(["init", "."])
            .current_dir(repository.directory.path());
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", both(&output));
        text(&output.stdout)
    };
    let said = init();
    for line in [
        "made tests/imgduel.rs",
        "made .gitlab/imgduel.yml",
        "made fuzz-seeds/first_chain.json",
        "made .github/workflows/imgduel.yml",
        "added to .gitignore: /fuzz-findings, /fuzz-corpus, /imgduel-*",
        "added to Cargo.toml: the dependency imgduel, the test imgduel",
    ] {
        assert!(said.lines().any(|one| one == line), "{line}: {said}");
    }
    let read = |name: &str| fs::read_to_string(repository.path(name)).unwrap();
    assert_eq!(read("tests/differential.rs"), own);
    assert_eq!(read(".gitlab-ci.yml"), "own: {}\n");
    assert!(read(".gitignore").starts_with("/target\n/fuzz-findings\n"));
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("# Its own workspace, wherever it lies.\n[workspace]\n"));

    let again = init();
    assert!(
        !again.contains("made ") && !again.contains("added "),
        "{again}"
    );
    assert_eq!(read("Cargo.toml"), manifest);
}

#[test]
fn a_place_that_is_no_package_is_told_in_one_line_or_gets_what_an_adapter_needs() {
    let init = |directory: &Path| {
        let mut command = ring::imgduel();
        command.arg("init").arg(directory).output().unwrap()
    };
    let workspace = ring::scratch();
    fs::write(
        workspace.path().join("Cargo.toml"),
        "[workspace]\nmembers = [\"a\"]\n",
    )
    .unwrap();
    let broken = ring::scratch();
    fs::write(broken.path().join("Cargo.toml"), "[package\n").unwrap();
    for (directory, words) in [
        (workspace.path(), "has no package"),
        (broken.path(), "cannot be read"),
        (Path::new("/no/such/place"), "cannot work in /no/such/place"),
    ] {
        let output = init(directory);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(words) && said.trim_end().lines().count() == 1,
            "{said}"
        );
        assert!(!directory.join("fuzz-seeds").exists());
    }
    let empty = ring::scratch();
    let output = init(empty.path());
    assert!(output.status.success(), "{}", both(&output));
    assert!(empty.path().join("fuzz-seeds/first_chain.json").exists());
    assert!(!empty.path().join("tests").exists() && !empty.path().join("Cargo.toml").exists());
}
