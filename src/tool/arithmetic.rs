//! Whether arithmetic that overflows is a panic in this build, as it is in the embedded libraries.
//!
//! Asked by the embedded tools, for the record: a library that wraps where it overflows is another than one that panics. Cargo.toml has the
//! checks on in every profile; whoever builds imgduel as a part of something else may not. It does not look into a library: a profile
//! may name one alone.

use std::cell::Cell;
use std::hint::black_box;
use std::panic;
use std::sync::OnceLock;

/// How the embedded libraries were built, as far as it changes what they do.
pub(super) fn build() -> &'static str {
    match is_checked() {
        true => "overflow checks on",
        false => "overflow checks off",
    }
}

thread_local! {
    static IS_BEING_ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Found out by overflowing once: no compiler says it to the code that it compiles.
fn is_checked() -> bool {
    static IS_CHECKED: OnceLock<bool> = OnceLock::new();
    // Where a panic is an abort, a library's would be one too.
    if cfg!(panic = "abort") {
        return cfg!(debug_assertions);
    }
    *IS_CHECKED.get_or_init(|| {
        let before = panic::take_hook();
        // Stays, and is heard in this thread alone: another one may panic meanwhile.
        panic::set_hook(Box::new(move |what| {
            if !IS_BEING_ASKED.get() {
                before(what);
            }
        }));
        IS_BEING_ASKED.set(true);
        let overflown = panic::catch_unwind(|| black_box(u8::MAX) + black_box(1));
        IS_BEING_ASKED.set(false);
        overflown.is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::build;

    #[test]
    fn arithmetic_is_checked_in_every_profile() {
        assert_eq!(build(), "overflow checks on");
    }
}
