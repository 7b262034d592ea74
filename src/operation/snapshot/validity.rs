//! Validates a list of snapshots and writes from a file.

use super::{BASE_GRAIN_BYTES, Element, Snapshot};
use crate::image::content::{Fill, Write};
use crate::image::validity::{self, Validity};

impl Snapshot {
    /// Validates the parameters of the image, then every element.
    pub(super) fn validity_of_all(&self) -> Validity {
        let size = self.size.bytes();
        validity::number("size", size, BASE_GRAIN_BYTES..=validity::BYTES_MAX)?;
        validity::cluster_size("cluster_size", self.cluster_size)?;
        validity::each("seed_writes", &self.seed_writes, |element| {
            match element.write() {
                Some(_) => self.validity_of(element),
                None => Err(" is no write: write [\"write\", OFFSET, LENGTH, BYTE]".to_owned()),
            }
        })?;
        validity::each("chain", &self.chain, |element| self.validity_of(element))?;
        let all = self.seed_writes.iter().chain(&self.chain);
        let written = all.filter_map(Element::write).map(|write| write.length);
        validity::written("seed_writes and chain", written)
    }

    fn validity_of(&self, element: &Element) -> Validity {
        match element {
            Element::Named(_, argument) => validity::name(" has an argument that", argument),
            Element::Write(word, offset, length, byte) => {
                validity::word(" begins with a word that", word, &["write"])?;
                validity::range(*offset, *length)?;
                let size = self.size.bytes();
                let write = Write {
                    offset: *offset,
                    length: *length,
                    fill: Fill::Byte(*byte),
                };
                match write.within(0, size) == Some(write) {
                    true => Ok(()),
                    false => Err(format!(
                        " writes {length} bytes at {offset}: write at least one, within the {size} of the image"
                    )),
                }
            }
        }
    }
}
