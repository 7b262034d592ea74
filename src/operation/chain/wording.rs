//! The acts' words: files' names and options, a bench's schedule, a dd's window.

use super::act::{Act, BESIDE};
use crate::image::format::Format;
use crate::tool::request::ImageFile;

/// The file of an image with these options: one that lies beside it is named after it.
pub(super) fn placed(stem: &str, format: Format, options: &[String]) -> ImageFile {
    let beside = format!("data_file={BESIDE}");
    let placed = options.iter().map(|option| match *option == beside {
        true => format!("data_file={stem}.data"),
        false => option.clone(),
    });
    ImageFile::new(stem, format).with_options(placed.collect())
}

/// The guest range that dd copies: (start, length) in bytes.
pub fn window(size: u64, block_size: u64, count: Option<u64>, skip: u64) -> (u64, u64) {
    let end = count.map_or(size, |count| count.saturating_mul(block_size).min(size));
    let start = skip.saturating_mul(block_size).min(end);
    (start, end - start)
}

/// The words of a bench, behind the name of the command. Where it may reach over the end it asks `singly`, one request after the
/// other: what is under way when one fails is left half done, as chance has it.
pub(super) fn schedule(format: Format, act: &Act, singly: bool) -> Vec<String> {
    let Act::Bench {
        count,
        length,
        offset,
        stride,
        depth,
        byte,
    } = act
    else {
        return Vec::new();
    };
    let depth = if singly { &1 } else { depth };
    let mut words = vec!["-f".to_owned(), format.to_string()];
    let numbers = [
        ("-c", count),
        ("-s", length),
        ("-o", offset),
        ("-S", stride),
        ("-d", depth),
    ];
    for (flag, number) in numbers {
        words.extend([flag.to_owned(), number.to_string()]);
    }
    if let Some(byte) = byte {
        words.extend(["-w".to_owned(), format!("--pattern={byte}")]);
    }
    words
}
