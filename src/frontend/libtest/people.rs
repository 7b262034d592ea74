//! The formats for people, which libtest-mimic prints.
//!
//! It is handed the trials that are left after filtering, with one stand-in for each that was filtered out, so that its totals
//! are right: it counts only what it filters itself.

use std::io::Write;

use libtest_mimic::{Arguments, ColorSetting, Completion, Failed, FormatSetting};

use crate::base::prose::printable;

use super::{Color, Flags, Format, Outcome, Schedule, Trial, outcome};

/// No trial's name: names are paths of identifiers.
const FILTERED_OUT: &str = "(filtered out)";

pub(super) fn run(schedule: Schedule, flags: &Flags) -> u64 {
    if let Some(seed) = schedule.shuffle_seed {
        // Nobody reads it: as good.
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
        // Its own flag for this takes no reason.
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
