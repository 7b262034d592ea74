//! What tools say of images, compared: every operation's judge on outputs that may be anything.
//!
//! The first bytes choose the operation and how the calls ended; behind them come what the candidate says and, behind a line of its
//! own (`--`), what the reference says.

#![no_main]

use std::sync::LazyLock;

use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};
use imgduel::image::content::{Fill, Contents, Write};
use imgduel::oracle::coverage::Observed;
use imgduel::oracle::judge;
use imgduel::oracle::normalize::{Purpose, normalize};
use imgduel::oracle::observations::{
    CrossCheck, HarnessAction, Inspection, Inventory, Observations, Side, SideRun, StepResult,
    Task, ToolVersion,
};
use imgduel::oracle::signature::Group;
use imgduel::oracle::verdict::Verdict;
use imgduel::process::Captured;
use imgduel::tool::request::{Answer, Exit, Report, Request, Window};
use libfuzzer_sys::fuzz_target;

/// Cases of each generation that are judged.
const CASES: usize = 40;

static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let of = |name: &str| {
        let cases = Generation::named(name).and_then(|generation| generation.cases(1, 0, &Selection::ALL));
        cases
            .expect("a generation of ours")
            .take(CASES)
            .collect::<Vec<Case>>()
    };
    ["ops16", "native2", "malformed1"].map(of).concat()
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, words)) = data.split_at_checked(6) else {
        return;
    };
    let place = words.windows(4).position(|window| window == b"\n--\n");
    let (ours, theirs) = match place {
        Some(place) => (&words[..place], &words[place + 4..]),
        None => (words, words),
    };
    let case = &ALL[usize::from(choice[0]) % ALL.len()];
    let index = usize::from(choice[1]) % case.ops.len();
    let (operation, context) = (case.ops[index].perform(), case.context(index));
    let steps = operation.steps(&context);
    let ends = usize::from(choice[2]) % (steps.len() + 1);
    let side_run = |said: &[u8], how: u8| SideRun {
        step_results: (0..)
            .zip(&steps)
            .map(|(place, step)| StepResult {
                step: step.clone(),
                by: if how & 1 == 0 {
                    Side::Candidate
                } else {
                    Side::Reference
                },
                answer: answer(&step.task, said, if place < ends { 0 } else { how }),
                file_bytes: Some(u64::from(how) << 10),
                changed_files: vec![step.task.file().path.clone()],
                scratch_bytes: u64::from(how) << 20,
            })
            .collect(),
        ..SideRun::default()
    };
    let speaker = |version: &str| ToolVersion {
        name: "qemu-img".to_owned(),
        version: version.to_owned(),
    };
    let mut observations = Observations {
        tool_versions: [
            speaker("7.2.0"),
            speaker(if choice[5] & 1 == 0 {
                "10.0.2"
            } else {
                "7.2.0"
            }),
        ],
        candidate: side_run(ours, choice[3]),
        reference: (choice[5] & 2 == 0).then(|| side_run(theirs, choice[4])),
        cross_check: (choice[5] & 4 == 0).then(|| CrossCheck {
            witness: "libyal",
            answer: answer(&steps[0].task, theirs, choice[4]),
        }),
    };
    let outputs = operation.outputs(&context, &observations);
    for (place, output) in outputs.iter().enumerate() {
        let file = || output.file.clone();
        let window = Window::WHOLE;
        let looks = [
            (Side::Reference, Request::Info { file: file() }),
            (Side::Reference, Request::Check { file: file() }),
            (Side::Reference, Request::Contents { file: file() }),
            (Side::Candidate, Request::Contents { file: file() }),
            (
                Side::Reference,
                Request::Map {
                    file: file(),
                    window,
                },
            ),
            (
                Side::Reference,
                Request::SnapshotContents {
                    file: file(),
                    id: "1".to_owned(),
                },
            ),
            (Side::Reference, Request::SnapshotList { file: file() }),
            (Side::Candidate, Request::SnapshotList { file: file() }),
        ];
        let audit = Task::Harness(HarnessAction::Audit { file: file() });
        let looks = looks.map(|(by, request)| (by, Task::Tool(request)));
        for (by, task) in looks.into_iter().chain([(Side::Reference, audit)]) {
            let reading = |said: &[u8], how: u8| Inspection {
                output: place,
                by,
                task: task.clone(),
                answer: answer(&task, said, how),
            };
            observations
                .candidate
                .inspections
                .push(reading(ours, choice[3] >> 3));
            if let Some(side_run) = &mut observations.reference {
                side_run.inspections.push(reading(theirs, choice[4] >> 3));
            }
        }
    }
    let exits = judge::exits(&observations);
    let mut verdicts: Vec<Verdict> = exits.verdicts;
    verdicts.extend(operation.judge_steps(&observations));
    if exits.completed {
        verdicts.extend(operation.judge(&context, &observations));
        verdicts.extend(judge::outputs(&observations, &outputs));
    }
    for verdict in &verdicts {
        let _ = (
            verdict.name(),
            verdict.aspect(),
            verdict.blame(),
            verdict.reason(),
        );
        if let Verdict::Divergence(finding) = verdict {
            let _ = Group::new("kind", case.ops[index].name(), &finding.differences, "");
        }
    }
    let _ = (
        operation.witnessed(&context, &observations),
        Observed::from_observations(&observations),
    );
    for said in [ours, theirs] {
        if let Ok(json) = serde_json::from_slice::<serde_json::Value>(said) {
            let _ = Inventory::of_description(&json);
            if let Some(cross_check) = &observations.cross_check {
                let _ = judge::described(&json, cross_check);
            }
            let _ = normalize(json.clone(), Purpose::Creation, &observations.tool_versions);
            let _ = normalize(json, Purpose::Description, &observations.tool_versions);
        }
    }
});

fn answer(task: &Task, said: &[u8], how: u8) -> Answer {
    let exit = match how & 7 {
        0..=3 => Exit::Success,
        4 => Exit::Refused(1),
        5 => Exit::Crashed("signal 6".to_owned()),
        6 => Exit::Unsupported("a feature".to_owned()),
        _ => Exit::Refused(63),
    };
    let write = Write {
        offset: u64::from(how) << 9,
        length: 512,
        fill: Fill::Byte(how),
    };
    let captured = |bytes: &[u8]| Captured {
        bytes: bytes.to_vec(),
        dropped_bytes: 0,
    };
    let mut answer = Answer::from(exit);
    answer.report = match task {
        Task::Tool(Request::Contents { .. } | Request::SnapshotContents { .. })
            if answer.succeeded() =>
        {
            Report::Contents(Contents::of_writes(1 << 20, &[write]))
        }
        Task::Harness(HarnessAction::Audit { .. }) => {
            serde_json::from_slice(said).map_or(Report::Nothing, Report::Audit)
        }
        task => Report::parse(task.kind(), said, how & 16 != 0),
    };
    answer.transcript.stdout = captured(said);
    answer.transcript.stderr = captured(if how & 8 == 0 { b"" } else { said });
    answer.usage.calls = 1;
    answer
}
