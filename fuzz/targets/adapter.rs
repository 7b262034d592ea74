//! What an adapter says: who it is, and its answers; and the requests that a worker is asked.

#![no_main]

use imgduel::tool::adapter::protocol::{Asked, Hello, Said};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (first, second) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let hello = serde_json::from_slice::<Hello>(first);
    let asked = serde_json::from_slice::<Asked>(second);
    if let (Ok(hello), Ok(Asked::Request { request, .. })) = (&hello, &asked) {
        let _ = hello.objection(request);
    }
    if let Ok(Asked::Request { request, .. }) = &asked {
        let _ = (request.name(), request.file(), request.is_reading());
    }
    if let (Ok(one), Ok(other)) = (
        serde_json::from_slice::<Said>(first),
        serde_json::from_slice::<Said>(second),
    ) && let (Some(one), Some(other)) = (&one.contents, &other.contents)
    {
        let _ = (
            one.difference(other),
            one.writes(),
            one.non_zero_bytes(),
            one.non_zero_ranges(),
        );
    }
});
