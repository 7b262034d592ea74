//! A guest write: where, how much, and what.
//!
//! In JSON a repeated byte is `"byte": 7`, and a recipe is `"texture": "text", "seed": 7`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Fill, Recipe, Texture};
use crate::base::variants;
use crate::image::format::SECTOR_BYTES;

/// A guest write of `length` bytes at guest offset `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Guest offset in bytes.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
    /// What is written.
    pub fill: Fill,
}

/// The JSON form. The field `byte` is the older one.
#[derive(Serialize, Deserialize)]
struct Fields {
    offset: u64,
    length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    byte: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    texture: Option<Texture>,
    #[serde(default, skip_serializing_if = "is_default")]
    seed: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    shift: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Serialize for Write {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (byte, recipe) = match self.fill {
            Fill::Byte(byte) => (Some(byte), None),
            Fill::Data(recipe) => (None, Some(recipe)),
        };
        let fields = Fields {
            offset: self.offset,
            length: self.length,
            byte,
            texture: recipe.map(|recipe| recipe.texture),
            seed: recipe.map_or(0, |recipe| recipe.seed),
            shift: recipe.map_or(0, |recipe| recipe.shift),
        };
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Write {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Fields {
            offset,
            length,
            byte,
            texture,
            seed,
            shift,
        } = Fields::deserialize(deserializer)?;
        let fill = match (byte, texture) {
            (Some(byte), None) => Fill::Byte(byte),
            (None, Some(texture)) => Fill::Data(Recipe {
                texture,
                seed,
                shift,
            }),
            (None, None) => return Err(D::Error::missing_field("byte")),
            (Some(_), Some(_)) => {
                return Err(D::Error::custom(
                    "a write has a byte and a texture: write one of them",
                ));
            }
        };
        Ok(Self {
            offset,
            length,
            fill,
        })
    }
}

impl Write {
    /// Returns a write that repeats a byte.
    pub const fn repeated(offset: u64, length: u64, byte: u8) -> Self {
        Self {
            offset,
            length,
            fill: Fill::Byte(byte),
        }
    }

    /// Returns its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.fill.bytes(self.offset, self.length)
    }

    /// Returns the recipe of its data, if it has one.
    pub fn recipe(&self) -> Option<Recipe> {
        match self.fill {
            Fill::Byte(_) => None,
            Fill::Data(recipe) => Some(recipe),
        }
    }

    /// Shrink candidates of the write: nearer to the start of the image, shorter, or with simpler data.
    pub fn simpler(&self) -> Vec<Self> {
        let offsets = variants::numbers(self.offset, &[0, 65536]).into_iter();
        // A guest can only write at the start of a sector.
        let offsets = offsets.map(|offset| offset / SECTOR_BYTES * SECTOR_BYTES);
        let lengths = variants::numbers(self.length, &[SECTOR_BYTES, 4096, 65536]).into_iter();
        let lengths = lengths.filter(|length| *length >= SECTOR_BYTES);
        let at = offsets.map(|offset| Self { offset, ..*self });
        let shorter = lengths.map(|length| Self { length, ..*self });
        let fills = self.fill.simpler().into_iter();
        at.chain(shorter)
            .chain(fills.map(|fill| Self { fill, ..*self }))
            .collect()
    }

    /// The part of the write within [`start`, `end`) of the guest address space; `None` if there is no overlap.
    pub fn within(&self, start: u64, end: u64) -> Option<Self> {
        let offset = self.offset.max(start);
        let stop = (self.offset + self.length).min(end);
        (offset < stop).then(|| Self {
            offset,
            length: stop - offset,
            ..*self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_byte_has_the_older_json_and_a_recipe_its_own() {
        let byte = Write::repeated(1, 2, 3);
        let text = serde_json::to_string(&byte).unwrap();
        assert_eq!(text, r#"{"offset":1,"length":2,"byte":3}"#);
        assert_eq!(serde_json::from_str::<Write>(&text).unwrap(), byte);
        let fill = Fill::Data(Recipe {
            texture: Texture::Text,
            seed: 9,
            shift: 0,
        });
        let write = Write {
            offset: 1,
            length: 2,
            fill,
        };
        let text = serde_json::to_string(&write).unwrap();
        assert_eq!(text, r#"{"offset":1,"length":2,"texture":"text","seed":9}"#);
        assert_eq!(serde_json::from_str::<Write>(&text).unwrap(), write);
        for wrong in [
            r#"{"offset":1,"length":2}"#,
            r#"{"offset":1,"length":2,"byte":1,"texture":"text"}"#,
        ] {
            assert!(serde_json::from_str::<Write>(wrong).is_err(), "{wrong}");
        }
    }
}
