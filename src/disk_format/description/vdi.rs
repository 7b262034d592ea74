//! A vdi in words: VirtualBox, VDICore.h, as QEMU's block/vdi.c has it.

use std::collections::BTreeSet;

use super::{Description, ENTRIES_MAX, text};
use crate::base::prose::counted;
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::disk_format::skeleton::little;
use crate::image::format::SECTOR_BYTES;

/// The block map's entries without a place: never written, and zeros.
const FREE: u64 = 0xffff_ffff;
const ZERO: u64 = 0xffff_fffe;

pub(super) fn described(image: &ImageBytes) -> Result<Description, Unparsable> {
    let header = image.read("the header", 0, SECTOR_BYTES)?;
    let mut said = Description::default();
    said.fact("creator", text(&header[..64]));
    let version = little::<4>(&header, 68);
    said.fact("version", format!("{}.{}", version >> 16, version & 0xffff));
    let kind = match little::<4>(&header, 76) {
        1 => "dynamic",
        2 => "static",
        4 => "differencing",
        _ => "unknown",
    };
    said.fact("type", kind);
    let (size, block) = (little::<8>(&header, 368), little::<4>(&header, 376).max(1));
    said.fact("size", size);
    said.fact("block size", block);
    let (count, allocated) = (little::<4>(&header, 384), little::<4>(&header, 388));
    if count > ENTRIES_MAX {
        return Err(Unparsable::new(format!("{count} blocks")));
    }
    let Ok(map) = image.read("the block map", little::<4>(&header, 340), count * 4) else {
        said.unusual_if(
            true,
            "the file ends before the end of its block map",
            "VirtualBox, VDICore.h, VDIHEADER1, offBlocks",
        );
        return Ok(said);
    };
    let entries: Vec<u64> = map.chunks(4).map(|entry| little::<4>(entry, 0)).collect();
    let placed = || entries.iter().filter(|entry| **entry < ZERO);
    said.fact("blocks", format!("{} of {count}", placed().count()));
    let zeros = entries.iter().filter(|entry| **entry == ZERO).count() as u64;
    said.unusual_if(
        zeros > 0,
        format!(
            "{} marked as zero (0xfffffffe, not {FREE:#x})",
            counted(zeros, "block")
        ),
        "VirtualBox, VDICore.h, VDI_IMAGE_BLOCK_ZERO",
    );
    said.unusual_if(
        placed().count() as u64 != allocated,
        format!("the header counts {allocated} allocated blocks"),
        "VirtualBox, VDICore.h, VDIHEADER1, cBlocksAllocated",
    );
    said.unusual_if(
        placed().collect::<BTreeSet<_>>().len() < placed().count(),
        "two blocks have one place",
        "VirtualBox, VDI.cpp, the block array",
    );
    said.unusual_if(
        size % block != 0,
        "the disk ends within its last block",
        "VirtualBox, VDICore.h, VDIHEADER1, cbDisk",
    );
    said.unusual_if(
        little::<4>(&header, 380) != 0,
        "blocks begin with extra data",
        "VirtualBox, VDICore.h, VDIHEADER1, cbBlockExtra",
    );
    said.unusual_if(
        header[424..440] != [0; 16],
        "it has a parent",
        "VirtualBox, VDICore.h, VDIHEADER1, uuidLinkage",
    );
    Ok(said)
}
