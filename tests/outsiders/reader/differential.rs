mod regression;

use std::path::Path;

use imgduel::library::{Access, Error, ImageFile, Info, Library, Offer};
use own_reader::Image;

struct Candidate;

impl Library for Candidate {
    type Image = Image;

    fn capabilities(&self) -> Offer {
        let offer = Offer::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).reads(["qcow2"]);
        offer.lacks("qcow2", "extended_l2=on", "extended L2 entries")
    }

    fn open(&self, path: &Path, _: &ImageFile, _: Access) -> Result<Image, Error> {
        Ok(Image::open(path)?)
    }

    fn info(&self, image: &mut Image) -> Result<Info, Error> {
        Ok(Info::of_size(image.size))
    }

    fn read(&self, image: &mut Image, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        Ok(image.read(offset, buffer)?)
    }
}

imgduel::harness! { candidate = Candidate }
