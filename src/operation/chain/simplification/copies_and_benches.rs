//! Simpler versions of `dd` and `bench` steps.

use super::super::step::ChainStep;
use crate::base::variants::numbers;
use crate::image::format::Format;

/// Usual block sizes and lengths, in bytes.
const USUAL_BYTES: [u64; 2] = [512, 4096];

/// Returns versions with fewer and rounder blocks, from the start of the image, into a raw image.
pub(super) fn simpler_dd(
    format: Format,
    block_size: u64,
    count: Option<u64>,
    skip: u64,
) -> Vec<ChainStep> {
    let dd = |format, block_size, count, skip| ChainStep::Dd {
        format,
        block_size,
        count,
        skip,
    };
    let mut versions = Vec::new();
    if format != Format::Raw {
        versions.push(dd(Format::Raw, block_size, count, skip));
    }
    if count.is_some() {
        versions.push(dd(format, block_size, None, skip));
    }
    let skips = numbers(skip, &[0, 1]).into_iter();
    versions.extend(skips.map(|skip| dd(format, block_size, count, skip)));
    let sizes = numbers(block_size, &USUAL_BYTES).into_iter();
    let sizes = sizes.filter(|size| *size > 0);
    versions.extend(sizes.map(|size| dd(format, size, count, skip)));
    versions
}

/// Returns versions with fewer, shorter and sequential requests, from the start of the image.
pub(super) fn simpler_bench(step: &ChainStep) -> Vec<ChainStep> {
    let ChainStep::Bench {
        count,
        length,
        offset,
        stride,
        depth,
        byte,
    } = *step
    else {
        return Vec::new();
    };
    let bench = |count, length, offset, stride, depth| ChainStep::Bench {
        count,
        length,
        offset,
        stride,
        depth,
        byte,
    };
    let positive = |value: u64, landmarks: &[u64]| {
        let smaller = numbers(value, landmarks).into_iter();
        smaller.filter(|value| *value > 0)
    };
    let counts = positive(count, &[1, 2]).map(|count| bench(count, length, offset, stride, depth));
    let depths = positive(depth, &[1]).map(|depth| bench(count, length, offset, stride, depth));
    let offsets = numbers(offset, &[0]).into_iter();
    let offsets = offsets.map(|offset| bench(count, length, offset, stride, depth));
    let lengths = positive(length, &USUAL_BYTES);
    let lengths = lengths.map(|length| bench(count, length, offset, stride, depth));
    counts.chain(depths).chain(offsets).chain(lengths).collect()
}
