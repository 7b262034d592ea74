//! Requests as readable calls of the imago crate: the lines of a reproducer. Nothing is run.

use crate::image::content::{Fill, Write};
use crate::image::options::Preallocation;
use crate::tool::FLAT_SUFFIX;
use crate::tool::request::{DataFile, ImageFile, Request, SessionRequest, Window};

/// The program around the calls. It makes the same calls as [`library`](super::library).
pub(super) const TEMPLATE: &str = include_str!("reproducer.rs.in");

/// Returns the call for a request; `None` if imago has none.
pub(super) fn call(request: &Request) -> Option<String> {
    match request {
        Request::Info { file } => Some(format!("info({})", both(file))),
        Request::Map { file, window } => {
            let Window { start, length } = window;
            Some(format!("map({}, {start:?}, {length:?})", both(file)))
        }
        Request::Session { file, requests } => Some(session(request, file, requests)),
        // The call prints nothing.
        other => Some(format!("{}.map(|()| String::new())", silent_call(other)?)),
    }
}

fn both(file: &ImageFile) -> String {
    format!("{:?}, {:?}", file.path, file.format.name())
}

fn options(file: &ImageFile) -> String {
    let options = file.options.iter().map(ToString::to_string);
    format!("{:?}", options.collect::<Vec<String>>())
}

/// Returns the call for a request whose answer has no report.
fn silent_call(request: &Request) -> Option<String> {
    Some(match request {
        Request::Create { file, size } => {
            let (size, both, options) = (size.bytes(), both(file), options(file));
            format!("create({both}, {size}, &{options}).map(drop)")
        }
        Request::Contents { file } => {
            let flat = file.path.clone() + FLAT_SUFFIX;
            format!("flatten({}, {flat:?})", both(file))
        }
        Request::Convert { source, target, .. } => {
            let (from, to, options) = (both(source), both(target), options(target));
            format!("convert({from}, {to}, &{options})")
        }
        Request::Resize {
            file,
            end_bytes,
            preallocation,
            ..
        } => {
            let is_overlay = file.backing.is_some();
            let preallocation = preallocation.map(Preallocation::name);
            let both = both(file);
            format!("resize({both}, {end_bytes}, {preallocation:?}, {is_overlay})")
        }
        Request::WriteZeroes {
            file,
            offset,
            length,
            unmap: false,
        } => format!("write_zeroes({}, {offset}, {length})", both(file)),
        Request::WriteZeroes {
            file,
            offset,
            length,
            ..
        }
        | Request::Discard {
            file,
            offset,
            length,
        } => format!("discard({}, {offset}, {length})", both(file)),
        Request::Write { file, writes } => {
            let bytes = writes.iter().map(|write| match write.fill {
                Fill::Byte(byte) => Some((write.offset, write.length, byte)),
                Fill::Data(_) => None,
            });
            match bytes.collect::<Option<Vec<_>>>() {
                Some(writes) => format!("write({}, &{writes:?})", both(file)),
                None => written_data(file, writes),
            }
        }
        _ => return None,
    })
}

/// Returns the calls of a session, each of which tells what came of it.
fn session(request: &Request, file: &ImageFile, requests: &[SessionRequest]) -> String {
    let both = both(file);
    let parts = requests.iter().enumerate().flat_map(|(index, request)| {
        let parts = request.parts().iter();
        parts.map(move |part| in_session(file, index, part))
    });
    let parts: String = parts.map(|part| format!("        {part},\n")).collect();
    let (is_written, flush) = match request.is_reading() {
        true => (false, ""),
        false => (true, "        image.flush()?;\n"),
    };
    format!(
        "{{\n        let mut image = open({both}, {is_written})?;\n        let told = [\n{parts}        ];\n{flush}        Ok(told.concat())\n    }}"
    )
}

/// Returns the call of one request of a session.
fn in_session(file: &ImageFile, index: usize, request: &SessionRequest) -> String {
    match request {
        SessionRequest::Write(write) => {
            let bytes = match write.fill {
                Fill::Data(_) if write.length > 0 => {
                    format!("std::fs::read({:?})?", DataFile::name(file, index))
                }
                Fill::Data(_) => "Vec::new()".to_owned(),
                Fill::Byte(byte) => format!("vec![{byte}; {}]", write.length),
            };
            format!("done(image.write(&{bytes}[..], {}))", write.offset)
        }
        SessionRequest::WriteVector {
            offset,
            lengths,
            byte,
        } => format!("write_vector(&image, {offset}, &{lengths:?}, {byte})"),
        SessionRequest::WriteZeroes {
            offset,
            length,
            unmap: false,
        } => format!("done(image.write_zeroes({offset}, {length}))"),
        SessionRequest::WriteZeroes { offset, length, .. }
        | SessionRequest::Discard { offset, length } => {
            format!("done(image.discard_to_zero({offset}, {length}))")
        }
        SessionRequest::Read { offset, length } => format!("read(&image, {offset}, &[{length}])"),
        SessionRequest::ReadVector { offset, lengths } => {
            format!("read(&image, {offset}, &{lengths:?})")
        }
        SessionRequest::Flush => "done(image.flush())".to_owned(),
        SessionRequest::Resize { size } => {
            let is_overlay = file.backing.is_some();
            format!("resized(&mut image, {size}, {is_overlay})")
        }
        // Validity excludes one within another.
        SessionRequest::Together { .. } => "String::new()".to_owned(),
    }
}

/// Returns the call for writes of which some have their data in a file.
fn written_data(file: &ImageFile, writes: &[Write]) -> String {
    let parts = writes.iter().enumerate().map(|(index, write)| {
        let Write {
            offset,
            length,
            fill,
        } = write;
        match fill {
            Fill::Byte(byte) => format!("({offset}, vec![{byte}; {length}])"),
            Fill::Data(_) => format!(
                "({offset}, std::fs::read({:?})?)",
                DataFile::name(file, index)
            ),
        }
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    format!("write_data({}, &[{parts}])", both(file))
}
