//! A vmdk in words: VMware Virtual Disk Format 5.0.

use super::{Description, text};
use crate::disk_format::extent_line::ExtentLine;
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::disk_format::skeleton::little;
use crate::image::format::SECTOR_BYTES;

const HEADER: &str = "VMware Virtual Disk Format 5.0, sparse extent header";
const DESCRIPTOR: &str = "VMware Virtual Disk Format 5.0, The Descriptor File, The Extents";

/// The most bytes of a descriptor.
const DESCRIPTOR_BYTES_MAX: u64 = 1 << 20;

/// The offset of a grain directory that stands in a footer.
const AT_END: u64 = u64::MAX;

pub(super) fn described(image: &ImageBytes, name: &str) -> Result<Description, Unparsable> {
    let mut said = Description::default();
    let header = image.read("the header", 0, SECTOR_BYTES)?;
    if !header.starts_with(b"KDMV") {
        let length = image.length().min(DESCRIPTOR_BYTES_MAX);
        descriptor(
            &text(&image.read("the descriptor", 0, length)?),
            name,
            None,
            &mut said,
        );
        return Ok(said);
    }
    let capacity = little::<8>(&header, 12);
    let place = little::<8>(&header, 28).saturating_mul(SECTOR_BYTES);
    let length = little::<8>(&header, 36).saturating_mul(SECTOR_BYTES);
    if place > 0 {
        let bytes = image.read("the descriptor", place, length.min(DESCRIPTOR_BYTES_MAX))?;
        descriptor(&text(&bytes), name, Some(capacity), &mut said);
    }
    sparse(&header, capacity, &mut said);
    Ok(said)
}

/// The header of a sparse extent.
fn sparse(header: &[u8], capacity: u64, said: &mut Description) {
    let (version, flags) = (little::<4>(header, 4), little::<4>(header, 8));
    said.fact("extent version", version);
    said.fact("size", capacity.saturating_mul(SECTOR_BYTES));
    said.fact(
        "grain size",
        little::<8>(header, 20).saturating_mul(SECTOR_BYTES),
    );
    said.unusual_if(
        flags & 4 != 0,
        "grains of zeros are marked in the tables (flag bit 2)",
        HEADER,
    );
    said.unusual_if(
        little::<2>(header, 77) != 0,
        "its grains are compressed",
        "VMware Virtual Disk Format 5.0, Stream-Optimized Compressed Sparse Extents",
    );
    said.unusual_if(
        little::<8>(header, 56) == AT_END,
        "its grain directory stands in a footer at the end",
        "VMware Virtual Disk Format 5.0, Stream-Optimized Compressed Sparse Extents",
    );
    said.unusual_if(
        flags & 2 == 0,
        "it has no redundant grain tables (flag bit 1)",
        HEADER,
    );
    said.unusual_if(
        !(1..=3).contains(&version),
        format!("its version is {version}"),
        HEADER,
    );
    said.unusual_if(header[72] != 0, "it was not closed cleanly", HEADER);
}

/// A descriptor; `capacity` is that of the extent's header, in sectors, if it stands in one.
fn descriptor(text: &str, name: &str, capacity: Option<u64>, said: &mut Description) {
    let value = |key: &str| {
        let mut lines = text.lines().map(str::trim);
        let found = lines.find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
        found.map(|value| value.trim().trim_matches('"').to_owned())
    };
    for (key, what) in [
        ("createType", "type"),
        ("ddb.adapterType", "adapter"),
        ("ddb.toolsVersion", "tools version"),
        ("ddb.virtualHWVersion", "hardware version"),
    ] {
        if let Some(value) = value(key) {
            said.fact(what, value);
        }
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let extents = lines.iter().filter_map(|line| ExtentLine::parsed(line));
    let extents: Vec<ExtentLine<'_>> = extents.collect();
    said.fact("extents", extents.len());
    let sectors = extents.iter().filter_map(|extent| extent.sectors);
    let sectors = sectors.fold(0, u64::saturating_add);
    if let Some(capacity) = capacity.filter(|_| extents.len() == 1) {
        said.unusual_if(
            capacity != sectors,
            format!("the header has {capacity} sectors and the descriptor {sectors}: readers go by the one or the other"),
            DESCRIPTOR,
        );
        let named = extents[0].file_name;
        said.unusual_if(
            named.is_some_and(|named| named != name),
            format!("its extent is named {} in it", named.unwrap_or_default()),
            DESCRIPTOR,
        );
    } else {
        said.fact("size", sectors.saturating_mul(SECTOR_BYTES));
    }
    let blank = lines
        .windows(2)
        .any(|two| two[0].is_empty() && ExtentLine::parsed(two[1]).is_some());
    said.unusual_if(
        blank,
        "a blank line stands before an extent: qemu-img counts that extent twice",
        DESCRIPTOR,
    );
    said.unusual_if(
        value("parentFileNameHint").is_some(),
        "it has a parent",
        "VMware Virtual Disk Format 5.0, The Descriptor File, The Header, parentCID",
    );
}
