//! What an adapter says: who it is, and its answers; and the requests that a worker is asked.

#![no_main]

use imgduel::tool::adapter::protocol::{Message, Hello, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (first, second) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let hello = serde_json::from_slice::<Hello>(first);
    let asked = serde_json::from_slice::<Message>(second);
    if let (Ok(hello), Ok(Message::Request { request, .. })) = (&hello, &asked) {
        let _ = hello.objection(request);
    }
    if let Ok(Message::Request { request, .. }) = &asked {
        let _ = (request.name(), request.file(), request.is_reading());
    }
    if let (Ok(one), Ok(other)) = (
        serde_json::from_slice::<Response>(first),
        serde_json::from_slice::<Response>(second),
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
