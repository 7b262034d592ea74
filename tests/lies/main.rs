//! Defects planted in a stand-in for qemu-img, called lies, and how many cases the native generation needs to find each.
//!
//! The stand-in is this program under another name: see `liar`. `foresight` predicts which cases trigger a lie, so that a hunt runs only
//! those.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table, and a tool that says what the real one says"
)]

mod catalogue;
mod comparison;
mod foresight;
mod hunt;
mod image;
mod liar;
mod native3;
mod native4;
mod reader;
#[path = "../ring/mod.rs"]
mod ring;
mod sessions;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    if let Some(code) = liar::serve_if_called() {
        return code;
    }
    sessions::bring();
    let is_missing = cfg!(missing_qemu_img);
    let trial = |name: &str, run: fn()| {
        let run = move || {
            run();
            Ok::<(), Failed>(())
        };
        Trial::test(name, run).with_ignored_flag(is_missing)
    };
    let trials = vec![
        trial("every_lie_has_a_name_of_its_own", catalogue::names_differ),
        trial(
            "some_lies_are_found_blamed_on_the_candidate_and_shrunk",
            hunt::some,
        ),
        trial(
            "every_lie_about_what_native3_draws_is_found_within_a_thousand_cases",
            hunt::newer,
        )
        .with_ignored_flag(true),
        trial(
            "every_lie_about_what_native4_draws_is_found_within_a_thousand_cases",
            hunt::placed,
        )
        .with_ignored_flag(true),
        trial(
            "some_lies_about_unusual_images_are_found",
            hunt::some_readers,
        ),
        trial(
            "every_lie_about_unusual_images_is_found_within_a_thousand_cases",
            hunt::readers,
        )
        .with_ignored_flag(true),
        // This takes minutes: `cargo test --test lies -- --ignored --nocapture`.
        trial("every_lie_is_found_within_five_thousand_cases", hunt::all).with_ignored_flag(true),
        trial(
            "guided_and_unguided_campaigns_are_compared",
            comparison::compare,
        )
        .with_ignored_flag(true),
        trial(
            "generations_are_compared_by_the_cpu_time_until_each_lie_is_told",
            comparison::generations,
        )
        .with_ignored_flag(true),
    ];
    let sessions = sessions::trials();
    let trials = trials.into_iter().chain(sessions).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
