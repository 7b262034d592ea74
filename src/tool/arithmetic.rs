//! Whether overflowing arithmetic panics in this build, as in the embedded libraries.
//!
//! The embedded tools report it in records, because a library that wraps on overflow behaves differently from one that
//! panics. Cargo.toml enables the checks in every profile; a crate that depends on imgduel may not. A profile that
//! disables them for a single library is not detected.

use std::cell::Cell;
use std::hint::black_box;
use std::panic;
use std::sync::OnceLock;

/// Returns how the embedded libraries were built, as far as that changes their behaviour.
pub(super) fn build() -> &'static str {
    match is_checked() {
        true => "overflow checks on",
        false => "overflow checks off",
    }
}

thread_local! {
    static IS_BEING_ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Tests it by an overflow, because the compiler does not tell.
fn is_checked() -> bool {
    static IS_CHECKED: OnceLock<bool> = OnceLock::new();
    // If a panic aborts, a library's panic would abort too.
    if cfg!(panic = "abort") {
        return cfg!(debug_assertions);
    }
    *IS_CHECKED.get_or_init(|| {
        let before = panic::take_hook();
        // The hook stays installed, and silences only this thread, because another may panic meanwhile.
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
