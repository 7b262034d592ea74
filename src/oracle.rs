//! What must agree: what an operation asks of each side, how the answers are compared, and what is said of them.
//!
//! Pure: an oracle sees requests and answers, never tools, processes or directories.

/// The two sides.
pub mod side;

/// Why a tool refused.
pub mod refusal_class;

/// What is said of an operation.
pub mod verdict;

/// Which divergences are one finding.
pub mod signature;

/// What an operation asks of each side, and what came back.
pub mod observations;

/// Differences that mean nothing.
pub mod normalize;

/// What must agree in every operation.
pub mod judge;

/// What a case made the tools do, in classes.
pub mod coverage;

/// A third opinion.
pub mod witness;
