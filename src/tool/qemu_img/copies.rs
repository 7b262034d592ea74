//! The command lines of conversions and of their measurement.

use super::reported;
use crate::tool::command_line::{self, format_flag, words};
use crate::tool::request::{CopyMode, ImageFile, Request, SnapshotKey, qemu_words};

/// Returns the arguments of a conversion or of its measurement, without the program.
pub(super) fn arguments(request: &Request) -> Vec<String> {
    match request {
        Request::Convert {
            source,
            target,
            compress,
            mode,
        } => conversion(source, target, *compress, mode, None),
        Request::ConvertSnapshot {
            source,
            target,
            compress,
            snapshot,
        } => {
            let mode = CopyMode::default();
            conversion(source, target, *compress, &mode, Some(snapshot))
        }
        Request::Measure {
            source,
            target,
            options,
            snapshot,
        } => {
            let named = snapshot.as_ref().map(qemu_words::snapshot);
            let named = named.map(|named| words(["-l", &named]));
            let target = words(["-O", target.name()]);
            let options = command_line::option_flags(options);
            let flags = [target, named.unwrap_or_default(), options];
            reported("measure", flags.concat(), source)
        }
        _ => unreachable!("the caller has a conversion or its measurement"),
    }
}

fn conversion(
    source: &ImageFile,
    target: &ImageFile,
    compress: bool,
    mode: &CopyMode,
    snapshot: Option<&SnapshotKey>,
) -> Vec<String> {
    let mut arguments = words(["convert"]);
    arguments.extend(format_flag("-f", source));
    let snapshot = snapshot.map(qemu_words::snapshot);
    arguments.extend(snapshot.iter().flat_map(|named| words(["-l", named])));
    arguments.extend(words(["-O", target.format.name()]));
    arguments.extend(compress.then(|| "-c".to_owned()));
    arguments.extend(mode.words());
    // Of an image that exists, the options and the backing file are there already.
    if !mode.existing {
        if let Some(below) = &target.backing {
            arguments.extend(words(["-B", &below.path, "-F", below.format.name()]));
        }
        arguments.extend(command_line::option_flags(&target.options));
    }
    arguments.extend(words([&source.path, &target.path]));
    arguments
}
