mod regression;

use std::path::Path;

use async_reader::Image;
use imgduel::library::{Access, AsyncLibrary, Error, ImageFile, Info, Offer};

struct Candidate;

impl AsyncLibrary for Candidate {
    type Image = Image;

    fn capabilities(&self) -> Offer {
        Offer::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).reads(["raw"])
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
    }

    async fn open(&self, path: &Path, _: &ImageFile, _: Access) -> Result<Image, Error> {
        Ok(Image::open(path).await?)
    }

    async fn info(&self, image: &mut Image) -> Result<Info, Error> {
        Ok(Info::of_size(image.size))
    }

    async fn read(&self, image: &mut Image, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        Ok(image.read(offset, buffer).await?)
    }
}

imgduel::harness! { async_candidate = Candidate }
