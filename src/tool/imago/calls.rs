//! Requests as readable calls of the imago crate: the lines of a reproducer. Nothing is run.

use crate::image::content::{Fill, Write};
use crate::image::options::Preallocation;
use crate::tool::FLAT_SUFFIX;
use crate::tool::request::{DataFile, ImageFile, Request, Window};

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
