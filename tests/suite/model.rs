//! The model as reference: it agrees with itself and with qemu-img, its mistakes are noticed, and its images are sound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imgduel::Result;
use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};

use imgduel::image::content::{Contents, Fill, Recipe, Write};
use imgduel::image::format::Format;
use imgduel::image::options::{CreateOption, CreateOptions};
use imgduel::operation::chain::Chain;
use imgduel::oracle::verdict::Verdict;
use imgduel::oracle::witness::Witnesses;
use imgduel::process::{Captured, SandboxPolicy};
use imgduel::run::case_worker::{CaseWorkers, Doubt, Tried};
use imgduel::run::runner::DifferentialRunner;
use imgduel::run::scratch_dir::Remover;
use imgduel::tool::request::{Answer, Exit, ImageFile, NewSize, Report, Request, SnapshotAction};
use imgduel::tool::{CallContext, Capabilities, Reproducer, Support, Tool, model};

use crate::ring;

/// What a mistaken model does before it acts, and after.
struct Mistake {
    name: &'static str,
    /// Changes what it is asked; `None`: it says that it is done, and does nothing.
    asked: fn(Request) -> Option<Request>,
    /// Changes what it answers.
    answered: fn(&Request, &mut Answer),
}

fn as_asked(request: Request) -> Option<Request> {
    Some(request)
}

fn as_answered(_: &Request, _: &mut Answer) {}

/// Replaces a part of what it prints.
fn replaced(request: &Request, answer: &mut Answer, from: &str, to: &str) {
    let text = answer.transcript.stdout.text().replacen(from, to, 1);
    answer.report = Report::parse(request.kind(), text.as_bytes(), true);
    answer.transcript.stdout = Captured::from_text(text);
}

/// Writes other data.
fn flip(write: &mut Write) {
    write.fill = match write.fill {
        Fill::Byte(byte) => Fill::Byte(byte ^ 1),
        Fill::Data(recipe) => Fill::Data(Recipe {
            seed: recipe.seed ^ 1,
            ..recipe
        }),
    };
}

const MISTAKES: [Mistake; 20] = [
    Mistake {
        name: "a write loses its last bytes",
        asked: |request| match request {
            Request::Write { file, mut writes } => {
                writes.iter_mut().for_each(|write| write.length -= 1);
                writes.retain(|write| write.length > 0);
                Some(Request::Write { file, writes })
            }
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a write puts another byte",
        asked: |request| match request {
            Request::Write { file, mut writes } => {
                writes.iter_mut().for_each(flip);
                Some(Request::Write { file, writes })
            }
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "only the first of several writes is made",
        asked: |request| match request {
            Request::Write { file, mut writes } => {
                writes.truncate(1);
                Some(Request::Write { file, writes })
            }
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "zeros are not written",
        asked: |request| match request {
            Request::WriteZeroes { .. } => None,
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a discard keeps the bytes",
        asked: |request| match request {
            Request::Discard { .. } => None,
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a resize is a sector too large",
        asked: |request| match request {
            Request::Resize {
                file,
                end_bytes,
                shrink,
                preallocation,
                ..
            } => Some(Request::Resize {
                file,
                size: NewSize::of_bytes(end_bytes + 512),
                end_bytes: end_bytes + 512,
                shrink,
                preallocation,
            }),
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a resize is not made",
        asked: |request| match request {
            Request::Resize { .. } => None,
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a snapshot is not applied",
        asked: |request| match request {
            Request::Snapshot {
                action: SnapshotAction::Apply,
                ..
            } => None,
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a snapshot is not made",
        asked: |request| match request {
            Request::Snapshot {
                action: SnapshotAction::Create,
                ..
            } => None,
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a snapshot is not deleted",
        asked: |request| match request {
            Request::Snapshot {
                action: SnapshotAction::Delete,
                ..
            } => None,
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a rebase changes the name alone",
        asked: |request| match request {
            Request::Rebase {
                file,
                new_backing,
                mut mode,
            } => {
                mode.is_unsafe = true;
                Some(Request::Rebase {
                    file,
                    new_backing,
                    mode,
                })
            }
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "an image is created a sector too small",
        asked: |request| match request {
            Request::Create { file, size }
                if size.bytes() > 1024 && file.format == Format::Qcow2 =>
            {
                let size = imgduel::base::size::Size::of_bytes(size.bytes() - 512);
                Some(Request::Create { file, size })
            }
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "the cluster size is ignored",
        asked: |request| match request {
            Request::Create { mut file, size } => {
                file.options
                    .retain(|option| !matches!(option, CreateOption::ClusterSize(_)));
                Some(Request::Create { file, size })
            }
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "an amendment is not made",
        asked: |request| match request {
            Request::Amend { .. } => None,
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a copy begins at the start of the image",
        asked: |request| match request {
            Request::Dd {
                source,
                target,
                block_size,
                count,
                ..
            } => Some(Request::Dd {
                source,
                target,
                block_size,
                count,
                skip: 0,
            }),
            other => Some(other),
        },
        answered: as_answered,
    },
    Mistake {
        name: "a reading shows zeros alone",
        asked: as_asked,
        answered: |_, answer| {
            if let Report::Contents(contents) = &mut answer.report {
                *contents = Contents::zeros(contents.size);
            }
        },
    },
    Mistake {
        name: "a description tells another size",
        asked: as_asked,
        answered: |request, answer| {
            if matches!(request, Request::Info { .. }) {
                replaced(request, answer, "\"virtual-size\":", "\"virtual-size\":1");
            }
        },
    },
    Mistake {
        name: "a map calls data zeros",
        asked: as_asked,
        answered: |request, answer| {
            if matches!(request, Request::Map { .. }) {
                replaced(request, answer, "\"zero\":false", "\"zero\":true");
            }
        },
    },
    Mistake {
        name: "a check finds a leak",
        asked: as_asked,
        answered: |request, answer| {
            if matches!(request, Request::Check { .. }) {
                replaced(request, answer, "\"leaks\":0", "\"leaks\":1");
            }
        },
    },
    Mistake {
        name: "a comparison finds everything alike",
        asked: as_asked,
        answered: |request, answer| {
            if matches!(request, Request::Compare { .. }) {
                answer.exit = match answer.exit {
                    Exit::Success => Exit::Refused(1),
                    _ => Exit::Success,
                };
            }
        },
    },
];

/// The model with a mistake.
struct Mistaken {
    model: Arc<dyn Tool>,
    mistake: &'static Mistake,
}

impl Tool for Mistaken {
    fn name(&self) -> &'static str {
        "mistaken"
    }

    fn version(&self) -> &str {
        self.model.version()
    }

    fn program(&self) -> Option<&Path> {
        None
    }

    fn capabilities(&self) -> &Capabilities {
        self.model.capabilities()
    }

    fn support(&self, request: &Request) -> Support {
        self.model.support(request)
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let Some(changed) = (self.mistake.asked)(request.clone()) else {
            let file = request.file().clone();
            let mut answer = self.model.ask(&Request::Info { file }, call_context)?;
            answer.transcript.stdout = Captured::default();
            return Ok(answer);
        };
        let mut answer = self.model.ask(&changed, call_context)?;
        (self.mistake.answered)(request, &mut answer);
        Ok(answer)
    }

    fn reproducer(&self, _: &Request) -> Option<Reproducer> {
        None
    }
}

fn runner(
    candidate: Arc<dyn Tool>,
    reference: Arc<dyn Tool>,
    workdir: &Path,
) -> DifferentialRunner {
    DifferentialRunner {
        candidate,
        reference,
        limit: Duration::from_secs(30),
        sandbox: SandboxPolicy::default(),
        workdir: workdir.to_owned(),
        witnesses: Witnesses::default(),
        keep: false,
        fixtures: Arc::default(),
        remover: Arc::new(Remover::at_once()),
        is_alone: false,
        writers: Arc::default(),
    }
}

fn cases(seed: u64) -> impl Iterator<Item = Case> {
    let generation = Generation::named("native1_imago").unwrap();
    generation.cases(seed, 0, &Selection::default()).unwrap()
}

#[test]
fn the_model_agrees_with_itself_over_sixty_cases() {
    let workdir = ring::scratch();
    let runner = runner(model::tool(), model::tool(), workdir.path());
    for case in cases(3).take(60) {
        let outcome = runner.run(&case).unwrap();
        for operation in outcome.operations {
            let verdict = operation.verdict;
            let is_fine = matches!(verdict, Verdict::Match | Verdict::Unsupported { .. });
            assert!(is_fine, "{}: {verdict:?}", case.id());
        }
    }
}

#[test]
fn each_of_twenty_mistakes_of_the_model_is_noticed() {
    let workdir = ring::scratch();
    for mistake in &MISTAKES {
        let model = model::tool();
        let mistaken = Arc::new(Mistaken { model, mistake });
        let runner = runner(model::tool(), mistaken, workdir.path());
        let noticed = cases(4).take(300).position(|case| {
            let outcome = runner.run(&case).unwrap();
            let mut operations = outcome.operations.iter();
            operations.any(|operation| matches!(operation.verdict, Verdict::Divergence(_)))
        });
        assert!(noticed.is_some(), "nobody noticed that {}", mistake.name);
    }
}

/// An image of each kind that the model writes, and the options that qemu-img opens it with.
fn kinds() -> Vec<ImageFile> {
    let qcow2 = [
        &[][..],
        &["cluster_size=512"],
        &["cluster_size=2097152"],
        &["compat=0.10"],
        &["refcount_bits=1"],
        &["refcount_bits=64"],
        &["lazy_refcounts=on"],
        &["preallocation=metadata"],
        &["data_file=own.data"],
        &["data_file=own.data", "data_file_raw=on"],
    ];
    let qcow2 = qcow2.map(|options| (Format::Qcow2, options));
    let vmdk = [
        &["subformat=monolithicFlat"][..],
        &["subformat=twoGbMaxExtentFlat"],
        &[],
        &["zeroed_grain=on", "adapter_type=lsilogic"],
        &["subformat=twoGbMaxExtentSparse"],
    ];
    let vmdk = vmdk.map(|options| (Format::Vmdk, options));
    let blocks: [(Format, &[&str]); 9] = [
        (Format::Vdi, &[]),
        (Format::Vdi, &["static=on"]),
        (Format::Vpc, &[]),
        (Format::Vpc, &["force_size=on"]),
        (Format::Vpc, &["subformat=fixed"]),
        (Format::Vpc, &["subformat=fixed", "force_size=on"]),
        (Format::Vhdx, &[]),
        (Format::Vhdx, &["block_size=1M", "log_size=2M"]),
        (Format::Vhdx, &["subformat=fixed"]),
    ];
    let all = qcow2
        .into_iter()
        .chain(vmdk)
        .chain(blocks)
        .chain([(Format::Raw, &[][..])]);
    let file = |(format, options): (Format, &[&str])| {
        ImageFile::new("own", format).with_options(CreateOptions::parse(options).unwrap())
    };
    all.map(file).collect()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn qemu_img_and_the_model_read_what_the_other_writes_and_find_it_sound() {
    let (model, qemu_img) = (model::tool(), ring::open("qemu-img"));
    for (writer, file) in kinds()
        .into_iter()
        .flat_map(|file| [(&model, file.clone()), (&qemu_img, file)])
    {
        is_read_alike(writer, &[&model, &qemu_img], &file);
    }
}

/// Lets a tool write an image, and all of them read and check it.
fn is_read_alike(writer: &Arc<dyn Tool>, readers: &[&Arc<dyn Tool>], file: &ImageFile) {
    let writes = [(0, 4096, 1), (70_000, 1, 2), (3 << 20, 65_536, 3)];
    let writes = writes.map(|(offset, length, byte)| Write {
        offset,
        length,
        fill: Fill::Byte(byte),
    });
    let workdir = ring::scratch();
    let call_context = CallContext {
        directory: workdir.path(),
        limit: Duration::from_secs(30),
        grace: Duration::ZERO,
        sandbox: &SandboxPolicy::OPEN,
        memory_bytes_max: None,
    };
    let ask = |tool: &Arc<dyn Tool>, request: Request| {
        let answer = tool.ask(&request, &call_context).unwrap();
        assert!(answer.succeeded(), "{request:?}: {}", answer.describe());
        answer
    };
    let size = imgduel::base::size::Size::of_bytes(4 << 20);
    let same = || file.clone();
    ask(writer, Request::Create { file: same(), size });
    let written = writes.to_vec();
    ask(
        writer,
        Request::Write {
            file: same(),
            writes: written,
        },
    );
    let size = match file.options.force_size() {
        Some(true) => 4 << 20,
        _ => file.format.created_size(4 << 20),
    };
    let expected = Contents::of_writes(size, &writes);
    for tool in readers {
        let read = ask(tool, Request::Contents { file: same() });
        let by = writer.name();
        assert_eq!(
            read.report.contents(),
            Some(&expected),
            "{file:?}, written by {by}"
        );
        if file.format.is_checked() {
            ask(tool, Request::Check { file: same() });
        }
    }
}

#[test]
fn the_model_writes_through_no_link_that_a_tool_left() {
    let (workdir, elsewhere) = (ring::scratch(), ring::scratch());
    let kept = elsewhere.path().join("kept");
    std::fs::write(&kept, "mine").unwrap();
    let call_context = CallContext {
        directory: workdir.path(),
        limit: Duration::from_secs(30),
        grace: Duration::ZERO,
        sandbox: &SandboxPolicy::OPEN,
        memory_bytes_max: None,
    };
    let ask = |request: &Request| model::tool().ask(request, &call_context).unwrap();
    let size = imgduel::base::size::Size::of_bytes(1 << 20);
    for file in kinds() {
        let names = [
            file.path.clone(),
            format!("{}.new", file.path),
            "own-flat.vmdk".to_owned(),
            "own-f001.vmdk".to_owned(),
            "own.data".to_owned(),
            "own.data.new".to_owned(),
        ];
        for name in names {
            let path = workdir.path().join(name);
            let _ = std::fs::remove_file(&path);
            std::os::unix::fs::symlink(&kept, path).unwrap();
        }
        let (file, size) = (file, size.clone());
        let created = ask(&Request::Create {
            file: file.clone(),
            size,
        });
        assert!(created.succeeded(), "{}", created.describe());
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "mine", "{file:?}");
        let path = workdir.path().join(&file.path);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&kept, &path).unwrap();
        let read = ask(&Request::Contents { file });
        assert!(!read.succeeded());
    }
}

fn workers(workdir: &Path) -> CaseWorkers {
    CaseWorkers::new(
        ring::PROGRAM.into(),
        "imago",
        workdir.to_owned(),
        SandboxPolicy::default(),
        Duration::from_secs(30),
    )
}

#[test]
fn a_worker_runs_whole_cases_and_lasts() {
    let workdir = ring::scratch();
    let workers = workers(workdir.path());
    let chains = cases(5).filter(CaseWorkers::can).take(20);
    let clean = chains.filter(|case| matches!(workers.run(case).unwrap(), Tried::Clean(_)));
    assert!(clean.count() >= 15);
}

/// A chain on one qcow2 of 1 MiB.
fn chain(options: &str, steps: &str) -> Case {
    let case = format!(
        r#"{{"generation": "native1_imago", "iter_seed": 0, "words_used": 0, "image": {{"format": "raw", "virtual_size": "1M", "pattern": "zeros"}},
        "ops": [{{"op": "chain", "layers": [{{"format": "qcow2", "size": 1048576, "options": [{options}]}}], "steps": [{steps}]}}]}}"#
    );
    serde_json::from_str(&case).unwrap()
}

#[test]
fn success_where_the_reference_refuses_is_found_in_the_worker() {
    let workdir = ring::scratch();
    let workers = workers(workdir.path());
    // qemu-img refuses to resize it, imago does not.
    let snapshot = r#"{"step": "snapshot", "action": "create", "name": "first"}"#;
    let resize = r#"{"step": "resize", "size": 2097152}"#;
    let case = chain(r#""compat=0.10""#, &format!("{snapshot}, {resize}"));
    assert!(matches!(
        workers.run(&case).unwrap(),
        Tried::Doubtful(Doubt::Found(_))
    ));
}

#[test]
fn a_downgrade_clears_lazy_refcounts_for_good() {
    let workdir = ring::scratch();
    let mut runner = runner(model::tool(), model::tool(), workdir.path());
    runner.is_alone = true;
    let amend = |compat: &str| format!(r#"{{"step": "amend", "options": ["compat={compat}"]}}"#);
    let steps = format!("{}, {}", amend("0.10"), amend("1.1"));
    let case = chain(
        r#""lazy_refcounts=on""#,
        &format!(r#"{steps}, {{"step": "read"}}"#),
    );
    let verdict = &runner.run(&case).unwrap().operations[0].verdict;
    assert!(!matches!(verdict, Verdict::Divergence(_)), "{verdict:?}");
}

#[test]
fn only_chains_are_for_the_model_alone() {
    let other = Generation::named("ops16").unwrap();
    let case = other
        .cases(1, 0, &Selection::default())
        .unwrap()
        .next()
        .unwrap();
    assert!(!CaseWorkers::can(&case) && CaseWorkers::can(&cases(1).next().unwrap()));
    assert_eq!(Chain::no_source().format, Format::Raw);
}
