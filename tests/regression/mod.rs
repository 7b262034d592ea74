//! Where editors find the regression seeds. Made by `cargo run -- stubs`; do not edit.
//!
//! The functions are empty and never run: `tests/differential.rs` has its own harness, which runs the trial of the same path.

/// Runs `fuzz-seeds/issue_336_shrink_256m_to_4m_at_512_byte_clusters.json`.
#[test]
fn issue_336_shrink_256m_to_4m_at_512_byte_clusters() {}
