//! A vhdx in words: [MS-VHDX].

use super::{Description, ENTRIES_MAX};
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::disk_format::skeleton::little;

const KIB: u64 = 1024;
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];

/// The first bytes of the GUIDs of the regions (2.2.3.2) and of the items of metadata (2.6.2).
const BAT: u64 = 0x2dc2_7766;
const METADATA: u64 = 0x8b7c_a206;
const FILE_PARAMETERS: u64 = 0xcaa1_6737;
const DISK_SIZE: u64 = 0x2fa5_4224;
const LOGICAL_SECTOR: u64 = 0x8141_bf1d;
const PHYSICAL_SECTOR: u64 = 0xcda3_48c7;

pub(super) fn described(image: &ImageBytes) -> Result<Description, Unparsable> {
    let mut said = Description::default();
    let identifier = image.read("the file type identifier", 0, 520)?;
    let units = identifier[8..]
        .chunks(2)
        .map(|unit| little::<2>(unit, 0) as u16);
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    said.fact("creator", String::from_utf16_lossy(&units));
    headers(image, &mut said)?;
    let table = image.read("the region table", REGION_TABLES[0], 64 * KIB)?;
    let other = image.read("the region table", REGION_TABLES[1], 64 * KIB)?;
    said.unusual_if(
        table != other,
        "the two region tables differ",
        "[MS-VHDX] 2.2.3, Region Tables",
    );
    let count = little::<4>(&table, 8).min(2047) as usize;
    let entries = (0..count).map(|index| &table[16 + index * 32..][..32]);
    let known = entries.filter(|entry| [BAT, METADATA].contains(&little::<4>(entry, 0)));
    let known: Vec<&[u8]> = known.collect();
    said.unusual_if(
        known.iter().any(|entry| little::<4>(entry, 28) & 1 == 0),
        "a region that must be known is not marked as required: VirtualBox refuses the image",
        "[MS-VHDX] 2.2.3.2, Known Regions, IsRequired",
    );
    let region = |wanted| {
        let found = known.iter().find(|entry| little::<4>(entry, 0) == wanted);
        found.map(|entry| little::<8>(entry, 16))
    };
    if let Some(place) = region(METADATA) {
        let (size, block) = metadata(image, place, &mut said)?;
        if let Some(bat) = region(BAT).filter(|_| block > 0) {
            payload(image, bat, size, block, &mut said)?;
        }
    }
    Ok(said)
}

fn headers(image: &ImageBytes, said: &mut Description) -> Result<(), Unparsable> {
    let mut sound = Vec::new();
    for place in HEADERS {
        let mut header = image.read("a header", place, 4 * KIB)?;
        let sum = little::<4>(&header, 4);
        header[4..8].fill(0);
        if header.starts_with(b"head") && u64::from(crc32c::crc32c(&header)) == sum {
            sound.push(header);
        }
    }
    said.unusual_if(
        sound.len() == 1,
        "one of the two headers is not sound",
        "[MS-VHDX] 2.2.2, Headers",
    );
    let current = sound.iter().max_by_key(|header| little::<8>(header, 8));
    let Some(header) = current else {
        said.unusual_if(true, "no header is sound", "[MS-VHDX] 2.2.2, Headers");
        return Ok(());
    };
    said.unusual_if(
        header[48..64] != [0; 16],
        "a log waits to be replayed: some readers show what stood there before it, others replay it or refuse",
        "[MS-VHDX] 2.3, Log",
    );
    Ok(())
}

/// Describes the items of metadata; returns the sizes of the disk and of a block in bytes.
fn metadata(
    image: &ImageBytes,
    place: u64,
    said: &mut Description,
) -> Result<(u64, u64), Unparsable> {
    let table = image.read("the metadata table", place, 64 * KIB)?;
    let count = little::<2>(&table, 10).min(2047) as usize;
    let (mut size, mut block) = (0, 0);
    for entry in (0..count).map(|index| &table[32 + index * 32..][..32]) {
        let item = place.saturating_add(little::<4>(entry, 16));
        let value = image.read("an item of metadata", item, 8)?;
        match little::<4>(entry, 0) {
            FILE_PARAMETERS => {
                block = little::<4>(&value, 0);
                said.fact("block size", block);
                let flags = little::<4>(&value, 4);
                said.fact("type", if flags & 1 == 1 { "fixed" } else { "dynamic" });
                said.unusual_if(
                    flags & 2 != 0,
                    "it has a parent",
                    "[MS-VHDX] 2.6.2.1, File Parameters, HasParent",
                );
            }
            DISK_SIZE => {
                size = little::<8>(&value, 0);
                said.fact("size", size);
            }
            LOGICAL_SECTOR => {
                let sector = little::<4>(&value, 0);
                said.fact("logical sector", sector);
                said.unusual_if(
                    sector != 512,
                    format!("its sectors have {sector} bytes"),
                    "[MS-VHDX] 2.6.2.4, Logical Sector Size",
                );
            }
            PHYSICAL_SECTOR => said.fact("physical sector", little::<4>(&value, 0)),
            _ => {}
        }
    }
    Ok((size, block))
}

/// Counts the blocks with a place. Behind each group of them the table has an entry for a bitmap of sectors (2.5.1).
fn payload(
    image: &ImageBytes,
    bat: u64,
    size: u64,
    block: u64,
    said: &mut Description,
) -> Result<(), Unparsable> {
    let blocks = size.div_ceil(block);
    let ratio = ((1 << 23) * 512 / block).max(1);
    let entries = blocks + blocks.saturating_sub(1) / ratio;
    if entries > ENTRIES_MAX {
        return Err(Unparsable::new(format!("{blocks} blocks")));
    }
    let table = image.read("the table of blocks", bat, entries * 8)?;
    let payload = table.chunks(8).enumerate();
    let payload = payload.filter(|(index, _)| !(*index as u64 + 1).is_multiple_of(ratio + 1));
    let entries: Vec<u64> = payload.map(|(_, entry)| little::<8>(entry, 0)).collect();
    let present = || entries.iter().filter(|entry| **entry & 7 >= 6);
    said.fact("blocks", format!("{} of {blocks}", present().count()));
    let ends = present().map(|entry| (entry >> 20 << 20) + block);
    said.unusual_if(
        ends.max().is_some_and(|end| end > image.length()),
        "the file ends within a block that is fully present",
        "[MS-VHDX] 2.5, payload blocks",
    );
    Ok(())
}
