//! Draws the replacement values of damaged fields: generic boundary values, and values at the limits that apply to the field.
//!
//! The generic values follow QEMU's image fuzzer for qcow2 (tests/image-fuzzer/qcow2/fuzz.py, UINT8_V to UINT64_V, STRING_V and the
//! constraints of each field) and are used for every format. The limits are those of the specifications and of QEMU's own checks.

use crate::base::rng::NativeRandom;
use crate::disk_format::damage::Value;
use crate::disk_format::structure::{FieldKind, Holds};

/// Number of structures of an image among which the target of a damaged offset is drawn.
const REGIONS: u64 = 40;

/// Values at the limits of the fields with these names.
const BOUNDS: [(&str, &[u64]); 24] = [
    ("version", &[0, 1, 2, 3, 4, 0xffff]),
    ("cluster_bits", &[0, 8, 9, 16, 21, 22, 31, 32, 63, 64]),
    ("refcount_order", &[0, 1, 4, 6, 7, 8, 31, 32, 63, 64]),
    (
        "size",
        &[0, 1, 511, 513, 1 << 40, 1 << 56, 1 << 62, (1 << 63) - 512],
    ),
    ("crypt_method", &[1, 2, 3]),
    // QEMU's QCOW_MAX_L1_SIZE allows 32 MiB of 8-byte entries.
    (
        "l1_size",
        &[0, 1, 2, 1 << 22, (1 << 22) + 1, 1 << 28, 1 << 29],
    ),
    // QEMU's QCOW_MAX_REFTABLE_SIZE is 8 MiB.
    (
        "refcount_table_clusters",
        &[0, 2, 128, 129, 1 << 14, (1 << 14) + 1],
    ),
    // QEMU's QCOW_MAX_SNAPSHOTS is 65536.
    ("nb_snapshots", &[0, 1, 2, 3, 65536, 65537]),
    (
        "header_length",
        &[0, 71, 72, 103, 104, 105, 112, 113, 512, 65536],
    ),
    ("compression_type", &[0, 1, 2, 3]),
    ("backing_file_size", &[0, 1, 1023, 1024, 65536]),
    ("extra_data_size", &[0, 7, 8, 15, 16, 17, 24, 1024, 1025]),
    ("nb_bitmaps", &[0, 1, 2, 65535, 65536]),
    (
        "bitmap_directory_size",
        &[0, 8, 24, 25, 65535 * 1024, 1 << 26],
    ),
    ("granularity_bits", &[0, 8, 9, 31, 32, 63, 64]),
    (
        "grainSize",
        &[0, 1, 7, 8, 9, 127, 129, 1 << 20, 1 << 21, 1 << 32],
    ),
    ("numGTEsPerGT", &[0, 1, 511, 513, 1 << 20, 1 << 31]),
    ("compressAlgorithm", &[0, 1, 2]),
    ("disk_type", &[0, 1, 2, 3, 4, 5, 6]),
    ("block_size", &[0, 1, 511, 512, 1 << 20, 1 << 28, 1 << 31]),
    ("max_table_entries", &[0, 1, 2, 1 << 28, 1 << 30]),
    ("entry_count", &[0, 1, 2, 6, 2047, 2048]),
    ("descriptor_count", &[1, 2, 126, 127]),
    // The values of vhdx metadata items: block size, sector sizes, virtual size (MS-VHDX 2.6.2).
    (
        "value",
        &[
            0,
            1,
            511,
            512,
            4096,
            4097,
            1 << 20,
            3 << 20,
            1 << 28,
            1 << 29,
            64 << 40,
        ],
    ),
];

/// Number of low bits of flag fields that have a meaning in many formats.
const LOW_BITS: u64 = 8;

/// Draws a replacement value for a field.
pub(super) fn draw(random: &mut NativeRandom, field: &FieldKind) -> Value {
    let bounds = BOUNDS.iter().find(|(name, _)| *name == field.name);
    if let Some((_, numbers)) = bounds.filter(|_| random.percent(45)) {
        return Value::Number(*random.choice(numbers));
    }
    match field.holds {
        Holds::Text | Holds::Hexadecimal => text(random),
        Holds::Flags if random.percent(70) => flip(random, field),
        Holds::Offset { .. } if random.percent(65) => place(random, field),
        _ => number(random, field),
    }
}

/// Draws a boundary value of an integer of the field's width.
fn number(random: &mut NativeRandom, field: &FieldKind) -> Value {
    let bits = field.bytes.clamp(1, 8) * 8;
    match random.below(11) {
        0 | 1 => Value::Number(0),
        2 => Value::Number(1),
        3 => Value::Ones,
        4 => Value::SignBit,
        5 => Value::SignedMaximum,
        6 => Value::Plus(1),
        7 => Value::Plus(-1),
        8 => Value::Number(1 << random.below(bits)),
        9 => Value::Number((1 << random.below(bits)) - 1),
        _ => flip(random, field),
    }
}

/// Draws a bit to invert.
fn flip(random: &mut NativeRandom, field: &FieldKind) -> Value {
    let bits = field.bytes.clamp(1, 8) * 8;
    let is_low = random.percent(50);
    let bit = match (is_low, random.percent(30)) {
        (true, _) => random.below(LOW_BITS.min(bits)),
        // The highest bits of qcow2 table entries are flags.
        (false, true) => bits - 1 - random.below(2),
        (false, false) => random.below(bits),
    };
    Value::Flip(bit as u32)
}

/// Draws a new value for an offset: near the end of the file, at another structure, or shifted.
fn place(random: &mut NativeRandom, field: &FieldKind) -> Value {
    const NEAR: [i64; 8] = [0, 1, -1, 512, -512, 65536, -65536, 1 << 40];
    match random.below(10) {
        0..3 => Value::EndOfFile(*random.choice(&NEAR)),
        3..7 => Value::StartOf {
            region: random.below(REGIONS),
            plus: *random.choice(&[0, 0, 0, 1, 8, 512]),
        },
        7 => flip(random, field),
        _ => Value::Plus(*random.choice(&[1, 8, 511, 512, 4096, 65536, -1, -512, -65536])),
    }
}

/// Draws a replacement for a text field.
fn text(random: &mut NativeRandom) -> Value {
    match random.below(7) {
        0 => Value::Bytes(0),
        1 => Value::Ones,
        2 => Value::Plus(1),
        3 => Value::Number(0),
        4 => Value::Bytes(b'/'),
        5 => Value::SignedMaximum,
        _ => Value::Flip(random.below(64) as u32),
    }
}
