//! A vpc in words: Virtual Hard Disk Image Format Specification.

use super::{Description, ENTRIES_MAX, text};
use crate::base::prose::counted;
use crate::disk_format::qcow2::{ImageBytes, Unparsable, number};
use crate::image::format::SECTOR_BYTES;

const FOOTER: &str = "VHD specification, Hard Disk Footer Format";
const BLOCKS: &str = "VHD specification, Block Allocation Table and Data Blocks";

pub(super) fn described(image: &ImageBytes) -> Result<Description, Unparsable> {
    let last = image.length().saturating_sub(SECTOR_BYTES);
    let footer = image.read("the footer", last, SECTOR_BYTES)?;
    let mut said = Description::default();
    let version = number::<4>(&footer, 32);
    let [major, minor] = [version >> 16, version & 0xffff];
    said.fact(
        "creator",
        format!("{} {major}.{minor}", text(&footer[28..32])),
    );
    said.fact("host", text(&footer[36..40]));
    let kind = match number::<4>(&footer, 60) {
        2 => "fixed".to_owned(),
        3 => "dynamic".to_owned(),
        4 => "differencing".to_owned(),
        other => format!("unknown ({other})"),
    };
    said.fact("type", kind);
    let (original, current) = (number::<8>(&footer, 40), number::<8>(&footer, 48));
    said.fact("size", current);
    let [cylinders, heads, sectors] = [
        number::<2>(&footer, 56),
        number::<1>(&footer, 58),
        number::<1>(&footer, 59),
    ];
    let geometry = cylinders * heads * sectors * SECTOR_BYTES;
    said.fact("geometry", format!("{cylinders}/{heads}/{sectors}"));
    said.unusual_if(
        geometry != current,
        format!("the geometry has {geometry} bytes and the current size is {current}: readers go by the one or the other"),
        "VHD specification, Hard Disk Footer Format, Current Size and Disk Geometry",
    );
    said.unusual_if(
        original != current,
        format!("the original size is {original} bytes and the current size {current}"),
        "VHD specification, Hard Disk Footer Format, Original Size",
    );
    said.unusual_if(
        !is_sealed(&footer, 64),
        "the footer's checksum is wrong",
        FOOTER,
    );
    if matches!(number::<4>(&footer, 60), 3 | 4) {
        blocks(image, &footer, &mut said)?;
    }
    Ok(said)
}

/// Whether the one's complement of the sum of all other bytes stands at `at`.
fn is_sealed(structure: &[u8], at: usize) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let all = sum(structure) - sum(&structure[at..at + 4]);
    u64::from(!all) == number::<4>(structure, at)
}

fn blocks(image: &ImageBytes, footer: &[u8], said: &mut Description) -> Result<(), Unparsable> {
    let copy = image.read("the copy of the footer", 0, SECTOR_BYTES)?;
    said.unusual_if(copy != footer, "the footer and its copy differ", FOOTER);
    let header = image.read("the dynamic header", number::<8>(footer, 16), 1024)?;
    let (count, block) = (number::<4>(&header, 28), number::<4>(&header, 32));
    said.fact("block size", block);
    said.unusual_if(
        !is_sealed(&header, 36),
        "the dynamic header's checksum is wrong",
        "VHD specification, Dynamic Disk Header Format, Checksum",
    );
    if count > ENTRIES_MAX {
        return Err(Unparsable::new(format!("{count} blocks")));
    }
    let table = image.read("the block table", number::<8>(&header, 16), count * 4)?;
    let entries = table.chunks(4).map(|entry| number::<4>(entry, 0));
    let places: Vec<u64> = entries
        .filter(|entry| *entry != u64::from(u32::MAX))
        .collect();
    said.fact("blocks", format!("{} of {count}", places.len()));
    let bytes = block / SECTOR_BYTES / 8;
    let mut marked_in_part = 0;
    for place in places {
        let bitmap = image.read("a bitmap of sectors", place * SECTOR_BYTES, bytes);
        marked_in_part += u64::from(bitmap.is_ok_and(|bits| bits.iter().any(|byte| *byte != 0xff)));
    }
    said.unusual_if(
        marked_in_part > 0,
        format!(
            "of {}, the bitmap does not mark all sectors: readers show what lies there, or zeros",
            counted(marked_in_part, "block")
        ),
        BLOCKS,
    );
    Ok(())
}
