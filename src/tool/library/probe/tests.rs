//! Unit tests of `probe.rs`.

use super::*;
use crate::tool::library::hosting::{Delivery, Hosted};
use crate::tool::library::{Extent, Info};
use std::fs::File;
use std::ops::Range;

/// Reads the size of a raw image, maps it, and breaks when it is read.
struct Half;

impl Library for Half {
    type Image = File;

    fn capabilities(&self) -> Offer {
        Offer::new("half", "1").writes(["raw"]).reads(["qcow2"])
    }

    fn open(&self, path: &Path, _: &ImageFile, _: Access) -> Result<File> {
        Ok(File::open(path)?)
    }

    fn info(&self, image: &mut File) -> Result<Info> {
        Ok(Info::of_size(image.metadata()?.len()))
    }

    fn read(&self, _: &mut File, _: u64, _: &mut [u8]) -> Result<()> {
        panic!("it always does")
    }

    fn map(&self, _: &mut File, _: Range<u64>) -> Result<Vec<Extent>> {
        Err(Error::refused("not today"))
    }
}

#[test]
fn a_method_that_is_missing_is_a_capability_that_is_missing() {
    let hello = Half.hello();
    let can: Vec<&str> = hello.can.keys().map(String::as_str).collect();
    // What panics and what refuses is there.
    assert_eq!(can, ["compare", "contents", "info", "map", "session"]);
    assert_eq!(hello.can["info"], ["raw", "qcow2"]);
}

#[test]
fn a_missing_method_that_is_asked_for_all_the_same_is_unsupported() {
    let directory = tempfile::tempdir().unwrap();
    let file = ImageFile::new("a", Format::Raw);
    std::fs::write(directory.path().join(&file.path), [0; 512]).unwrap();
    let request = Request::Check { file };
    let response = Half.answer(&request, directory.path(), Delivery::Inside);
    assert_eq!(response.unsupported.as_deref(), Some("half has no check"));
    assert_eq!(response.refused, None);
}
