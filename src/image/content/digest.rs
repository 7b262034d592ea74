//! A digest of contents, by which they are recognized later without being kept.

use xxhash_rust::xxh3::xxh3_128;

use super::Contents;

impl Contents {
    /// Returns a digest: 32 hexadecimal digits, xxh3-128 of the size and the runs. Two contents have the same exactly where they are equal, but for chance.
    pub fn digest(&self) -> String {
        let mut form = self.size.to_le_bytes().to_vec();
        for run in &self.runs {
            let numbers = [run.first, run.count, run.fingerprint[0], run.fingerprint[1]];
            form.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        format!("{:032x}", xxh3_128(&form))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Contents, Write};

    #[test]
    fn contents_that_differ_in_a_byte_or_in_their_size_have_another_digest() {
        let write = |offset, byte: u8| Write {
            offset,
            length: 5,
            fill: byte.into(),
        };
        let one = Contents::of_writes(1 << 20, &[write(0, 1)]);
        assert_eq!(
            one.digest(),
            Contents::of_writes(1 << 20, &[write(0, 1)]).digest()
        );
        let others = [
            Contents::of_writes(1 << 20, &[write(1, 1)]),
            Contents::of_writes(1 << 20, &[write(0, 2)]),
            Contents::of_writes(2 << 20, &[write(0, 1)]),
        ];
        for other in others {
            assert_ne!(one.digest(), other.digest());
        }
    }
}
