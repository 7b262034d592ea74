//! Which methods a library has: each is called once on an image of its own, with nothing to do.
//!
//! The worker probes when it introduces itself. A method that is not implemented says so; whatever else one answers, it is there. Where no image can be made
//! for a format, all methods count as there, and a missing one answers at its first request.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use super::{Access, Error, Library, Offer, Resize, Result};
use crate::base::size::Size;
use crate::image::format::Format;
use crate::process::SandboxPolicy;
use crate::tool::request::{ImageFile, Request};
use crate::tool::{CallContext, model};

/// The size in bytes of the images that a probe makes.
const PROBE_BYTES: u64 = 1 << 20;

/// Returns the names of the requests for which the library has not all methods.
pub(super) fn missing<L: Library>(library: &L, offer: &Offer) -> BTreeSet<&'static str> {
    let Ok(directory) = tempfile::Builder::new()
        .prefix("probe")
        .tempdir_in(std::env::current_dir().unwrap_or_default())
    else {
        return BTreeSet::new();
    };
    let mut found = BTreeSet::new();
    let written: Vec<Format> = offer.formats("write").collect();
    for format in offer.formats("info") {
        let file = ImageFile::new("probe", format);
        let path = directory.path().join(&file.path);
        let is_written = written.contains(&format);
        if is_written && lacks(|| library.create(&path, &file, PROBE_BYTES).map(drop)) {
            found.extend(["create", "convert"]);
        }
        if !path.exists() && !made_by_model(&file, directory.path()) {
            continue;
        }
        let access = match is_written {
            true => Access::Write,
            false => Access::Read,
        };
        let opened = catch_unwind(AssertUnwindSafe(|| library.open(&path, &file, access)));
        if let Ok(Ok(image)) = opened {
            of_image(library, image, is_written, &mut found);
        }
    }
    found
}

/// Adds the requests for which an open image has no methods.
fn of_image<L: Library>(
    library: &L,
    mut image: L::Image,
    is_written: bool,
    found: &mut BTreeSet<&'static str>,
) {
    if lacks(|| library.info(&mut image).map(drop)) {
        found.extend(["info", "contents", "compare", "convert", "map", "session"]);
    }
    if lacks(|| library.read(&mut image, 0, &mut [])) {
        found.extend(["contents", "compare", "convert", "session"]);
    }
    if lacks(|| library.map(&mut image, 0..0).map(drop)) {
        found.insert("map");
    }
    if lacks(|| library.check(&mut image).map(drop)) {
        found.insert("check");
    }
    if !is_written {
        return;
    }
    if lacks(|| library.write(&mut image, 0, &[])) {
        found.extend(["write", "convert"]);
    }
    if lacks(|| library.zero(&mut image, 0, 0, false)) {
        found.insert("write_zeroes");
    }
    if lacks(|| library.discard(&mut image, 0, 0)) {
        found.insert("discard");
    }
    let same = Resize {
        end_bytes: PROBE_BYTES,
        shrink: false,
        preallocation: None,
        is_overlay: false,
    };
    if lacks(|| library.resize(&mut image, &same)) {
        found.insert("resize");
    }
}

/// Whether a method says that it is missing. A panic says that it is there.
fn lacks(call: impl FnOnce() -> Result<()>) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_ok_and(|called| called == Err(Error::Missing))
}

/// Makes an image of a format that the model writes. Returns whether it did.
fn made_by_model(file: &ImageFile, directory: &Path) -> bool {
    let model = model::tool();
    let request = Request::Create {
        file: file.clone(),
        size: Size::of_bytes(PROBE_BYTES),
    };
    let call_context = CallContext {
        directory,
        limit: Duration::MAX,
        grace: Duration::ZERO,
        sandbox: &SandboxPolicy::OPEN,
        memory_bytes_max: None,
    };
    let is_known = model.support(&request) == crate::tool::Support::Yes;
    is_known
        && model
            .ask(&request, &call_context)
            .is_ok_and(|answer| answer.succeeded())
}

#[cfg(test)]
mod tests;
