//! The snapshot table: "Snapshots" in QEMU's qcow2 specification, with the field names of its entries' headers.
//!
//! The `snapshot` operation compares two tools' tables byte by byte; the audit needs the tables' extent. This module does not follow the
//! snapshots' L1 tables.

use super::header::Header;
use super::{ImageBytes, Unparsable, number};

/// QEMU's limit for the number of snapshots (QCOW_MAX_SNAPSHOTS).
const SNAPSHOTS_MAX: u32 = 65536;

/// QEMU's limit for the length of a table, in bytes (QCOW_MAX_SNAPSHOTS_SIZE).
const SNAPSHOT_TABLE_BYTES_MAX: u64 = 64 << 20;

/// The length of the fixed part of an entry, in bytes.
const FIXED_BYTES: u64 = 40;

/// The offset of `date_sec` in an entry, in bytes; `date_nsec` follows it.
const DATE_OFFSET: u64 = 16;

/// The alignment of entries, in bytes.
const ENTRY_ALIGNMENT_BYTES: u64 = 8;

/// The date that replaces every snapshot's date, in seconds since the Epoch: the same as in the Python harness.
pub const SETTLED_DATE_SEC: u32 = 0x6000_0000;

/// An entry of the snapshot table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTableEntry {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes, without padding.
    pub length: u64,
    /// The unique id string.
    pub id_str: Vec<u8>,
    /// The name.
    pub name: Vec<u8>,
    /// When the snapshot was created, in seconds since the Epoch.
    pub date_sec: u32,
    /// The fraction of a second of that time, in nanoseconds.
    pub date_nsec: u32,
}

/// Reads the snapshot table that the header points to. Fails if the table exceeds the file or QEMU's limits.
pub fn entries(image: &ImageBytes, header: &Header) -> Result<Vec<SnapshotTableEntry>, Unparsable> {
    if header.nb_snapshots > SNAPSHOTS_MAX {
        return Err(Unparsable::new(format!(
            "nb_snapshots {}",
            header.nb_snapshots
        )));
    }
    let mut entries = Vec::new();
    let mut offset = header.snapshots_offset;
    for index in 0..header.nb_snapshots {
        let what = format!("snapshot table entry {index}");
        let fixed = image.read(&what, offset, FIXED_BYTES)?;
        let field = number::<2>;
        let (id_str_size, name_size) = (field(&fixed, 12), field(&fixed, 14));
        let extra_data_size = number::<4>(&fixed, 36);
        let length = FIXED_BYTES + extra_data_size + id_str_size + name_size;
        let end = offset + length;
        if end > image.length() || end - header.snapshots_offset > SNAPSHOT_TABLE_BYTES_MAX {
            return Err(Unparsable::new(format!(
                "{what} ends at {end:#x}, the file has {} bytes",
                image.length()
            )));
        }
        let id_str = image.read(&what, offset + FIXED_BYTES + extra_data_size, id_str_size)?;
        let name = image.read(&what, end - name_size, name_size)?;
        entries.push(SnapshotTableEntry {
            offset,
            length,
            id_str,
            name,
            date_sec: number::<4>(&fixed, DATE_OFFSET as usize) as u32,
            date_nsec: number::<4>(&fixed, DATE_OFFSET as usize + 4) as u32,
        });
        offset = end.next_multiple_of(ENTRY_ALIGNMENT_BYTES);
    }
    Ok(entries)
}

/// Makes tables of different tools comparable: sets the date of every entry to [`SETTLED_DATE_SEC`], and the padding between entries to zero.
/// The padding after the last entry is not part of the table and keeps its value. Changes the file rather than a copy of the table, because the
/// bytes of a table that is freed later remain in the file. Returns the original dates in seconds, in the table's order.
pub fn settle(image: &ImageBytes, header: &Header) -> Result<Vec<u32>, Unparsable> {
    let entries = entries(image, header)?;
    let mut date = SETTLED_DATE_SEC.to_be_bytes().to_vec();
    date.extend([0; 4]);
    for (index, entry) in entries.iter().enumerate() {
        if (entry.date_sec, entry.date_nsec) != (SETTLED_DATE_SEC, 0) {
            image.write("a snapshot's date", entry.offset + DATE_OFFSET, &date)?;
        }
        let end = entry.offset + entry.length;
        let next = entries.get(index + 1).map_or(end, |next| next.offset);
        let alignment = image.read("alignment", end, next - end)?;
        if alignment.iter().any(|byte| *byte != 0) {
            image.write("alignment", end, &vec![0; alignment.len()])?;
        }
    }
    Ok(entries.iter().map(|entry| entry.date_sec).collect())
}

#[cfg(test)]
mod tests;
