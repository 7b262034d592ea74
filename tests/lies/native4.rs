//! Lies about what native4 draws and the older generations do not: encrypted volumes, qed, directories, ways of opening an image.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::catalogue::flips;
use crate::image::{Facts, flip};
use crate::liar::{Call, Effect};
use crate::reader::{ReaderLie, lie};

/// Whether a word of the call begins so.
fn begins(call: &Call, beginning: &str) -> bool {
    call.arguments
        .iter()
        .any(|word| word.starts_with(beginning))
}

/// Whether the call is a reading command that is told so.
fn told(call: &Call, name: &str, word: &str) -> bool {
    call.is(name) && call.says(word)
}

/// The option that names a backing file, with the last part of the name alone.
fn without_its_directory(word: &str) -> String {
    match word.rsplit_once('/') {
        Some((_, last)) => format!("backing_file={last}"),
        None => word.to_owned(),
    }
}

/// Returns a call with the value of each word that begins so replaced.
fn replaced(call: &Call, beginning: &str, change: fn(&str) -> String) -> Option<Effect> {
    let arguments = call.arguments.iter().map(|word| match word {
        word if word.starts_with(beginning) => change(word),
        word => word.clone(),
    });
    let arguments: Vec<String> = arguments.collect();
    (arguments != call.arguments).then_some(Effect::Instead(arguments))
}

/// Has an image made without opening the image below it, whose name is wrong.
fn without_opening(effect: Effect) -> Effect {
    match effect {
        Effect::Instead(mut arguments) => {
            arguments.insert(1, "-u".to_owned());
            Effect::Instead(arguments)
        }
        other => other,
    }
}

/// Whether the image of a write has this format.
fn writes_to(call: &Call, format: &str) -> bool {
    let file = call.file();
    let is_it =
        file.ends_with(&format!(".{format}")) || file.starts_with(&format!("driver={format},"));
    call.program == "qemu-io" && is_it
}

/// All of them.
pub const PLACED: &[ReaderLie] = &[
    lie("writes_a_volume_one_sector_further", r#""luks""#, |call| {
        let write = call
            .writes()
            .into_iter()
            .find(|_| writes_to(call, "luks"))?;
        let (offset, length) = (write.offset, write.length);
        let command = format!(" {offset} {length}");
        let moved = format!(" {} {length}", offset + 512);
        Some(Effect::Instead(call.with(&command, &moved)))
    }),
    lie("makes_a_volume_of_another_size", r#""luks""#, |call| {
        let is_volume = call.is("create") && call.says("luks");
        let size: u64 = call.arguments.last().filter(|_| is_volume)?.parse().ok()?;
        let mut arguments = call.arguments.clone();
        *arguments.last_mut()? = (size + 512).to_string();
        Some(Effect::Instead(arguments))
    }),
    lie(
        "leaves_out_the_last_sector_of_a_write_to_a_qed",
        r#""qed""#,
        |call| {
            let long = |write: &crate::liar::Range| write.length > 512;
            let write = call
                .writes()
                .into_iter()
                .find(long)
                .filter(|_| writes_to(call, "qed"))?;
            let command = format!(" {} {}", write.offset, write.length);
            let short = format!(" {} {}", write.offset, write.length - 512);
            Some(Effect::Instead(call.with(&command, &short)))
        },
    ),
    lie("makes_a_qed_without_its_backing_file", r#""qed""#, |call| {
        let is_qed = call.is("create") && call.says("qed");
        let place = call
            .arguments
            .windows(2)
            .position(|pair| pair[0] == "-o" && pair[1].starts_with("backing_file="))?;
        let mut arguments = call.arguments.clone();
        arguments.drain(place..place + 4);
        is_qed.then_some(Effect::Instead(arguments))
    }),
    lie(
        "takes_the_name_of_a_backing_file_without_its_directory",
        r#""directory":"#,
        |call| {
            let is_made = call.is("create") && !begins(call, "backing_file=json:");
            is_made
                .then(|| replaced(call, "backing_file=", without_its_directory))
                .flatten()
                .map(without_opening)
        },
    ),
    lie(
        "loses_an_image_below_that_json_names",
        r#""names":"json""#,
        |call| {
            let place = call
                .arguments
                .windows(2)
                .position(|pair| pair[0] == "-o" && pair[1].starts_with("backing_file=json:"));
            let place = place.filter(|_| call.is("create"))?;
            let mut arguments = call.arguments.clone();
            arguments.drain(place..place + 4);
            Some(Effect::Instead(arguments))
        },
    ),
    lie(
        "records_a_name_with_a_protocol_as_a_raw_image",
        r#""names":"file""#,
        |call| {
            let is_named = call.is("create") && begins(call, "backing_file=file:");
            is_named
                .then(|| replaced(call, "backing_fmt=", |_| "backing_fmt=raw".to_owned()))
                .flatten()
        },
    ),
    lie(
        "takes_an_absolute_name_for_one_beside_the_image",
        r#""names":"absolute""#,
        |call| {
            let is_absolute = call.is("create") && begins(call, "backing_file=/");
            is_absolute
                .then(|| replaced(call, "backing_file=/", without_its_directory))
                .flatten()
                .map(without_opening)
        },
    ),
    lie(
        "takes_an_absolute_name_for_a_relative_one",
        r#""names":"absolute""#,
        |call| {
            let is_absolute = call.is("create") && begins(call, "backing_file=/");
            let relative = |word: &str| word.replacen("=/", "=", 1);
            is_absolute
                .then(|| replaced(call, "backing_file=/", relative))
                .flatten()
                .map(without_opening)
        },
    ),
    lie(
        "cuts_the_last_letter_of_an_absolute_name",
        r#""names":"absolute""#,
        |call| {
            let is_absolute = call.is("create") && begins(call, "backing_file=/");
            let cut = |word: &str| word[..word.len() - 1].to_owned();
            is_absolute
                .then(|| replaced(call, "backing_file=/", cut))
                .flatten()
                .map(without_opening)
        },
    ),
    lie(
        "errs_where_a_snapshot_has_a_size_of_its_own",
        r#""resized":true"#,
        |call| {
            let source = call.arguments.iter().rev().nth(1).cloned()?;
            let target = call.file();
            let is_told = call.is("convert") && call.says("-l");
            let err = move || {
                let sizes = sizes_of_snapshots(&source).unwrap_or_default();
                let own = Facts::read_from(&source).map_or(0, |facts| facts.size);
                if sizes.iter().any(|size| *size != own) {
                    flip(&target, 0);
                }
            };
            is_told.then(|| Effect::Then(Box::new(err)))
        },
    ),
    lie(
        "describes_another_size_where_it_is_given_options",
        r#""by":"options""#,
        |call| {
            let is_told = told(call, "info", "--image-opts") && begins(call, "driver=qcow2");
            let other =
                |text: String| text.replacen("\"virtual-size\": ", "\"virtual-size\": 1", 9);
            is_told.then_some(Effect::Says(other))
        },
    ),
    lie(
        "maps_no_zeros_where_it_is_given_options",
        r#""by":"options""#,
        |call| {
            let all = |text: String| text.replace("\"zero\": false", "\"zero\": true");
            told(call, "map", "--image-opts").then_some(Effect::Says(all))
        },
    ),
    lie(
        "checks_nothing_where_it_is_given_options",
        r#""by":"options""#,
        |call| told(call, "check", "--image-opts").then_some(Effect::Refuses),
    ),
    lie(
        "measures_too_much_where_it_is_given_options",
        r#""by":"options""#,
        |call| {
            let more =
                |text: String| text.replace("\"fully-allocated\": ", "\"fully-allocated\": 1");
            told(call, "measure", "--image-opts").then_some(Effect::Says(more))
        },
    ),
    lie(
        "finds_differences_where_it_is_given_options",
        r#""by":"options""#,
        |call| told(call, "compare", "--image-opts").then_some(Effect::Refuses),
    ),
    lie(
        "errs_in_copies_of_what_options_name",
        r#""by":"options""#,
        |call| {
            told(call, "convert", "--image-opts")
                .then(|| flips(call, 0))
                .flatten()
        },
    ),
    lie(
        "copies_nothing_where_options_name_the_target",
        r#""by":"options""#,
        |call| {
            let is_told = told(call, "convert", "--target-image-opts");
            is_told.then(|| Effect::Instead(vec!["--version".to_owned()]))
        },
    ),
    lie(
        "describes_another_size_of_what_json_names",
        r#""by":"json""#,
        |call| {
            let other =
                |text: String| text.replacen("\"virtual-size\": ", "\"virtual-size\": 1", 9);
            (call.is("info") && begins(call, "json:")).then_some(Effect::Says(other))
        },
    ),
    lie(
        "errs_in_copies_of_what_json_names",
        r#""by":"json""#,
        |call| {
            (call.is("convert") && begins(call, "json:"))
                .then(|| flips(call, 0))
                .flatten()
        },
    ),
    lie(
        "describes_another_size_of_what_is_shared",
        r#""shared":true"#,
        |call| {
            let other =
                |text: String| text.replacen("\"virtual-size\": ", "\"virtual-size\": 1", 9);
            told(call, "info", "-U").then_some(Effect::Says(other))
        },
    ),
    lie(
        "maps_zeros_alone_in_what_is_shared",
        r#""shared":true"#,
        |call| {
            let all = |text: String| text.replace("\"zero\": false", "\"zero\": true");
            told(call, "map", "-U").then_some(Effect::Says(all))
        },
    ),
    lie(
        "finds_differences_in_what_is_shared",
        r#""shared":true"#,
        |call| told(call, "compare", "-U").then_some(Effect::Refuses),
    ),
    lie(
        "skips_a_block_more_of_what_is_shared",
        r#""shared":true"#,
        |call| {
            let next = |word: &str| {
                let number = word
                    .strip_prefix("skip=")
                    .and_then(|word| word.parse::<u64>().ok());
                format!("skip={}", number.unwrap_or_default() + 1)
            };
            told(call, "dd", "-U")
                .then(|| replaced(call, "skip=", next))
                .flatten()
        },
    ),
    lie(
        "errs_in_a_dd_of_what_options_name",
        r#""by":"options""#,
        |call| {
            let target = call
                .arguments
                .iter()
                .find_map(|word| word.strip_prefix("of="))?
                .to_owned();
            told(call, "dd", "--image-opts")
                .then(|| Effect::Then(Box::new(move || flip(&target, 0))))
        },
    ),
    lie(
        "errs_in_copies_of_what_is_shared",
        r#""shared":true"#,
        |call| {
            told(call, "convert", "-U")
                .then(|| flips(call, 0))
                .flatten()
        },
    ),
    lie(
        "makes_an_overlay_larger_when_it_opens_nothing",
        r#""unopened":true"#,
        |call| {
            let is_told = told(call, "create", "-u");
            let size: u64 = call.arguments.last().filter(|_| is_told)?.parse().ok()?;
            let mut arguments = call.arguments.clone();
            *arguments.last_mut()? = (size + 65536).to_string();
            Some(Effect::Instead(arguments))
        },
    ),
    lie(
        "records_no_backing_file_that_it_does_not_open",
        r#""unopened":true"#,
        |call| {
            let place = call
                .arguments
                .windows(2)
                .position(|pair| pair[0] == "-o" && pair[1].starts_with("backing_file="));
            let place = place.filter(|_| told(call, "create", "-u"))?;
            let mut arguments = call.arguments.clone();
            arguments.drain(place..place + 4);
            Some(Effect::Instead(arguments))
        },
    ),
];

/// Returns the sizes of a qcow2's snapshots in bytes (QEMU's qcow2 specification, Snapshots).
fn sizes_of_snapshots(path: &str) -> Option<Vec<u64>> {
    let file = File::open(path).ok()?;
    let number = |offset: u64, length: usize| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes[8 - length..], offset).ok()?;
        Some(u64::from_be_bytes(bytes))
    };
    let (count, mut place) = (number(60, 4)?, number(64, 8)?);
    let mut sizes = Vec::new();
    for _ in 0..count {
        let (id, name, extra) = (
            number(place + 12, 2)?,
            number(place + 14, 2)?,
            number(place + 36, 4)?,
        );
        sizes.push(number(place + 48, 8)?);
        place = (place + 40 + extra + id + name).next_multiple_of(8);
    }
    Some(sizes)
}
