//! The oracle: the steps of operations and their results, the comparison of the results, and the verdicts.
//!
//! It is pure: it sees requests and answers, never tools, processes or directories.

/// The two sides.
pub mod side;

/// The reason of a refusal.
pub mod refusal_class;

/// Verdicts, kinds of divergence, and the subjects of differences.
pub mod verdict;

/// Grouping of divergences into findings.
pub mod signature;

/// The steps of an operation, and their results on both sides.
pub mod observations;

/// Normalization of insignificant differences.
pub mod normalize;

/// The judges of every operation.
pub mod judge;

/// Behavioural coverage.
pub mod coverage;

/// Third tools that cross-check.
pub mod witness;
