//! The bytes that mutations write into a file, including updated checksums.

use crate::disk_format::structure::{ByteOrder, Checksum, ChecksummedRegion, Layout};

use super::Value;

/// Bytes to write at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The bytes to write there.
    pub bytes: Vec<u8>,
}

impl Patch {
    /// A command line for a POSIX shell that writes the patch into `file`, a name that is already quoted.
    pub fn in_shell(&self, file: &str) -> String {
        let octal: String = self
            .bytes
            .iter()
            .map(|byte| format!("\\{byte:03o}"))
            .collect();
        let offset = self.offset;
        format!("printf '{octal}' | dd of={file} bs=1 seek={offset} conv=notrunc 2>/dev/null")
    }
}

/// What has become of a file: every run of bytes that is another. Of a file that grew or shrank, as far as both reach.
pub fn between(before: &[u8], after: &[u8]) -> Vec<Patch> {
    let mut patches: Vec<Patch> = Vec::new();
    let pairs = std::iter::zip(before, after).zip(0..);
    for ((_, byte), offset) in pairs.filter(|((was, is), _)| was != is) {
        match patches.last_mut() {
            Some(last) if last.offset + last.bytes.len() as u64 == offset => last.bytes.push(*byte),
            _ => patches.push(Patch {
                offset,
                bytes: vec![*byte],
            }),
        }
    }
    patches
}

/// The patches that turn the image `valid` into `bytes`, in which the ranges `touched` (offset, length) were changed. Updates the checksums over
/// these ranges in `bytes`, except those that cover an offset in `stale` or were changed themselves. A part that has to be written as a whole
/// makes one patch, up to its last non-zero byte.
pub(super) fn patches(
    valid: &[u8],
    bytes: &mut [u8],
    layout: &Layout,
    touched: &[(u64, u64)],
    stale: &[u64],
) -> Vec<Patch> {
    let mut patches: Vec<Patch> = Vec::new();
    let seal_of = |offset: u64| {
        let mut seals = layout.seals.iter();
        seals.find(|seal| (seal.offset..seal.offset + seal.length).contains(&offset))
    };
    for (offset, length) in touched {
        let range = match seal_of(*offset) {
            Some(seal) => {
                let is_stale = stale
                    .iter()
                    .any(|place| (seal.offset..seal.offset + seal.length).contains(place));
                let is_elsewhere = |(at, _): (u64, Checksum)| seal.offset + at != *offset;
                if !is_stale && seal.sum.is_some_and(is_elsewhere) {
                    update_checksum(bytes, seal);
                }
                used(seal, valid, bytes)
            }
            None => *offset as usize..(offset + length) as usize,
        };
        let patch = Patch {
            offset: range.start as u64,
            bytes: bytes[range].to_vec(),
        };
        patches.retain(|other| other.offset != patch.offset);
        patches.push(patch);
    }
    let differs = |patch: &Patch| {
        let start = patch.offset as usize;
        valid[start..start + patch.bytes.len()] != patch.bytes
    };
    patches.retain(differs);
    let is_chosen =
        |patch: &Patch| seal_of(patch.offset).is_some_and(|seal| seal.is_one_of_a_choice);
    if patches.iter().any(is_chosen) {
        let others = layout.seals.iter().filter(|seal| {
            let is_written = |patch: &Patch| patch.offset == seal.offset;
            seal.is_one_of_a_choice && !patches.iter().any(is_written)
        });
        let others = others.map(|seal| Patch {
            offset: seal.offset,
            bytes: bytes[used(seal, valid, bytes)].to_vec(),
        });
        let others: Vec<Patch> = others.collect();
        patches.extend(others);
    }
    patches
}

/// The range of `seal` in the file, up to its last byte that is not zero in `valid` or `bytes`.
fn used(seal: &ChecksummedRegion, valid: &[u8], bytes: &[u8]) -> std::ops::Range<usize> {
    let end = (seal.offset + seal.length).min(bytes.len() as u64) as usize;
    let start = (seal.offset as usize).min(end);
    let last = |part: &[u8]| part.iter().rposition(|byte| *byte != 0);
    let last = last(&bytes[start..end]).max(last(&valid[start..end]));
    start..start + last.map_or(0, |last| last + 1)
}

/// Computes the checksum over the current bytes of `seal`, and stores it. Does nothing if the file ends before the checksum's field.
fn update_checksum(bytes: &mut [u8], seal: &ChecksummedRegion) {
    let Some((at, sum)) = seal.sum else { return };
    let start = seal.offset as usize;
    let end = (start + seal.length as usize).min(bytes.len());
    let place = start + at as usize..start + at as usize + 4;
    if place.end > end {
        return;
    }
    bytes[place.clone()].fill(0);
    let sealed = &bytes[start..end];
    let made = match sum {
        Checksum::Crc32c => crc32c::crc32c(sealed).to_le_bytes(),
        Checksum::ByteSum => {
            let total: u32 = sealed.iter().map(|byte| u32::from(*byte)).sum();
            (!total).to_be_bytes()
        }
    };
    bytes[place].copy_from_slice(&made);
}

/// Reads all of `bytes` as an unsigned integer.
pub(super) fn read_number(bytes: &[u8], order: ByteOrder) -> u64 {
    let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match order {
        ByteOrder::Big => bytes.iter().fold(0, add),
        ByteOrder::Little => bytes.iter().rev().fold(0, add),
    }
}

/// Writes an integer into all of `bytes`, truncated to their width.
pub(super) fn write_number(bytes: &mut [u8], number: u64, order: ByteOrder) {
    let count = bytes.len();
    for (place, byte) in bytes.iter_mut().enumerate() {
        let low = match order {
            ByteOrder::Big => count - 1 - place,
            ByteOrder::Little => place,
        };
        *byte = (number >> (8 * low)) as u8;
    }
}

/// Resolves `value` for a text field with the text `was`, in the same length: a decimal number becomes another number, any other text, a
/// hexadecimal number included, gets other bytes.
pub(super) fn resolve_text(was: &[u8], value: Value, is_hexadecimal: bool) -> Vec<u8> {
    let digits = std::str::from_utf8(was)
        .ok()
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|_| !is_hexadecimal);
    let of_number = |number: u64| {
        let text = number.to_string().into_bytes();
        let mut padded = vec![b'0'; was.len().saturating_sub(text.len())];
        padded.extend(text);
        padded.truncate(was.len());
        padded
    };
    match (value, digits) {
        (Value::Number(number), Some(_)) => of_number(number),
        (Value::Plus(more), Some(old)) => of_number(old.wrapping_add_signed(more)),
        (Value::Ones | Value::SignedMaximum | Value::EndOfFile(_), Some(_)) => {
            vec![b'9'; was.len()]
        }
        (Value::Flip(bit), _) => {
            let mut flipped = was.to_vec();
            let place = (bit as usize / 8) % flipped.len().max(1);
            if let Some(byte) = flipped.get_mut(place) {
                *byte ^= 1 << (bit % 8);
            }
            flipped
        }
        (Value::Bytes(byte), _) => vec![byte; was.len()],
        (Value::Number(number), None) => vec![number as u8; was.len()],
        (Value::Ones, None) => vec![0xff; was.len()],
        (Value::SignBit, _) => vec![0x80; was.len()],
        (Value::SignedMaximum, None) => vec![0x7f; was.len()],
        // Format specifiers, for a tool that passes the text to `printf` as its format.
        (Value::Plus(_) | Value::EndOfFile(_) | Value::StartOf { .. }, _) => {
            b"%s%n".iter().copied().cycle().take(was.len()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_a_round_trip_in_either_byte_order() {
        for order in [ByteOrder::Big, ByteOrder::Little] {
            let mut bytes = [0; 4];
            write_number(&mut bytes, 0x1234_5678, order);
            assert_eq!(read_number(&bytes, order), 0x1234_5678);
        }
    }

    #[test]
    fn a_text_keeps_its_length_for_every_value() {
        let values = [
            Value::Number(7),
            Value::Ones,
            Value::Plus(-1),
            Value::Flip(3),
            Value::Bytes(0),
            Value::SignBit,
            Value::EndOfFile(1),
        ];
        for value in values {
            for was in ["2048", "RW", "\"a.vmdk\""] {
                assert_eq!(resolve_text(was.as_bytes(), value, false).len(), was.len());
            }
        }
        assert_eq!(resolve_text(b"2048", Value::Plus(1), false), b"2049");
    }

    #[test]
    fn a_random_hexadecimal_number_is_damaged_alike_whatever_its_digits() {
        let damaged = |was: &[u8]| resolve_text(was, Value::Plus(1), true);
        assert_eq!(damaged(b"20481234"), damaged(b"2f481a34"));
    }
}
