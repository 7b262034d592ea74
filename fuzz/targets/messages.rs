//! The messages between imgduel and what starts tools for it, in both directions: replies, setups, calls.

#![no_main]

use imgduel_preload::inbox::{Inbox, NO_DESCRIPTORS};
use imgduel_preload::protocol::Reply;
use imgduel_preload::setup::Setup;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(reply) = Reply::decode(data) {
        assert_eq!(Reply::decode(&reply.encode()), Some(reply));
    }
    let _ = Setup::parse(data);
    let mut inbox = Box::new(Inbox::new());
    let Some(call) = inbox.hold(data, NO_DESCRIPTORS) else {
        return;
    };
    assert!(call.limits().count() <= data.len());
    let count = call.count() as usize;
    // SAFETY: the list has as many words as the call has arguments, and a null pointer behind them.
    let words = unsafe { std::slice::from_raw_parts(call.arguments, count + 1) };
    assert!(words[count].is_null() && words[..count].iter().all(|word| !word.is_null()));
});
