//! Which parts of a range of a file are read: of a hole no more than its ends. A tool reads a hole as any other place, so that gigabytes of it show no more.

use std::ops::Range;

/// The number of bytes at both ends of a hole that are read.
const PIECE_BYTES: u64 = 1 << 20;

/// Returns the parts of `range`, relative to its start, without what lies in a hole between `written` ranges and is more than `PIECE_BYTES` from both of its ends.
pub fn parts_to_read(range: &Range<u64>, written: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut reached = range.start;
    let first = written.partition_point(|data| data.end <= range.start);
    let within = written[first..]
        .iter()
        .take_while(|data| data.start < range.end);
    let ends = within
        .map(|data| (data.start, data.end))
        .chain([(range.end, range.end)]);
    for (start, end) in ends {
        let (start, end) = (start.max(reached), end.min(range.end));
        let is_long = start - reached > 2 * PIECE_BYTES;
        let (head, tail) = match is_long {
            true => (reached + PIECE_BYTES, start - PIECE_BYTES),
            false => (start, start),
        };
        for (from, to) in [(reached, head), (tail, end)] {
            let part = from - range.start..to - range.start;
            match parts.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ if part.is_empty() => {}
                _ => parts.push(part),
            }
        }
        reached = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn of_a_long_hole_both_ends_are_read_and_of_data_everything() {
        let parts = |range: Range<u64>, written: &[Range<u64>]| {
            parts_to_read(&(range.start * MIB..range.end * MIB), written)
                .into_iter()
                .map(|part| (part.start / MIB, part.end / MIB))
                .collect::<Vec<_>>()
        };
        let data = [100 * MIB..110 * MIB, 111 * MIB..112 * MIB];
        // No data at all, a short hole, and data within.
        assert_eq!(parts(0..90, &data), [(0, 1), (89, 90)]);
        assert_eq!(parts(0..2, &data), [(0, 2)]);
        assert_eq!(parts(0..200, &data), [(0, 1), (99, 113), (199, 200)]);
        // The range begins or ends within data.
        assert_eq!(parts(105..108, &data), [(0, 3)]);
        assert_eq!(parts(109..120, &data), [(0, 4), (10, 11)]);
        assert_eq!(parts(90..105, &data), [(0, 1), (9, 15)]);
    }
}
