//! Damage to a valid image, as plain data: which field of which structure becomes what, or where the file ends.
//!
//! What is written out in a case is resolved against the image's own [`Layout`] when it is inflicted: "one more than it was",
//! "where the refcount table is". The values are those that QEMU's image fuzzer draws for qcow2 (tests/image-fuzzer/qcow2/fuzz.py:
//! zeros, ones, bounds of the width, sign bits, reserved bits, letters), and besides values next to the true one, places beyond the
//! end, unaligned ones, and those of other structures. Drawn by the generations, inflicted by the duel; no tool is run.

use std::fs::OpenOptions;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk_format::parallels;
use crate::disk_format::qcow;
use crate::disk_format::qcow2::{self, Unparsable};
use crate::disk_format::structure::{ByteOrder, Field, Holds, Layout, Structure};
use crate::disk_format::vdi;
use crate::disk_format::vhdx;
use crate::disk_format::vmdk;
use crate::disk_format::vpc;
use crate::image::content::write_at;
use crate::image::format::Format;
use crate::image::validity::{self, Validity};

pub use patch::Patch;

mod patch;

/// Images that are damaged are small: longer ones are refused, in bytes.
const IMAGE_BYTES_MAX: u64 = 64 << 20;

/// One piece of damage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// A field gets another value.
    Replace {
        /// The structure's name.
        structure: String,
        /// Which of the fields of that name in the file, counted round if there are fewer.
        index: u64,
        /// The field's name.
        field: String,
        /// What it becomes.
        value: Value,
        /// Whether a checksum over it stays as it was, and is wrong then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stale_checksum: bool,
    },
    /// The file ends at or in a structure.
    Truncate {
        /// The structure's name.
        structure: String,
        /// Which of them, counted round.
        index: u64,
        /// Where in it.
        at: Cut,
    },
    /// Bytes are put somewhere.
    Overwrite {
        /// In bytes from the start of the file.
        offset: u64,
        /// What is put there.
        bytes: Vec<u8>,
    },
}

impl Damage {
    /// What is wrong with it, if it came out of a file.
    pub fn validity(&self) -> Validity {
        let known = |name: &str| match is_known(name) {
            true => Ok(()),
            false => Err(format!(
                " is of '{}', which no format has: write one of {}, or STRUCTURE.FIELD",
                name.escape_debug(),
                structure_names().join(", ")
            )),
        };
        match self {
            Self::Replace { .. } => known(&self.name()),
            Self::Truncate { structure, .. } => known(structure),
            Self::Overwrite { offset, bytes } => validity::range(*offset, bytes.len() as u64),
        }
    }

    /// What it is about, as the catalogue of known divergences names it: `STRUCTURE.FIELD`, `truncated` or `overwritten`.
    pub fn name(&self) -> String {
        match self {
            Self::Replace {
                structure, field, ..
            } => format!("{structure}.{field}"),
            Self::Truncate { .. } => "truncated".to_owned(),
            Self::Overwrite { .. } => "overwritten".to_owned(),
        }
    }
}

/// Where a structure is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Before it.
    Start,
    /// In its middle.
    Middle,
    /// One byte before its end.
    LastByte,
    /// Behind it.
    End,
}

/// What a field becomes. Every value is cut to the field's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// This number.
    Number(u64),
    /// All bits one.
    Ones,
    /// The highest bit alone.
    SignBit,
    /// All bits but the highest.
    SignedMaximum,
    /// So much more than it was, or less.
    Plus(i64),
    /// This bit turned over, counted from the lowest, round if the field has fewer.
    Flip(u32),
    /// The end of the file, and so many bytes more or less; other bits of the field stay.
    EndOfFile(i64),
    /// Where the first structure of this place in the file's list of them is (counted round), and so many bytes more or less; other
    /// bits of the field stay.
    StartOf {
        /// Which structure.
        region: u64,
        /// Bytes.
        plus: i64,
    },
    /// Every byte of it this one.
    Bytes(u8),
}

/// The structures of a format that have names.
pub fn structures(format: Format) -> &'static [&'static Structure] {
    match format {
        Format::Qcow2 => qcow2::layout::STRUCTURES,
        Format::Vmdk => vmdk::STRUCTURES,
        Format::Vpc => vpc::STRUCTURES,
        Format::Vhdx => vhdx::STRUCTURES,
        Format::Vdi => vdi::STRUCTURES,
        Format::Qcow => qcow::STRUCTURES,
        Format::Parallels => parallels::STRUCTURES,
        Format::Raw => &[],
    }
}

/// Every structure's name, without repeats, in the order of the formats.
pub fn structure_names() -> Vec<&'static str> {
    let all = Format::all().flat_map(structures);
    let mut names: Vec<&str> = Vec::new();
    for structure in all {
        if !names.contains(&structure.name) {
            names.push(structure.name);
        }
    }
    names
}

/// Whether `name` is a structure, or `STRUCTURE.FIELD`.
pub fn is_known(name: &str) -> bool {
    let (wanted, field) = match name.split_once('.') {
        Some((structure, field)) => (structure, Some(field)),
        None => (name, None),
    };
    Format::all().flat_map(structures).any(|structure| {
        let has = |field| structure.fields.iter().any(|kind| kind.name == field);
        structure.name == wanted && field.is_none_or(has)
    })
}

/// Where everything is in the image with these bytes.
pub fn layout(format: Format, bytes: &[u8]) -> Layout {
    match format {
        Format::Qcow2 => qcow2::layout::layout(bytes),
        Format::Vmdk => vmdk::layout(bytes),
        Format::Vpc => vpc::layout(bytes),
        Format::Vhdx => vhdx::layout(bytes),
        Format::Vdi => vdi::layout(bytes),
        Format::Qcow => qcow::layout(bytes),
        Format::Parallels => parallels::layout(bytes),
        Format::Raw => Layout::new(ByteOrder::Big),
    }
}

/// What was done to a file.
#[derive(Debug, Default)]
pub struct Inflicted {
    /// The bytes that were put into it.
    pub patches: Vec<Patch>,
    /// Where it ends now, when that is another place.
    pub length: Option<u64>,
    /// In words, one for each piece of damage.
    pub words: Vec<String>,
}

/// Damages a file. All of it is found out on the valid image first, so that no piece depends on another; a piece that the image has
/// no place for is an error, and nothing is written then.
pub fn inflict(path: &Path, format: Format, damages: &[Damage]) -> Result<Inflicted, Unparsable> {
    let length = std::fs::metadata(path)?.len();
    if length > IMAGE_BYTES_MAX {
        return Err(Unparsable::new(format!(
            "an image of {length} bytes is too long to be damaged"
        )));
    }
    let valid = std::fs::read(path)?;
    let layout = layout(format, &valid);
    let inflicted = resolve(&valid, &layout, damages)?;
    for patch in &inflicted.patches {
        write_at(path, patch.offset, &patch.bytes)
            .map_err(|error| Unparsable::new(error.to_string()))?;
    }
    if let Some(length) = inflicted.length {
        OpenOptions::new().write(true).open(path)?.set_len(length)?;
    }
    Ok(inflicted)
}

/// What the damage is in these bytes.
fn resolve(valid: &[u8], layout: &Layout, damages: &[Damage]) -> Result<Inflicted, Unparsable> {
    let mut bytes = valid.to_vec();
    let mut inflicted = Inflicted::default();
    let mut touched = Vec::new();
    let mut stale = Vec::new();
    for damage in damages {
        let words = match damage {
            Damage::Replace {
                structure,
                index,
                field,
                value,
                stale_checksum,
            } => {
                let field = find(layout, structure, field, *index)?;
                let (old, new) = replace(&mut bytes, valid, layout, field, *value)?;
                let length = field.bits.div_ceil(8);
                touched.push((field.offset, length));
                stale.extend(stale_checksum.then_some(field.offset));
                let Field { name, offset, .. } = field;
                format!("{structure}.{name} at {offset:#x}: {old} becomes {new}")
            }
            Damage::Truncate {
                structure,
                index,
                at,
            } => {
                let end = cut(layout, structure, *index, *at)?;
                if end >= valid.len() as u64 {
                    let none = format!("nothing lies behind {structure}");
                    return Err(Unparsable::new(none));
                }
                inflicted.length = Some(inflicted.length.unwrap_or(end).min(end));
                format!("the file ends at {end:#x}, at {structure}")
            }
            Damage::Overwrite { offset, bytes: put } => {
                let end = offset.checked_add(put.len() as u64);
                if end.is_none_or(|end| end > valid.len() as u64) {
                    return Err(Unparsable::new(format!("nothing is at {offset:#x}")));
                }
                let start = *offset as usize;
                bytes[start..start + put.len()].copy_from_slice(put);
                touched.push((*offset, put.len() as u64));
                format!("{} bytes at {offset:#x} are others", put.len())
            }
        };
        inflicted.words.push(words);
    }
    let changed = patch::of(valid, &mut bytes, layout, &touched, &stale);
    if changed.is_empty() && inflicted.length.is_none() {
        return Err(Unparsable::new("nothing becomes another"));
    }
    inflicted.patches = changed;
    Ok(inflicted)
}

fn find<'layout>(
    layout: &'layout Layout,
    structure: &str,
    name: &str,
    index: u64,
) -> Result<&'layout Field, Unparsable> {
    let is_it = |field: &&Field| field.structure == structure && field.name == name;
    let all: Vec<&Field> = layout.fields.iter().filter(is_it).collect();
    let none = || Unparsable::new(format!("the image has no {structure}.{name}"));
    let place = index.checked_rem(all.len() as u64).ok_or_else(none)?;
    Ok(all[place as usize])
}

fn cut(layout: &Layout, structure: &str, index: u64, at: Cut) -> Result<u64, Unparsable> {
    let regions = layout.regions.iter();
    let all: Vec<_> = regions
        .filter(|region| region.structure == structure)
        .collect();
    let none = || Unparsable::new(format!("the image has no {structure}"));
    let place = index.checked_rem(all.len() as u64).ok_or_else(none)?;
    let region = all[place as usize];
    Ok(match at {
        Cut::Start => region.offset,
        Cut::Middle => region.offset.saturating_add(region.length / 2),
        Cut::LastByte => region
            .offset
            .saturating_add(region.length)
            .saturating_sub(1),
        Cut::End => region.offset.saturating_add(region.length),
    })
}

/// Puts the value into the field; what was and what is there, in words.
fn replace(
    bytes: &mut [u8],
    valid: &[u8],
    layout: &Layout,
    field: &Field,
    value: Value,
) -> Result<(String, String), Unparsable> {
    let start = field.offset as usize;
    let end = start.saturating_add(field.bits.div_ceil(8) as usize);
    let outside = || Unparsable::new(format!("{} lies outside the file", field.name));
    let there = bytes.get_mut(start..end).ok_or_else(outside)?;
    let was = valid.get(start..end).ok_or_else(outside)?;
    if field.holds == Holds::Text
        || field.bits > 64
        || !matches!(field.bits, 1 | 2 | 4) && !field.bits.is_multiple_of(8)
    {
        there.copy_from_slice(&patch::letters(was, value));
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        return Ok((shown(was), shown(there)));
    }
    let mask = u64::MAX >> (64 - field.bits);
    let all = patch::number(was, layout.order);
    let old = all >> field.shift & mask;
    let new = number(value, old, field, valid.len() as u64, layout) & mask;
    let kept = patch::number(there, layout.order) & !(mask << field.shift);
    patch::put(there, kept | new << field.shift, layout.order);
    Ok((format!("{old:#x}"), format!("{new:#x}")))
}

/// The number that a value is in a field that holds `old`.
fn number(value: Value, old: u64, field: &Field, length: u64, layout: &Layout) -> u64 {
    let highest = 1_u64 << (field.bits - 1);
    let place = |bytes: u64| match field.holds {
        Holds::Offset { unit, flags } => ((bytes / unit) & !flags) | (old & flags),
        _ => bytes,
    };
    match value {
        Value::Number(number) => number,
        Value::Ones => u64::MAX,
        Value::SignBit => highest,
        Value::SignedMaximum => highest.wrapping_sub(1),
        Value::Plus(more) => old.wrapping_add_signed(more),
        Value::Flip(bit) => old ^ (1 << (u64::from(bit) % field.bits)),
        Value::EndOfFile(more) => place(length.wrapping_add_signed(more)),
        Value::StartOf { region, plus } => {
            let count = layout.regions.len() as u64;
            let found = region.checked_rem(count).map(|index| index as usize);
            let start = found.map_or(0, |index| layout.regions[index].offset);
            place(start.wrapping_add_signed(plus))
        }
        Value::Bytes(byte) => u64::from_be_bytes([byte; 8]),
    }
}

/// What is notable of damage, in words that the catalogue may ask for: the structure, the field, how.
pub fn features(format: Format, damage: &Damage) -> Vec<&'static str> {
    let named = |wanted: &str| {
        let mut all = structures(format).iter();
        all.find(|structure| structure.name == wanted).copied()
    };
    match damage {
        Damage::Replace {
            structure,
            field,
            stale_checksum,
            ..
        } => {
            let is_it = |kind: &&Structure| kind.name == structure;
            let parts = structures(format).iter().copied().filter(is_it);
            let mut kinds = parts.flat_map(|part| part.fields);
            let kind = kinds.find(|kind| kind.name == field);
            let mut features: Vec<&str> =
                named(structure).map(|part| part.name).into_iter().collect();
            features.extend(kind.map(|kind| kind.name));
            features.extend(stale_checksum.then_some("stale_checksum"));
            features
        }
        Damage::Truncate { structure, .. } => {
            let part = named(structure).map(|part| part.name);
            part.into_iter().chain(["truncated"]).collect()
        }
        Damage::Overwrite { .. } => vec!["overwritten"],
    }
}
