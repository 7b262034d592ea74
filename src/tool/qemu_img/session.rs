//! Sessions of qemu-io: its commands, which it reads from standard input, and what it prints between its prompts.
//!
//! Observed with qemu-io 10.0.2. Each request is one command; a resize is followed by two more, because qemu-io tells
//! on standard error alone whether it refused, and requests that are made together by one that waits for them.

use super::qemu_io_words;
use crate::image::content::{Contents, ContentsBuilder, Fill, Write};
use crate::tool::command_line::words;
use crate::tool::request::{DataFile, ImageFile, Request, SessionOutcome, SessionRequest, singles};

/// What qemu-io prints where it waits for a command.
const PROMPT: &str = "qemu-io> ";

/// The maximum number of bytes that a session reads: qemu-io prints five characters for each, and not all of a long
/// output is kept.
pub(super) const READ_BYTES_MAX: u64 = 640 << 10;

/// Returns the commands of a session.
pub(super) fn commands(file: &ImageFile, requests: &[SessionRequest]) -> Vec<String> {
    let requests = requests.iter().enumerate();
    let commands = requests.map(|(index, request)| match request {
        SessionRequest::Write(one) => vec![write(file, index, one)],
        other => commands_of(other),
    });
    commands.flatten().collect()
}

/// Returns how many bytes a session reads.
pub(super) fn read_bytes(requests: &[SessionRequest]) -> u64 {
    let reads = singles(requests).filter(|request| request.is_read());
    let lengths = reads.filter_map(|request| Some(request.range()?.1));
    lengths.fold(0, u64::saturating_add)
}

/// Returns the command line by which qemu-io makes the requests of a session; it opens an image that is only read for reading.
pub(super) fn line(
    request: &Request,
    file: &ImageFile,
    requests: &[SessionRequest],
) -> Vec<String> {
    let line = qemu_io_words(file, commands(file, requests));
    match request.is_reading() {
        true => [words(["-r"]), line].concat(),
        false => line,
    }
}

/// Returns the commands of guest writes.
pub(super) fn writes(file: &ImageFile, writes: &[Write]) -> Vec<String> {
    let writes = writes.iter().enumerate();
    writes.map(|(index, one)| write(file, index, one)).collect()
}

/// Returns the commands as qemu-io reads them from standard input.
pub(super) fn input(commands: &[String]) -> Vec<u8> {
    let lines = commands.iter().flat_map(|command| [command, "\n"]);
    lines.collect::<String>().into_bytes()
}

/// Returns the command of the guest write with this index, whose data is in a file if it repeats no byte.
fn write(file: &ImageFile, index: usize, write: &Write) -> String {
    let (offset, length) = (write.offset, write.length);
    match write.fill {
        Fill::Byte(_) => repeated(write),
        // qemu-io reads no data for a write without length.
        Fill::Data(_) if length == 0 => repeated(&Write::repeated(offset, length, 1)),
        Fill::Data(_) => format!("write -s {} {offset} {length}", DataFile::name(file, index)),
    }
}

fn repeated(write: &Write) -> String {
    let byte = match write.fill {
        Fill::Byte(byte) => byte,
        // Those that are made together repeat bytes: qemu-io takes no data from a file for them.
        Fill::Data(_) => 1,
    };
    format!("write -P {byte} {} {}", write.offset, write.length)
}

fn commands_of(request: &SessionRequest) -> Vec<String> {
    match request {
        SessionRequest::Together { requests } => {
            let begun = requests.iter().map(|part| {
                // `aio_write` and `aio_read` take several lengths as they are.
                let plain = plain(part)
                    .replacen("writev", "write", 1)
                    .replacen("readv", "read", 1);
                format!("aio_{plain}")
            });
            begun.chain(["aio_flush".to_owned()]).collect()
        }
        SessionRequest::Resize { size } => vec![
            format!("truncate {size}"),
            format!("read {size} 0"),
            format!("read {} 0", size.saturating_add(1)),
        ],
        one => vec![plain(one)],
    }
}

/// Returns the command of a single request.
fn plain(request: &SessionRequest) -> String {
    let all = |lengths: &[u64]| {
        let lengths = lengths.iter().map(u64::to_string);
        lengths.collect::<Vec<_>>().join(" ")
    };
    match request {
        SessionRequest::Write(one) => repeated(one),
        SessionRequest::WriteVector {
            offset,
            lengths,
            byte,
        } => format!("writev -P {byte} {offset} {}", all(lengths)),
        SessionRequest::WriteZeroes {
            offset,
            length,
            unmap,
        } => {
            let unmap = if *unmap { "-u " } else { "" };
            format!("write -z {unmap}{offset} {length}")
        }
        SessionRequest::Discard { offset, length } => format!("discard {offset} {length}"),
        SessionRequest::Read { offset, length } => format!("read -v {offset} {length}"),
        SessionRequest::ReadVector { offset, lengths } => {
            format!("readv -v {offset} {}", all(lengths))
        }
        SessionRequest::Flush => "flush".to_owned(),
        SessionRequest::Resize { size } => format!("truncate {size}"),
        // Validity excludes one within another.
        SessionRequest::Together { .. } => "aio_flush".to_owned(),
    }
}

/// Parses what qemu-io printed for these requests; what is missing at the end has no outcome.
pub(super) fn outcomes(
    requests: &[SessionRequest],
    stdout: &str,
    stderr: &str,
) -> Vec<SessionOutcome> {
    let mut printed = pieces(stdout).into_iter();
    let mut found = Vec::new();
    for request in requests {
        let count = commands_of(request).len();
        let own: Vec<Vec<&str>> = printed.by_ref().take(count).collect();
        // The last prompt is that of the end of the input: a command is only done when there is one more.
        if own.len() < count || printed.len() == 0 {
            break;
        }
        match request {
            SessionRequest::Together { requests } => {
                let lines: Vec<&str> = own.concat();
                found.extend(requests.iter().map(|part| together(part, &lines)));
            }
            SessionRequest::Resize { .. } => found.push(resized(&own, stderr)),
            one => found.push(single(one, &own[0])),
        }
    }
    found
}

/// Splits the output into the lines that were printed after each prompt.
fn pieces(stdout: &str) -> Vec<Vec<&str>> {
    let mut pieces: Vec<Vec<&str>> = Vec::new();
    for line in stdout.lines() {
        let mut rest = line;
        while let Some(behind) = rest.strip_prefix(PROMPT) {
            pieces.push(Vec::new());
            rest = behind;
        }
        if let Some(piece) = pieces.last_mut().filter(|_| !rest.is_empty()) {
            piece.push(rest);
        }
    }
    pieces
}

fn single(request: &SessionRequest, lines: &[&str]) -> SessionOutcome {
    if matches!(request, SessionRequest::Flush) {
        return SessionOutcome::Done;
    }
    let done = lines.iter().position(|line| is_done(line));
    match done {
        None => {
            SessionOutcome::Refused(lines.first().copied().unwrap_or("no word of it").to_owned())
        }
        Some(end) if request.is_read() => read(&lines[..end], request),
        Some(_) => SessionOutcome::Done,
    }
}

/// The outcome of one of several requests: they end in any order, each with a line that names its range.
fn together(request: &SessionRequest, lines: &[&str]) -> SessionOutcome {
    let (offset, length) = request.range().unwrap_or_default();
    let verb = if request.is_read() { "read" } else { "wrote" };
    let told = format!("{verb} {length}/{length} bytes at offset {offset}");
    let Some(end) = lines.iter().position(|line| *line == told) else {
        let refusals = lines.iter().find(|line| line.contains("failed"));
        return SessionOutcome::Refused(refusals.copied().unwrap_or("no word of it").to_owned());
    };
    if !request.is_read() {
        return SessionOutcome::Done;
    }
    // The bytes of a request stand directly before its line.
    let start = lines[..end].iter().rposition(|line| parsed(line).is_none());
    read(&lines[start.map_or(0, |start| start + 1)..end], request)
}

fn resized(pieces: &[Vec<&str>], stderr: &str) -> SessionOutcome {
    let is_there = |lines: &Vec<&str>| lines.iter().any(|line| is_done(line));
    // An image of exactly this size can be read up to its end, and not behind.
    match is_there(&pieces[1]) && !is_there(&pieces[2]) {
        true => SessionOutcome::Done,
        false => SessionOutcome::Refused(stderr.lines().next().unwrap_or_default().to_owned()),
    }
}

/// Whether a line says that a request was performed in full: `wrote 512/512 bytes at offset 0`.
fn is_done(line: &str) -> bool {
    let mut words = line.split(' ');
    let is_verb = matches!(words.next(), Some("wrote" | "read" | "discard"));
    let counts = words.next().and_then(|counts| counts.split_once('/'));
    is_verb && counts.is_some_and(|(done, all)| done == all) && line.contains(" bytes at offset ")
}

/// The bytes of the dump that a read prints.
fn read(lines: &[&str], request: &SessionRequest) -> SessionOutcome {
    let (_, length) = request.range().unwrap_or_default();
    let bytes: Vec<u8> = lines
        .iter()
        .filter_map(|line| parsed(line))
        .flatten()
        .collect();
    if bytes.len() as u64 != length {
        return SessionOutcome::Refused(format!("{} of {length} bytes printed", bytes.len()));
    }
    SessionOutcome::Read(contents(&bytes))
}

/// What was read, as if it were an image of its own.
fn contents(bytes: &[u8]) -> Contents {
    let mut builder = ContentsBuilder::new(bytes.len() as u64);
    builder.add(0, bytes);
    builder.finish()
}

/// The bytes of a line of a dump: `000001f4:  11 11 12  ...`.
fn parsed(line: &str) -> Option<Vec<u8>> {
    let (address, rest) = line.split_once(":  ")?;
    u64::from_str_radix(address, 16).ok()?;
    let (digits, _) = rest.split_once("  ")?;
    let bytes = digits
        .split(' ')
        .map(|byte| u8::from_str_radix(byte, 16).ok());
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_qemu_io_prints_between_its_prompts_is_the_outcome_of_each_request() {
        let read = |offset, length| SessionRequest::Read { offset, length };
        let requests = [
            SessionRequest::Write(Write::repeated(0, 512, 17)),
            SessionRequest::Flush,
            read(508, 5),
            read(1 << 20, 1),
            SessionRequest::Resize { size: 2 << 20 },
            SessionRequest::Together {
                requests: vec![read(0, 1), read(511, 2)],
            },
            SessionRequest::Flush,
        ];
        let file = ImageFile::new("a", crate::image::format::Format::Raw);
        assert_eq!(commands(&file, &requests).len(), 11);
        let printed = "qemu-io> wrote 512/512 bytes at offset 0\n512 bytes, 1 ops; 00.00 sec (1)\n\
            qemu-io> qemu-io> 000001fc:  11 11 11 11 00  .....\nread 5/5 bytes at offset 508\n5 bytes\n\
            qemu-io> read failed: Input/output error\n\
            qemu-io> qemu-io> read 0/0 bytes at offset 2097152\n0 bytes\nqemu-io> read failed: Input/output error\n\
            qemu-io> qemu-io> qemu-io> 000001ff:  11 00  ..\nread 2/2 bytes at offset 511\n2 bytes\n\
            00000000:  11  .\nread 1/1 bytes at offset 0\n1 bytes\n\
            qemu-io> qemu-io> ";
        let expected = [
            SessionOutcome::Done,
            SessionOutcome::Done,
            SessionOutcome::Read(contents(&[17, 17, 17, 17, 0])),
            SessionOutcome::Refused("read failed: Input/output error".to_owned()),
            SessionOutcome::Done,
            SessionOutcome::Read(contents(&[17])),
            SessionOutcome::Read(contents(&[17, 0])),
            SessionOutcome::Done,
        ];
        assert_eq!(outcomes(&requests, printed, ""), expected);
        // A tool that died in the middle has answered what came before.
        let cut = printed.split_once("qemu-io> read failed").unwrap().0;
        assert_eq!(outcomes(&requests, cut, ""), expected[..2]);
    }
}
