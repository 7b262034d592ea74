//! Libraries with asynchronous methods: the same interface with futures, and how it is called from the worker's thread.
//!
//! No executor is brought along. What needs one of a certain kind starts it in [`AsyncLibrary::block_on`].

use std::future::{Future, ready};
use std::ops::Range;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::session::one_by_one;
use super::{Access, Error, Extent, Info, Library, Offer, Outcome, Resize, Result};
use crate::tool::request::{CheckCounts, ImageFile, Request, SessionRequest};
use crate::tool::{Reproducer, Support};

/// Wakes a thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread, which sleeps while the future waits.
pub fn block_on<Output>(future: impl Future<Output = Output>) -> Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

/// A [`Library`] whose methods are asynchronous: write them as `async fn`.
///
/// ```
/// use std::path::Path;
///
/// use imgduel::library::{Access, AsyncLibrary, Error, ImageFile, Info, Offer};
///
/// struct Empty;
///
/// impl AsyncLibrary for Empty {
///     type Image = u64;
///
///     fn capabilities(&self) -> Offer {
///         Offer::new("empty", "0.1.0").reads(["raw"])
///     }
///
///     async fn open(&self, path: &Path, _: &ImageFile, _: Access) -> Result<u64, Error> {
///         Ok(std::fs::metadata(path)?.len())
///     }
///
///     async fn info(&self, image: &mut u64) -> Result<Info, Error> {
///         Ok(Info::of_size(*image))
///     }
/// }
/// ```
#[allow(
    unused_variables,
    reason = "a default method has the names of its arguments for its documentation"
)]
pub trait AsyncLibrary: Send + Sync + 'static {
    /// An open image.
    type Image;

    /// As [`Library::capabilities`].
    fn capabilities(&self) -> Offer;

    /// Runs a future to its end. The default needs no executor; a library whose futures need one runs them there, such as in a runtime of tokio.
    fn block_on<Output>(&self, future: impl Future<Output = Output>) -> Output {
        block_on(future)
    }

    /// As [`Library::open`].
    fn open(
        &self,
        path: &Path,
        file: &ImageFile,
        access: Access,
    ) -> impl Future<Output = Result<Self::Image>>;

    /// As [`Library::create`].
    fn create(
        &self,
        path: &Path,
        file: &ImageFile,
        size: u64,
    ) -> impl Future<Output = Result<Self::Image>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::info`].
    fn info(&self, image: &mut Self::Image) -> impl Future<Output = Result<Info>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::read`].
    fn read(
        &self,
        image: &mut Self::Image,
        offset: u64,
        buffer: &mut [u8],
    ) -> impl Future<Output = Result<()>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::write`].
    fn write(
        &self,
        image: &mut Self::Image,
        offset: u64,
        bytes: &[u8],
    ) -> impl Future<Output = Result<()>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::session`]. `None` leaves it to the other methods, one after another.
    fn session(
        &self,
        image: &mut Self::Image,
        file: &ImageFile,
        requests: &[SessionRequest],
    ) -> impl Future<Output = Option<Result<Vec<Outcome>>>> {
        ready(None)
    }

    /// As [`Library::zero`].
    fn zero(
        &self,
        image: &mut Self::Image,
        offset: u64,
        length: u64,
        unmap: bool,
    ) -> impl Future<Output = Result<()>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::discard`].
    fn discard(
        &self,
        image: &mut Self::Image,
        offset: u64,
        length: u64,
    ) -> impl Future<Output = Result<()>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::resize`].
    fn resize(&self, image: &mut Self::Image, resize: &Resize) -> impl Future<Output = Result<()>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::map`].
    fn map(
        &self,
        image: &mut Self::Image,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Vec<Extent>>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::check`].
    fn check(&self, image: &mut Self::Image) -> impl Future<Output = Result<CheckCounts>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::flush`].
    fn flush(&self, image: &mut Self::Image) -> impl Future<Output = Result<()>> {
        ready(Ok(()))
    }

    /// As [`Library::data`].
    fn data(&self, image: &mut Self::Image) -> impl Future<Output = Result<Vec<Range<u64>>>> {
        ready(Err(Error::missing()))
    }

    /// As [`Library::support`].
    fn support(&self, request: &Request) -> Option<Support> {
        None
    }

    /// As [`Library::reproducer`].
    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        None
    }
}

/// An asynchronous library as a [`Library`]: each call blocks until its future has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocking<L>(pub L);

impl<L: AsyncLibrary> Library for Blocking<L> {
    type Image = L::Image;

    fn capabilities(&self) -> Offer {
        self.0.capabilities()
    }

    fn open(&self, path: &Path, file: &ImageFile, access: Access) -> Result<Self::Image> {
        self.0.block_on(self.0.open(path, file, access))
    }

    fn create(&self, path: &Path, file: &ImageFile, size: u64) -> Result<Self::Image> {
        self.0.block_on(self.0.create(path, file, size))
    }

    fn info(&self, image: &mut Self::Image) -> Result<Info> {
        self.0.block_on(self.0.info(image))
    }

    fn read(&self, image: &mut Self::Image, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.block_on(self.0.read(image, offset, buffer))
    }

    fn write(&self, image: &mut Self::Image, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0.block_on(self.0.write(image, offset, bytes))
    }

    fn session(
        &self,
        image: &mut Self::Image,
        file: &ImageFile,
        requests: &[SessionRequest],
    ) -> Result<Vec<Outcome>> {
        let own = self.0.block_on(self.0.session(image, file, requests));
        own.unwrap_or_else(|| one_by_one(self, image, file, requests))
    }

    fn zero(&self, image: &mut Self::Image, offset: u64, length: u64, unmap: bool) -> Result<()> {
        self.0.block_on(self.0.zero(image, offset, length, unmap))
    }

    fn discard(&self, image: &mut Self::Image, offset: u64, length: u64) -> Result<()> {
        self.0.block_on(self.0.discard(image, offset, length))
    }

    fn resize(&self, image: &mut Self::Image, resize: &Resize) -> Result<()> {
        self.0.block_on(self.0.resize(image, resize))
    }

    fn map(&self, image: &mut Self::Image, range: Range<u64>) -> Result<Vec<Extent>> {
        self.0.block_on(self.0.map(image, range))
    }

    fn check(&self, image: &mut Self::Image) -> Result<CheckCounts> {
        self.0.block_on(self.0.check(image))
    }

    fn flush(&self, image: &mut Self::Image) -> Result<()> {
        self.0.block_on(self.0.flush(image))
    }

    fn data(&self, image: &mut Self::Image) -> Result<Vec<Range<u64>>> {
        self.0.block_on(self.0.data(image))
    }

    fn support(&self, request: &Request) -> Option<Support> {
        self.0.support(request)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        self.0.reproducer(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_future_that_another_thread_wakes_comes_to_its_end() {
        let mut is_begun = false;
        let later = std::future::poll_fn(move |context| {
            if is_begun {
                return Poll::Ready(7);
            }
            is_begun = true;
            let waker = context.waker().clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                waker.wake();
            });
            Poll::Pending
        });
        assert_eq!(block_on(later), 7);
    }
}
