//! Sessions: many requests on one open image, and those that are made together truly so.
//!
//! Half of them are futures of one thread that are awaited together, the others run in a thread each: imago reads and writes files without giving
//! way to other futures, so that only threads meet within a request.

use std::thread;

use futures::future::join_all;
use imago::format::PreallocateMode;
use imago::io_buffers::{IoVector, IoVectorMut};
use imgduel::library::{ImageFile, Outcome, Result, SessionRequest};

use crate::library::{Image, Opened, run};

/// Makes the requests of a session in order.
pub async fn made(
    opened: &mut Opened,
    file: &ImageFile,
    requests: &[SessionRequest],
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        match request {
            SessionRequest::Together { requests } if index % 2 == 0 => {
                let all = requests.iter().map(|one| shared(&opened.image, one));
                let mut together = join_all(all).await;
                if cfg!(feature = "canary") {
                    together.reverse();
                }
                outcomes.extend(together);
            }
            SessionRequest::Together { requests } => {
                outcomes.extend(in_threads(&opened.image, requests));
            }
            one => outcomes.push(alone(&mut opened.image, file, one).await),
        }
    }
    Ok(outcomes)
}

/// Makes requests in a thread each.
fn in_threads(image: &Image, requests: &[SessionRequest]) -> Vec<Outcome> {
    thread::scope(|scope| {
        let threads = requests.iter().map(|request| {
            let call = move || run(shared(image, request));
            scope.spawn(call)
        });
        let threads: Vec<_> = threads.collect();
        let outcomes = threads.into_iter().map(|thread| match thread.join() {
            Ok(outcome) => outcome,
            // A panic is one of the whole session, as where no other thread is.
            Err(panic) => std::panic::resume_unwind(panic),
        });
        outcomes.collect()
    })
}

fn outcome(done: std::io::Result<()>) -> Outcome {
    match done {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

/// Makes a request that needs the image for itself, or any other.
async fn alone(image: &mut Image, file: &ImageFile, request: &SessionRequest) -> Outcome {
    match request {
        SessionRequest::WriteZeroes {
            offset,
            length,
            unmap: true,
        }
        | SessionRequest::Discard { offset, length } => {
            outcome(image.discard_to_zero(*offset, *length).await)
        }
        SessionRequest::Resize { size } => {
            // A longer backing file must not show through.
            let mode = match file.backing {
                Some(_) => PreallocateMode::Zero,
                None => PreallocateMode::None,
            };
            outcome(image.resize(*size, mode).await)
        }
        // As qemu-io's flush: out of imago's caches, and into the file.
        SessionRequest::Flush => match image.flush().await {
            Ok(()) => outcome(image.sync().await),
            refused => outcome(refused),
        },
        one => shared(image, one).await,
    }
}

/// Makes a request that may be made with others.
async fn shared(image: &Image, request: &SessionRequest) -> Outcome {
    match request {
        SessionRequest::Write(write) => {
            let bytes = write.bytes();
            outcome(image.write(&bytes[..], write.offset).await)
        }
        SessionRequest::WriteVector {
            offset,
            lengths,
            byte,
        } => {
            let buffers = buffers(lengths, *byte);
            let mut vector = IoVector::new();
            // imago takes no buffer without length.
            let filled = buffers.iter().filter(|buffer| !buffer.is_empty());
            filled.for_each(|buffer| vector.push(buffer));
            outcome(image.writev(vector, *offset).await)
        }
        SessionRequest::WriteZeroes { offset, length, .. } => {
            outcome(image.write_zeroes(*offset, *length).await)
        }
        SessionRequest::Read { offset, length } => read(image, *offset, &[*length]).await,
        SessionRequest::ReadVector { offset, lengths } => read(image, *offset, lengths).await,
        // Validity excludes the others among those that are made together.
        SessionRequest::Discard { .. }
        | SessionRequest::Flush
        | SessionRequest::Resize { .. }
        | SessionRequest::Together { .. } => Outcome::Done,
    }
}

fn buffers(lengths: &[u64], byte: u8) -> Vec<Vec<u8>> {
    let buffers = lengths.iter().map(|length| vec![byte; *length as usize]);
    buffers.collect()
}

async fn read(image: &Image, offset: u64, lengths: &[u64]) -> Outcome {
    let mut buffers = buffers(lengths, 0);
    let mut vector = IoVectorMut::new();
    let filled = buffers.iter_mut().filter(|buffer| !buffer.is_empty());
    filled.for_each(|buffer| vector.push(buffer));
    let done = image.readv(vector, offset).await;
    match done {
        Ok(()) => Outcome::Read(buffers.concat()),
        Err(error) => Outcome::Refused(error.to_string()),
    }
}
