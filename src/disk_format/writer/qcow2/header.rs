//! The header, with its extensions and the name of the backing file: all within the first cluster.

use super::super::{Below, WrittenLayer};
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::qcow2::extensions::{BACKING_FORMAT, DATA_FILE};
use crate::disk_format::qcow2::header::{EXTENDED_L2_ENTRIES, EXTERNAL_DATA_FILE, MAGIC};
use crate::image::options::Compression;
use crate::image::unusual_feature::Unusual;

/// The lengths of headers in bytes: of version 2, of version 3 as the specification first had it, with the compression type, and longer.
const VERSION_2_BYTES: usize = 72;
const SHORT_BYTES: usize = 104;
const USUAL_BYTES: usize = 112;
const LONG_BYTES: usize = 144;

/// Bit 3 of `incompatible_features`: the compression type is not deflate.
const COMPRESSION_TYPE: u64 = 1 << 3;
/// Bit 0 of `compatible_features`.
const LAZY_REFCOUNTS: u64 = 1;
/// Bit 1 of `autoclear_features`: the external data file is a raw image of its own.
const RAW_DATA_FILE: u64 = 1 << 1;
/// Bits that no specification gives a meaning.
const UNKNOWN_COMPATIBLE: u64 = 1 << 37;
const UNKNOWN_AUTOCLEAR: u64 = 1 << 41;

/// The extension with the names of features, and one that nobody knows.
const FEATURE_NAMES: u64 = 0x6803_f857;
const UNKNOWN_EXTENSION: u64 = 0x696d_6764;

/// Where the tables lie.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) l1_offset: u64,
    pub(super) l1_entries: u64,
    pub(super) refcount_offset: u64,
    pub(super) refcount_clusters: u64,
    pub(super) snapshots: u64,
    pub(super) snapshots_offset: u64,
}

/// Returns the bytes of the first cluster.
pub(super) fn header(
    layer: &WrittenLayer,
    below: Option<&Below>,
    tables: &Tables,
) -> Result<Vec<u8>, Unparsable> {
    let is_version_2 = layer.options.is_version_2();
    let length = match layer {
        _ if is_version_2 => VERSION_2_BYTES,
        layer if layer.has(Unusual::LongHeader) => LONG_BYTES,
        layer if layer.has(Unusual::ShortHeader) && !is_zstd(layer) => SHORT_BYTES,
        _ => USUAL_BYTES,
    };
    let mut header = vec![0; length];
    let mut put = |offset: usize, bytes: &[u8]| {
        header[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &MAGIC);
    put(4, &if is_version_2 { 2_u32 } else { 3 }.to_be_bytes());
    put(20, &layer.unit_bits.to_be_bytes());
    put(24, &layer.size.to_be_bytes());
    put(36, &(tables.l1_entries as u32).to_be_bytes());
    put(40, &tables.l1_offset.to_be_bytes());
    put(48, &tables.refcount_offset.to_be_bytes());
    put(56, &(tables.refcount_clusters as u32).to_be_bytes());
    put(60, &(tables.snapshots as u32).to_be_bytes());
    put(64, &tables.snapshots_offset.to_be_bytes());
    if !is_version_2 {
        let [incompatible, compatible, autoclear] = features(layer);
        put(72, &incompatible.to_be_bytes());
        put(80, &compatible.to_be_bytes());
        put(88, &autoclear.to_be_bytes());
        let order = layer.options.refcount_width().ilog2();
        put(96, &order.to_be_bytes());
        put(100, &(length as u32).to_be_bytes());
        if length > SHORT_BYTES {
            put(104, &[u8::from(is_zstd(layer))]);
        }
    }
    let mut cluster = header;
    for (kind, bytes) in extensions(layer, below) {
        cluster.extend((kind as u32).to_be_bytes());
        cluster.extend((bytes.len() as u32).to_be_bytes());
        cluster.extend(bytes);
        cluster.resize(cluster.len().next_multiple_of(8), 0);
    }
    cluster.extend([0; 8]);
    if let Some(below) = below {
        let (offset, name) = (cluster.len() as u64, below.name.as_bytes());
        cluster[8..16].copy_from_slice(&offset.to_be_bytes());
        cluster[16..20].copy_from_slice(&(name.len() as u32).to_be_bytes());
        cluster.extend(name);
    }
    if cluster.len() as u64 > layer.unit() {
        return Err(Unparsable::new(format!(
            "a header of {} bytes has no room in a cluster of {}",
            cluster.len(),
            layer.unit()
        )));
    }
    cluster.resize(layer.unit() as usize, 0);
    Ok(cluster)
}

fn is_zstd(layer: &WrittenLayer) -> bool {
    layer.options.compression_type() == Some(Compression::Zstd)
}

/// The incompatible, the compatible and the autoclear features.
fn features(layer: &WrittenLayer) -> [u64; 3] {
    let bit = |is_set: bool, bit: u64| if is_set { bit } else { 0 };
    let incompatible = bit(layer.options.data_file().is_some(), EXTERNAL_DATA_FILE)
        | bit(is_zstd(layer), COMPRESSION_TYPE)
        | bit(layer.options.has_extended_l2(), EXTENDED_L2_ENTRIES);
    let compatible = bit(layer.has(Unusual::LazyRefcounts), LAZY_REFCOUNTS)
        | bit(layer.has(Unusual::UnknownCompatible), UNKNOWN_COMPATIBLE);
    let autoclear = bit(layer.options.data_file_raw() == Some(true), RAW_DATA_FILE)
        | bit(layer.has(Unusual::UnknownAutoclear), UNKNOWN_AUTOCLEAR);
    [incompatible, compatible, autoclear]
}

/// The extensions in order: the type of each, and its bytes.
fn extensions(layer: &WrittenLayer, below: Option<&Below>) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    if layer.has(Unusual::HeaderExtensions) {
        // Its length is no multiple of 8, so that padding follows.
        found.push((UNKNOWN_EXTENSION, b"of nobody".to_vec()));
        let names = [
            (0, 0, "dirty bit"),
            (1, UNKNOWN_COMPATIBLE.trailing_zeros(), "of nobody"),
        ];
        let mut table = Vec::new();
        for (kind, bit, name) in names {
            let mut entry = vec![0; 48];
            entry[0] = kind;
            entry[1] = bit as u8;
            entry[2..2 + name.len()].copy_from_slice(name.as_bytes());
            table.extend(entry);
        }
        found.push((FEATURE_NAMES, table));
    }
    if let Some(below) = below {
        let name = below.format.name().as_bytes();
        found.push((BACKING_FORMAT, name.to_vec()));
    }
    if let Some(name) = layer.options.data_file() {
        found.push((DATA_FILE, name.as_bytes().to_vec()));
    }
    found
}
