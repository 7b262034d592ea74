mod regression;

use std::path::Path;

use imgduel::library::{Access, Error, ImageFile, Info, Library, Offer};
use byte_disks::Disk;

struct Candidate;

impl Library for Candidate {
    type Image = Disk;

    fn capabilities(&self) -> Offer {
        Offer::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).writes(["vhdx"])
    }

    fn open(&self, path: &Path, _: &ImageFile, access: Access) -> Result<Disk, Error> {
        Ok(Disk::open(path, access == Access::Write)?)
    }

    fn info(&self, image: &mut Disk) -> Result<Info, Error> {
        Ok(Info::of_size(image.size))
    }

    fn read(&self, image: &mut Disk, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        Ok(image.read(offset, buffer)?)
    }

    fn create(&self, path: &Path, _: &ImageFile, size: u64) -> Result<Disk, Error> {
        Ok(Disk::create(path, size)?)
    }

    fn write(&self, image: &mut Disk, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        Ok(image.write(offset, bytes)?)
    }
}

imgduel::harness! { candidate = Candidate }
