//! Messages of a socket of sequenced packets, with descriptors.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use super::{EINTR, call, number};
use crate::protocol::DESCRIPTORS_MAX;

const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const SOL_SOCKET: c_int = 1;
const SCM_RIGHTS: c_int = 1;

/// The length of a control message without its descriptors (cmsg(3)).
const CONTROL_HEAD_BYTES: usize = 16;

/// `struct cmsghdr` with room for a message's descriptors.
#[repr(C, align(8))]
struct Control {
    length: usize,
    level: c_int,
    kind: c_int,
    descriptors: [c_int; DESCRIPTORS_MAX],
}

impl Control {
    const EMPTY: Self = Self {
        length: 0,
        level: 0,
        kind: 0,
        descriptors: [-1; DESCRIPTORS_MAX],
    };

    /// The descriptors that came, at their beginning.
    fn descriptors(&self) -> &[c_int] {
        let bytes = match (self.level, self.kind) {
            (SOL_SOCKET, SCM_RIGHTS) => self.length.saturating_sub(CONTROL_HEAD_BYTES),
            _ => 0,
        };
        let count = (bytes / size_of::<c_int>()).min(DESCRIPTORS_MAX);
        &self.descriptors[..count]
    }
}

/// `struct iovec` (readv(2)).
#[repr(C)]
struct IoVector {
    base: *mut c_void,
    length: usize,
}

/// `struct msghdr` (recvmsg(2)).
#[repr(C)]
struct MessageHeader {
    name: *mut c_void,
    name_length: u32,
    vectors: *mut IoVector,
    vector_count: usize,
    control: *mut c_void,
    control_length: usize,
    flags: c_int,
}

/// Sends a message; whether there was somebody to take it.
pub fn send(socket: c_int, message: &[u8]) -> bool {
    let length = message.len();
    let arguments = [
        socket as usize,
        message.as_ptr() as usize,
        length,
        MSG_NOSIGNAL,
        0,
        0,
    ];
    // SAFETY: sendto(2) reads this many bytes, and no address.
    unsafe { call(number::SENDTO, arguments) == length as isize }
}

/// Waits for a message: how many of its bytes are in `room`, 0 at the end of the socket. Its descriptors are put at the beginning of
/// `descriptors`.
pub fn receive(
    socket: c_int,
    room: &mut [u8],
    descriptors: &mut [c_int; DESCRIPTORS_MAX],
) -> usize {
    let mut control = Control::EMPTY;
    let mut vector = IoVector {
        base: room.as_mut_ptr().cast(),
        length: room.len(),
    };
    let mut header = MessageHeader {
        name: null_mut(),
        name_length: 0,
        vectors: &raw mut vector,
        vector_count: 1,
        control: (&raw mut control).cast(),
        control_length: size_of::<Control>(),
        flags: 0,
    };
    loop {
        let arguments = [
            socket as usize,
            &raw mut header as usize,
            MSG_CMSG_CLOEXEC,
            0,
            0,
            0,
        ];
        // SAFETY: recvmsg(2) reads and writes the header, and writes the room and the control message that it tells of.
        let received = unsafe { call(number::RECVMSG, arguments) };
        if received >= 0 {
            let came = control.descriptors();
            descriptors[..came.len()].copy_from_slice(came);
            return (received as usize).min(room.len());
        }
        if received != EINTR {
            return 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_descriptors_are_taken_as_the_kernel_tells_of_and_there_is_room_for() {
        let control = |length, kind| Control {
            length,
            level: SOL_SOCKET,
            kind,
            descriptors: [5, 6, 7, 8],
        };
        assert_eq!(control(16 + 8, SCM_RIGHTS).descriptors(), [5, 6]);
        assert_eq!(control(16 + 400, SCM_RIGHTS).descriptors(), [5, 6, 7, 8]);
        assert!(control(0, SCM_RIGHTS).descriptors().is_empty());
        assert!(control(24, SCM_RIGHTS + 1).descriptors().is_empty());
    }
}
