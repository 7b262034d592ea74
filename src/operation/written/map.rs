//! Judges a map of a written image: it covers the disk without gaps, what it calls zeros is zeros, and where it says that data lie in a file
//! they do lie.

use serde_json::Value;

use crate::disk_format::writer::{Guest, HostFile, WrittenFiles};

/// The most bytes of one range that are compared with the file: a wrong place shows in its first bytes.
const COMPARED_BYTES_MAX: u64 = 64 << 10;
/// Pieces in which a range is searched for bytes that are not zero.
const PIECE_BYTES: u64 = 1 << 20;

/// A wrong statement.
pub(super) struct Statement {
    pub(super) told: String,
    pub(super) expected: String,
}

/// Returns the first wrong statement of a map.
pub(super) fn wrong(
    map: Result<&Value, &str>,
    guest: &Guest,
    files: &WrittenFiles,
) -> Option<Statement> {
    let statement = |told: String, expected: &str| {
        let expected = expected.to_owned();
        Some(Statement { told, expected })
    };
    let entries = match map.map(|map| map.as_array()) {
        Ok(Some(entries)) => entries,
        Ok(None) => return statement("no array".to_owned(), "an array of ranges"),
        Err(why) => return statement(format!("no JSON: {why}"), "an array of ranges"),
    };
    let mut next = 0;
    for entry in entries {
        let number = |key: &str| entry[key].as_u64();
        let (Some(start), Some(length)) = (number("start"), number("length")) else {
            return statement(entry.to_string(), "a range with start and length");
        };
        if start != next {
            return statement(format!("a range at {start}"), &format!("one at {next}"));
        }
        next = start.saturating_add(length);
        let end = next.min(guest.size);
        if entry["zero"] == true && !is_zero(guest, start, end) {
            return statement(format!("zeros at {start}, {length} bytes"), "data");
        }
        if let Some(offset) = number("offset").filter(|_| entry["data"] == true)
            && !lies(files, entry, offset, guest, (start, end))
        {
            let told = format!("the bytes at {start} lie at {offset}");
            return statement(told, "other bytes there");
        }
    }
    (next != guest.size)
        .then(|| {
            statement(
                format!("an end at {next}"),
                &format!("one at {}", guest.size),
            )
        })
        .flatten()
}

fn is_zero(guest: &Guest, start: u64, end: u64) -> bool {
    let pieces = (start..end).step_by(PIECE_BYTES as usize);
    guest.is_zero(start..end)
        || pieces.into_iter().all(|piece| {
            let bytes = guest.bytes(piece..(piece + PIECE_BYTES).min(end));
            bytes.iter().all(|byte| *byte == 0)
        })
}

/// Whether the file that an entry names has the guest's bytes at this offset. A file that is not ours says nothing.
fn lies(
    files: &WrittenFiles,
    entry: &Value,
    offset: u64,
    guest: &Guest,
    (start, end): (u64, u64),
) -> bool {
    let own = entry["filename"].as_str().map(str::to_owned);
    let by_depth = || {
        let depth = entry["depth"].as_u64().unwrap_or(0);
        files.holder(depth as usize)
    };
    // Not every tool names the file; then the depth tells the image, of which there is one file.
    let Some(name) = own.or_else(by_depth) else {
        return true;
    };
    let all = files.all(None).unwrap_or_default();
    let is_named =
        |file: &&HostFile| name == file.name || name.ends_with(&format!("/{}", file.name));
    let Some(file) = all.iter().find(is_named) else {
        return true;
    };
    let length = (end.saturating_sub(start)).min(COMPARED_BYTES_MAX);
    file.bytes(offset, length) == guest.bytes(start..start + length)
}
