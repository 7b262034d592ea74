//! The qcow2 creation options that both `create` and `resize` draw.
//!
//! This is not an operation, but the part of the Python pickers that both share.

use super::Picker;
use crate::base::rng::PythonRandom;
use crate::image::options::{CreateOption, CreateOptions};

/// The minimum cluster size for subclusters: 16 KiB (qcow2 specification, "Extended L2 entries").
const EXTENDED_L2_CLUSTER_MIN_BYTES: u64 = 16 << 10;

/// The refcount widths that are drawn, in bits.
pub(super) const REFCOUNT_BITS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The drawn options, in the order of the command line.
pub(super) struct Qcow2Options {
    /// The options, each with its own `-o`.
    pub(super) options: CreateOptions,
    /// Whether `extended_l2=on` is among them.
    pub(super) extended_l2: bool,
}

/// Draws cluster size (out of `cluster_sizes`, in bytes), extended_l2, lazy_refcounts and, with [`Picker::V2`] or later,
/// refcount_bits.
pub(super) fn draw_python(
    random: &mut PythonRandom,
    cluster_sizes: &[u64],
    picker: Picker,
) -> Qcow2Options {
    let cluster_size = *random.choice(cluster_sizes);
    // Draws in any case, because the Python picker does.
    let extended_l2 = random.chance(0.3) && cluster_size >= EXTENDED_L2_CLUSTER_MIN_BYTES;
    let lazy_refcounts = random.chance(0.3);
    let draws_refcount_bits = picker != Picker::V1 && random.chance(0.4);
    let refcount_bits = draws_refcount_bits.then(|| *random.choice(&REFCOUNT_BITS));

    let mut options = CreateOptions::from([CreateOption::ClusterSize(cluster_size)]);
    options.extend(extended_l2.then_some(CreateOption::ExtendedL2(true)));
    options.extend(lazy_refcounts.then_some(CreateOption::LazyRefcounts(true)));
    options.extend(refcount_bits.map(CreateOption::RefcountBits));
    Qcow2Options {
        options,
        extended_l2,
    }
}
