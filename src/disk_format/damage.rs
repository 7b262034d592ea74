//! Structure-aware mutations of a valid image, as plain data: a field gets another value, bytes are overwritten, or the file is truncated.
//!
//! A case stores symbolic values ("one more than before", "the start of the refcount table"); applying a mutation resolves them against the
//! image's own `Layout`. The values include those that QEMU's image fuzzer draws for qcow2 (tests/image-fuzzer/qcow2/fuzz.py: zeros, ones,
//! bounds of the width, sign bits, reserved bits, letters), values next to the original one, and offsets that are unaligned, beyond the end of the
//! file, or those of other structures. The generations draw mutations and the differential runner applies them. No tool is run here.

use std::fs::OpenOptions;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk_format::parallels;
use crate::disk_format::qcow;
use crate::disk_format::qcow2::{self, Unparsable};
use crate::disk_format::structure::{ByteOrder, Field, FieldKind, Holds, Layout, Structure};
use crate::disk_format::vdi;
use crate::disk_format::vhdx;
use crate::disk_format::vmdk;
use crate::disk_format::vpc;
use crate::image::content::write_at;
use crate::image::format::Format;
use crate::image::validity::{self, Validity};

pub use patch::{Patch, between};

mod patch;

/// The length, in bytes, up to which images can be mutated; it bounds the memory used.
const IMAGE_BYTES_MAX: u64 = 64 << 20;

/// A mutation of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Replaces the value of a field.
    Replace {
        /// The structure's name.
        structure: String,
        /// Which of the fields of this name in the file, modulo their number.
        index: u64,
        /// The field's name.
        field: String,
        /// The new value.
        value: Value,
        /// Whether the checksum that covers the field keeps its old value, which is then wrong.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stale_checksum: bool,
    },
    /// Truncates the file at or in a structure.
    Truncate {
        /// The structure's name.
        structure: String,
        /// Which of the structures of this name in the file, modulo their number.
        index: u64,
        /// Where the structure is cut.
        at: Cut,
    },
    /// Overwrites bytes.
    Overwrite {
        /// The offset in the file, in bytes.
        offset: u64,
        /// The new bytes.
        bytes: Vec<u8>,
    },
}

impl Damage {
    /// Checks a mutation that was read from a file.
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

    /// The mutation's name in the catalogue of known divergences: `STRUCTURE.FIELD`, `truncated` or `overwritten`.
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

/// Where a truncation cuts a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Before its first byte.
    Start,
    /// In its middle.
    Middle,
    /// Before its last byte.
    LastByte,
    /// After its last byte.
    End,
}

/// The new value of a field, truncated to the field's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// This number.
    Number(u64),
    /// All bits set.
    Ones,
    /// Only the highest bit set.
    SignBit,
    /// All bits but the highest set.
    SignedMaximum,
    /// The old value plus this number.
    Plus(i64),
    /// The old value with one bit inverted: the bit of this number, counted from the lowest, modulo the field's width.
    Flip(u32),
    /// The end of the file plus this number of bytes. Flags in the field keep their value.
    EndOfFile(i64),
    /// The start of a structure plus a number of bytes. Flags in the field keep their value.
    StartOf {
        /// The index of the structure in the layout's list of regions, modulo their number.
        region: u64,
        /// The number of bytes to add.
        plus: i64,
    },
    /// This byte in all bytes of the field.
    Bytes(u8),
}

/// The structures of a format that mutations can name.
pub fn structures(format: Format) -> &'static [&'static Structure] {
    match format {
        Format::Qcow2 => qcow2::layout::STRUCTURES,
        Format::Vmdk => vmdk::STRUCTURES,
        Format::Vpc => vpc::STRUCTURES,
        Format::Vhdx => vhdx::STRUCTURES,
        Format::Vdi => vdi::STRUCTURES,
        Format::Qcow => qcow::STRUCTURES,
        Format::Parallels => parallels::STRUCTURES,
        Format::Raw | Format::Dmg | Format::Luks | Format::Qed => &[],
    }
}

/// The names of all structures, without duplicates, in the order of the formats.
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

/// Whether `name` names a structure of any format, as `STRUCTURE`, or a field, as `STRUCTURE.FIELD`.
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

/// Returns the layout of an image with these bytes; it is empty for raw images.
pub fn layout(format: Format, bytes: &[u8]) -> Layout {
    match format {
        Format::Qcow2 => qcow2::layout::layout(bytes),
        Format::Vmdk => vmdk::layout(bytes),
        Format::Vpc => vpc::layout(bytes),
        Format::Vhdx => vhdx::layout(bytes),
        Format::Vdi => vdi::layout(bytes),
        Format::Qcow => qcow::layout(bytes),
        Format::Parallels => parallels::layout(bytes),
        Format::Raw | Format::Dmg | Format::Luks | Format::Qed => Layout::new(ByteOrder::Big),
    }
}

/// The structures of an image with those of their fields that it has, in the order of the format. Fails if it is too long for mutations.
pub fn found(path: &Path, format: Format) -> Result<Vec<Found>, Unparsable> {
    let bytes = readable(path)?;
    let layout = layout(format, &bytes);
    let has = |structure: &Structure, kind: &FieldKind| {
        let mut fields = layout.fields.iter();
        fields.any(|field| field.structure == structure.name && field.name == kind.name)
    };
    let found = structures(format).iter().map(|structure| Found {
        structure,
        fields: structure
            .fields
            .iter()
            .filter(|kind| has(structure, kind))
            .collect(),
    });
    Ok(found.filter(|found| !found.fields.is_empty()).collect())
}

/// A structure with those of its fields that an image has.
#[derive(Clone, Debug)]
pub struct Found {
    /// The structure.
    pub structure: &'static Structure,
    /// Its fields.
    pub fields: Vec<&'static FieldKind>,
}

/// The bytes of an image that is not too long for mutations.
fn readable(path: &Path) -> Result<Vec<u8>, Unparsable> {
    let length = std::fs::metadata(path)?.len();
    if length > IMAGE_BYTES_MAX {
        return Err(Unparsable::new(format!(
            "an image of {length} bytes is too long for mutations, which take at most {IMAGE_BYTES_MAX} bytes"
        )));
    }
    Ok(std::fs::read(path)?)
}

/// The effect of mutations on a file.
#[derive(Debug, Default)]
pub struct Inflicted {
    /// The bytes that were written.
    pub patches: Vec<Patch>,
    /// The new length of the file in bytes, if it was truncated.
    pub length: Option<u64>,
    /// One description for each mutation.
    pub words: Vec<String>,
}

/// Applies mutations to a file. All of them are resolved against the valid image first, so that none depends on another. Fails, and leaves the
/// file as it is, if the image has no such structure or field, or if the mutations change nothing.
pub fn inflict(path: &Path, format: Format, damages: &[Damage]) -> Result<Inflicted, Unparsable> {
    let valid = readable(path)?;
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

/// Resolves mutations of the image with the bytes `valid`.
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
                let field = find_field(layout, structure, field, *index)?;
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
                let end = truncated_length(layout, structure, *index, *at)?;
                if end >= valid.len() as u64 {
                    let why = format!("the file ends with {structure} and cannot be cut behind it");
                    return Err(Unparsable::new(why));
                }
                inflicted.length = Some(inflicted.length.unwrap_or(end).min(end));
                format!("the file ends at {end:#x}, at {structure}")
            }
            Damage::Overwrite { offset, bytes: put } => {
                let end = offset.checked_add(put.len() as u64);
                if end.is_none_or(|end| end > valid.len() as u64) {
                    return Err(Unparsable::new(format!(
                        "{} bytes at {offset:#x} do not end inside the file ({} bytes)",
                        put.len(),
                        valid.len()
                    )));
                }
                let start = *offset as usize;
                bytes[start..start + put.len()].copy_from_slice(put);
                touched.push((*offset, put.len() as u64));
                format!("{} bytes at {offset:#x} are overwritten", put.len())
            }
        };
        inflicted.words.push(words);
    }
    let changed = patch::patches(valid, &mut bytes, layout, &touched, &stale);
    if changed.is_empty() && inflicted.length.is_none() {
        return Err(Unparsable::new("the mutations change no byte of the file"));
    }
    inflicted.patches = changed;
    Ok(inflicted)
}

/// The field `name` of the structure with this index (modulo the number of such fields).
fn find_field<'layout>(
    layout: &'layout Layout,
    structure: &str,
    name: &str,
    index: u64,
) -> Result<&'layout Field, Unparsable> {
    let is_named = |field: &&Field| field.structure == structure && field.name == name;
    let all: Vec<&Field> = layout.fields.iter().filter(is_named).collect();
    let none = || Unparsable::new(format!("the image has no {structure}.{name}"));
    let place = index.checked_rem(all.len() as u64).ok_or_else(none)?;
    Ok(all[place as usize])
}

/// The length of the file after a truncation, in bytes.
fn truncated_length(
    layout: &Layout,
    structure: &str,
    index: u64,
    at: Cut,
) -> Result<u64, Unparsable> {
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

/// Writes `value` into the field in `bytes`, and returns the old and the new value as text.
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
    let is_hexadecimal = field.holds == Holds::Hexadecimal;
    if is_hexadecimal
        || field.holds == Holds::Text
        || field.bits > 64
        || !matches!(field.bits, 1 | 2 | 4) && !field.bits.is_multiple_of(8)
    {
        there.copy_from_slice(&patch::resolve_text(was, value, is_hexadecimal));
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        return Ok((shown(was), shown(there)));
    }
    let mask = u64::MAX >> (64 - field.bits);
    let all = patch::read_number(was, layout.order);
    let old = all >> field.shift & mask;
    let new = resolve_number(value, old, field, valid.len() as u64, layout) & mask;
    let kept = patch::read_number(there, layout.order) & !(mask << field.shift);
    patch::write_number(there, kept | new << field.shift, layout.order);
    Ok((format!("{old:#x}"), format!("{new:#x}")))
}

/// Resolves `value` for a field with the value `old`, in a file of `length` bytes.
fn resolve_number(value: Value, old: u64, field: &Field, length: u64, layout: &Layout) -> u64 {
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

/// The features of a mutation that entries of the catalogue can require: the structure's name, the field's name, and the manner.
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
            let is_named = |kind: &&Structure| kind.name == structure;
            let parts = structures(format).iter().copied().filter(is_named);
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
