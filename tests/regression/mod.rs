//! Where editors find the regression seeds. Made by `imgduel stubs`; do not edit.
//!
//! The functions are empty and never run: the test target has its own harness, which runs the trial of the same path.

/// Runs `fuzz-seeds/clusters_of_two_mebibytes.json`.
#[test]
fn clusters_of_two_mebibytes() {}

/// Runs `fuzz-seeds/conversions_at_512_byte_clusters.json`.
#[test]
fn conversions_at_512_byte_clusters() {}

/// Runs `fuzz-seeds/full_preallocation_in_every_resize.json`.
#[test]
fn full_preallocation_in_every_resize() {}

/// Runs `fuzz-seeds/issue_315_measure_of_a_vpc_source.json`.
#[test]
fn issue_315_measure_of_a_vpc_source() {}

/// Runs `fuzz-seeds/issue_334_shrink_256m_to_16m_at_512_byte_clusters.json`.
#[test]
fn issue_334_shrink_256m_to_16m_at_512_byte_clusters() {}

/// Runs `fuzz-seeds/issue_336_shrink_256m_to_4m_at_512_byte_clusters.json`.
#[test]
fn issue_336_shrink_256m_to_4m_at_512_byte_clusters() {}

/// Runs `fuzz-seeds/issue_397_bench_grows_refcount_blocks_x0978924777.json`.
#[test]
fn issue_397_bench_grows_refcount_blocks_x0978924777() {}

/// Runs `fuzz-seeds/issue_398_bench_grows_refcount_blocks_x2808571592.json`.
#[test]
fn issue_398_bench_grows_refcount_blocks_x2808571592() {}

/// Runs `fuzz-seeds/issue_399_bench_grows_refcount_blocks_x2843295063.json`.
#[test]
fn issue_399_bench_grows_refcount_blocks_x2843295063() {}

/// Runs `fuzz-seeds/issue_400_bench_grows_refcount_blocks_x0933136565.json`.
#[test]
fn issue_400_bench_grows_refcount_blocks_x0933136565() {}

/// Runs `fuzz-seeds/issue_401_bench_grows_refcount_blocks_x3155371439.json`.
#[test]
fn issue_401_bench_grows_refcount_blocks_x3155371439() {}

/// Runs `fuzz-seeds/measure_of_a_sparse_copy.json`.
#[test]
fn measure_of_a_sparse_copy() {}

/// Runs `fuzz-seeds/small_shrinks_with_lazy_refcounts.json`.
#[test]
fn small_shrinks_with_lazy_refcounts() {}
