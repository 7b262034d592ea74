//! The formats for people, which libtest-mimic prints.
//!
//! It gets the selected trials and one placeholder for each trial that was filtered out: its totals count only what it
//! filters itself.

use std::io::Write;

use libtest_mimic::{Arguments, ColorSetting, Completion, Failed, FormatSetting};

use crate::base::prose::printable;

use super::{Color, Flags, Format, Outcome, Schedule, Trial, outcome};

/// The name of the placeholders. No trial has it, because names are paths of identifiers.
const FILTERED_OUT: &str = "(filtered out)";

pub(super) fn run(schedule: Schedule, flags: &Flags) -> u64 {
    if let Some(seed) = schedule.shuffle_seed {
        // Without a reader, nothing is lost.
        let _ = writeln!(std::io::stdout(), "\nshuffle seed: {seed}");
    }
    let color = flags.color.map(|color| match color {
        Color::Auto => ColorSetting::Auto,
        Color::Always => ColorSetting::Always,
        Color::Never => ColorSetting::Never,
    });
    let arguments = Arguments {
        exact: true,
        skip: vec![FILTERED_OUT.to_owned()],
        test_threads: Some(schedule.threads),
        color,
        format: Some(match flags.format() {
            Format::Terse => FormatSetting::Terse,
            _ => FormatSetting::Pretty,
        }),
        ..Arguments::default()
    };
    let stand_in = || libtest_mimic::Trial::test(FILTERED_OUT, || Ok(()));
    let filtered_out = (0..schedule.filtered_out).map(|_| stand_in());
    let trials = schedule.trials.into_iter().map(mimicked);
    libtest_mimic::run(&arguments, trials.chain(filtered_out).collect()).num_failed
}

fn mimicked(trial: Trial) -> libtest_mimic::Trial {
    let Trial {
        name, ignored, run, ..
    } = trial;
    libtest_mimic::Trial::ignorable_test(name, move || {
        // The ignored flag of libtest-mimic takes no reason.
        let outcome = ignored.map_or_else(|| outcome(run), Outcome::Ignored);
        match outcome {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::Failed(text) => Err(Failed::from(printable(&text))),
            Outcome::Ignored(reason) => Ok(Completion::Ignored {
                reason: Some(printable(&reason).into_owned()).filter(|reason| !reason.is_empty()),
            }),
        }
    })
}
