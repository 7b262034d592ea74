//! Sessions: many requests to one open volume.

use std::path::Path;

use super::Done;
use super::changes::open;
use crate::disk_format::plain::Volume;
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::ContentsBuilder;
use crate::image::format::SECTOR_BYTES;
use crate::tool::request::{ImageFile, SessionOutcome, SessionRequest, singles};

pub(super) fn answered(
    file: &ImageFile,
    requests: &[SessionRequest],
    directory: &Path,
) -> Result<Done, Unparsable> {
    let mut volume = open(file, directory)?;
    let outcomes = singles(requests).map(|request| {
        let done = outcome(&mut volume, request);
        done.unwrap_or_else(|why| SessionOutcome::Refused(why.to_string()))
    });
    let outcomes = outcomes.collect();
    if !requests.iter().all(SessionRequest::is_read) {
        volume.save(false)?;
    }
    Ok(Done {
        session: Some(outcomes),
        ..Done::default()
    })
}

fn outcome(volume: &mut Volume, request: &SessionRequest) -> Result<SessionOutcome, Unparsable> {
    if let Some((offset, length)) = request.range() {
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > volume.size) {
            return Err(Unparsable::new("it reaches out of the image"));
        }
        if request.is_read() {
            let mut bytes = vec![0; length as usize];
            volume.read(offset, &mut bytes)?;
            let mut builder = ContentsBuilder::new(length);
            builder.add(0, &bytes);
            return Ok(SessionOutcome::Read(builder.finish()));
        }
        if length == 0 {
            return Ok(SessionOutcome::Done);
        }
    }
    match request {
        SessionRequest::Write(write) => {
            volume.write(write.offset, &write.bytes())?;
        }
        SessionRequest::WriteVector {
            offset,
            lengths,
            byte,
        } => {
            let mut offset = *offset;
            for length in lengths {
                volume.write(offset, &vec![*byte; *length as usize])?;
                offset += length;
            }
        }
        SessionRequest::WriteZeroes {
            offset,
            length,
            unmap,
        } => volume.zero(*offset, *length, !unmap)?,
        SessionRequest::Discard { offset, length } => volume.zero(*offset, *length, false)?,
        SessionRequest::Resize { size } if !size.is_multiple_of(SECTOR_BYTES) => {
            return Err(Unparsable::new("the size is no multiple of 512"));
        }
        SessionRequest::Resize { size } => volume.resize(*size)?,
        SessionRequest::Read { .. }
        | SessionRequest::ReadVector { .. }
        | SessionRequest::Flush
        | SessionRequest::Together { .. } => {}
    }
    Ok(SessionOutcome::Done)
}
