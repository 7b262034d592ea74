//! Sessions of a library: many requests on one open image, made of its own methods.
//!
//! [`Library::session`](super::Library::session) does this unless a library has something of its own. Nothing here opens an image.

use super::{Error, Library, Resize, Result};
use crate::image::content::ContentsBuilder;
use crate::tool::request::{ImageFile, SessionOutcome, SessionRequest, singles};

/// What came of one request of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was performed, and nothing was read.
    Done,
    /// The bytes that were read.
    Read(Vec<u8>),
    /// It was refused, with this message.
    Refused(String),
}

impl Outcome {
    /// Returns the outcome of a call: a refusal is one, any other error ends the session.
    pub fn of_call(called: Result<Self>) -> Result<Self> {
        match called {
            Err(Error::Refused(why)) => Ok(Self::Refused(why)),
            called => called,
        }
    }
}

impl From<Outcome> for SessionOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Refused(why) => Self::Refused(why),
            Outcome::Read(bytes) => {
                let mut builder = ContentsBuilder::new(bytes.len() as u64);
                builder.add(0, &bytes);
                Self::Read(builder.finish())
            }
        }
    }
}

/// Makes the requests one after another, by the library's other methods: what [`Library::session`] does by default.
pub fn one_by_one<L: Library + ?Sized>(
    library: &L,
    image: &mut L::Image,
    file: &ImageFile,
    requests: &[SessionRequest],
) -> Result<Vec<Outcome>> {
    let outcomes =
        singles(requests).map(|request| Outcome::of_call(called(library, image, file, request)));
    outcomes.collect()
}

fn called<L: Library + ?Sized>(
    library: &L,
    image: &mut L::Image,
    file: &ImageFile,
    request: &SessionRequest,
) -> Result<Outcome> {
    match request {
        SessionRequest::Write(write) => library.write(image, write.offset, &write.bytes()),
        SessionRequest::WriteVector {
            offset,
            lengths,
            byte,
        } => {
            let pieces: Vec<Vec<u8>> = lengths
                .iter()
                .map(|length| vec![*byte; *length as usize])
                .collect();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            library.write_vector(image, *offset, &pieces)
        }
        SessionRequest::WriteZeroes {
            offset,
            length,
            unmap,
        } => library.zero(image, *offset, *length, *unmap),
        SessionRequest::Discard { offset, length } => library.discard(image, *offset, *length),
        SessionRequest::Read { offset, length } => {
            let mut bytes = vec![0; *length as usize];
            library.read(image, *offset, &mut bytes)?;
            return Ok(Outcome::Read(bytes));
        }
        SessionRequest::ReadVector { offset, lengths } => {
            let mut pieces: Vec<Vec<u8>> = lengths
                .iter()
                .map(|length| vec![0; *length as usize])
                .collect();
            let mut parts: Vec<&mut [u8]> = pieces.iter_mut().map(Vec::as_mut_slice).collect();
            library.read_vector(image, *offset, &mut parts)?;
            return Ok(Outcome::Read(pieces.concat()));
        }
        SessionRequest::Flush => library.flush(image),
        SessionRequest::Resize { size } => {
            let before = library.info(image)?.virtual_size;
            let resize = Resize {
                end_bytes: *size,
                shrink: *size < before,
                preallocation: None,
                is_overlay: file.backing.is_some(),
            };
            library.resize(image, &resize)
        }
        // Validity excludes one within another.
        SessionRequest::Together { .. } => Ok(()),
    }
    .map(|()| Outcome::Done)
}
