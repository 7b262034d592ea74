//! Lies about what native3 draws and the older generations do not: copies in other modes, parts of maps, data other than a repeated byte.

use crate::catalogue::{Lie, flips};
use crate::liar::{Call, Effect};

/// Returns the arguments without a flag and the `values` words behind it; `None` if it is not among them.
fn without(call: &Call, flag: &str, values: usize) -> Option<Vec<String>> {
    let place = call.arguments.iter().position(|word| word == flag)?;
    let mut arguments = call.arguments.clone();
    arguments.drain(place..=place + values);
    Some(arguments)
}

/// The guest range of a qemu-io command that takes its data from a file, and the file.
fn from_file(call: &Call) -> Option<(String, u64, u64)> {
    let command = call
        .arguments
        .iter()
        .find(|word| word.starts_with("write -s "))?;
    let words: Vec<&str> = command.split(' ').collect();
    let [.., file, offset, length] = words[..] else {
        return None;
    };
    Some((file.to_owned(), offset.parse().ok()?, length.parse().ok()?))
}

const fn lie(name: &'static str, tell: fn(&Call) -> Option<Effect>) -> Lie {
    Lie {
        name,
        is_rare: false,
        tell,
    }
}

/// All of them.
pub const NEWER: &[Lie] = &[
    lie("copies_an_overlay_without_its_backing_file", |call| {
        let mut arguments = call
            .is("convert")
            .then(|| without(call, "-B", 1))
            .flatten()?;
        let place = arguments.iter().position(|word| word == "-F")?;
        arguments.drain(place..=place + 1);
        Some(Effect::Instead(arguments))
    }),
    lie("copies_no_bitmaps", |call| {
        let arguments = call
            .is("convert")
            .then(|| without(call, "--bitmaps", 0))
            .flatten()?;
        Some(Effect::Instead(arguments))
    }),
    lie("maps_from_the_start_whatever_it_is_told", |call| {
        let told = call.is("map").then(|| without(call, "--start-offset", 1));
        told.flatten().map(Effect::Instead)
    }),
    lie("maps_to_the_end_whatever_it_is_told", |call| {
        let told = call.is("map").then(|| without(call, "--max-length", 1));
        told.flatten().map(Effect::Instead)
    }),
    lie("errs_where_small_holes_are_kept", |call| {
        (call.is("convert") && call.says("-S"))
            .then(|| flips(call, 0))
            .flatten()
    }),
    lie("errs_when_many_copy_out_of_order", |call| {
        (call.is("convert") && call.says("-W"))
            .then(|| flips(call, 0))
            .flatten()
    }),
    lie("errs_with_several_copies_at_a_time", |call| {
        let is_told = call.is("convert") && call.says("-m") && !call.says("1");
        is_told.then(|| flips(call, 0)).flatten()
    }),
    lie("repeats_the_first_sector_of_a_buffer", |call| {
        let (file, _, _) = from_file(call).filter(|(_, _, length)| *length > 512)?;
        Some(Effect::First(Box::new(move || {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..512]).unwrap();
        })))
    }),
    lie("swaps_two_sectors_of_a_buffer", |call| {
        let (file, _, _) = from_file(call).filter(|(_, _, length)| *length >= 1024)?;
        Some(Effect::First(Box::new(move || {
            let mut bytes = std::fs::read(&file).unwrap();
            let (one, other) = bytes.split_at_mut(512);
            one.swap_with_slice(&mut other[..512]);
            std::fs::write(&file, &bytes).unwrap();
        })))
    }),
    lie("measures_without_the_options_of_the_target", |call| {
        let told = call.is("measure").then(|| without(call, "-o", 1));
        told.flatten().map(Effect::Instead)
    }),
    lie("measures_the_image_in_place_of_its_snapshot", |call| {
        let told = call.is("measure").then(|| without(call, "-l", 1));
        told.flatten().map(Effect::Instead)
    }),
    lie(
        "merges_a_bitmap_of_its_own_in_place_of_another_image",
        |call| {
            let mut arguments = call
                .is("bitmap")
                .then(|| without(call, "-b", 1))
                .flatten()?;
            let place = arguments.iter().position(|word| word == "-F")?;
            arguments.drain(place..=place + 1);
            Some(Effect::Instead(arguments))
        },
    ),
    lie("commits_into_the_next_image_whatever_is_named", |call| {
        let told = call.is("commit").then(|| without(call, "-b", 1));
        told.flatten().map(Effect::Instead)
    }),
    lie("empties_an_overlay_that_it_was_to_keep", |call| {
        let told = call.is("commit").then(|| without(call, "-d", 0));
        told.flatten().map(Effect::Instead)
    }),
    lie("errs_where_a_rebase_compresses", |call| {
        (call.is("rebase") && call.says("-c"))
            .then(|| flips(call, 0))
            .flatten()
    }),
    lie("leaves_old_data_where_it_copies_zeros", |call| {
        let is_told = call.is("convert") && call.says("-n") && !call.says("--target-is-zero");
        is_told.then(|| {
            let mut arguments = call.arguments.clone();
            arguments.insert(1, "--target-is-zero".to_owned());
            Effect::Instead(arguments)
        })
    }),
    lie("makes_an_image_anew_that_it_was_to_copy_into", |call| {
        let mut call = Call {
            program: call.program.clone(),
            arguments: call
                .is("convert")
                .then(|| without(call, "-n", 0))
                .flatten()?,
        };
        call.arguments = without(&call, "--target-is-zero", 0).unwrap_or(call.arguments);
        Some(Effect::Instead(call.arguments))
    }),
    lie("errs_where_it_takes_the_target_for_zeros", |call| {
        (call.is("convert") && call.says("--target-is-zero"))
            .then(|| flips(call, 0))
            .flatten()
    }),
];
