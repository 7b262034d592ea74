//! Requests as readable calls of the imago crate: the lines of a reproducer. Nothing is run.

use crate::image::options::Preallocation;
use crate::tool::FLAT_SUFFIX;
use crate::tool::request::{ImageFile, Request, Window};

/// The program around the calls. It makes the same calls as [`library`](super::library).
pub(super) const TEMPLATE: &str = include_str!("reproducer.rs.in");

/// Returns the call for a request; `None` if imago has none.
pub(super) fn call(request: &Request) -> Option<String> {
    let both = |file: &ImageFile| format!("{:?}, {:?}", file.path, file.format.name());
    let options = |file: &ImageFile| {
        let options = file.options.iter().map(ToString::to_string);
        format!("{:?}", options.collect::<Vec<String>>())
    };
    let told = match request {
        Request::Info { file } => Some(format!("info({})", both(file))),
        Request::Map { file, window } => {
            let Window { start, length } = window;
            Some(format!("map({}, {start:?}, {length:?})", both(file)))
        }
        _ => None,
    };
    if told.is_some() {
        return told;
    }
    let done = match request {
        Request::Create { file, size } => {
            let size = size.bytes();
            format!(
                "create({}, {size}, &{}).map(drop)",
                both(file),
                options(file)
            )
        }
        Request::Contents { file } => {
            format!(
                "flatten({}, {:?})",
                both(file),
                file.path.clone() + FLAT_SUFFIX
            )
        }
        Request::Convert { source, target, .. } => {
            format!(
                "convert({}, {}, &{})",
                both(source),
                both(target),
                options(target)
            )
        }
        Request::Resize {
            file,
            end_bytes,
            preallocation,
            ..
        } => {
            let is_overlay = file.backing.is_some();
            let preallocation = preallocation.map(Preallocation::name);
            format!(
                "resize({}, {end_bytes}, {preallocation:?}, {is_overlay})",
                both(file)
            )
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
            let writes = writes.iter();
            let writes: Vec<_> = writes
                .map(|write| (write.offset, write.length, write.byte))
                .collect();
            format!("write({}, &{writes:?})", both(file))
        }
        _ => return None,
    };
    // The call prints nothing.
    Some(format!("{done}.map(|()| String::new())"))
}
