//! Draws where the images of a chain lie, by which names they know each other, and data that look like another format.

use super::writes;
use crate::base::rng::NativeRandom;
use crate::disk_format::writer::{WrittenImage, WrittenLayer};
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::Subformat;
use crate::image::unusual_feature::Unusual;

/// Percentages of images in a directory of their own, of backing files in one, and of chains with decoys.
const IMAGE_PERCENT: u64 = 12;
const BACKING_PERCENT: u64 = 50;
const DECOYS_PERCENT: u64 = 50;
/// Percentage of images, of those that begin with a guest's data, where these look like another format.
const LOOKALIKE_PERCENT: u64 = 35;

/// Draws places and names for a finished image, and data that look like a header.
pub(super) fn draw(random: &mut NativeRandom, image: &mut WrittenImage) {
    let last = image.layers.len() - 1;
    for index in 1..=last {
        let format = image.layers[index].format;
        let mut drawn = Vec::new();
        drawn.extend(
            random
                .percent(BACKING_PERCENT)
                .then_some(Unusual::BackingInDirectory),
        );
        drawn.extend(random.percent(DECOYS_PERCENT).then_some(Unusual::Decoys));
        drawn.extend(match random.below(10) {
            0 | 1 => Some(Unusual::AbsoluteName),
            2 => Some(Unusual::FileName),
            3 => Some(Unusual::JsonName),
            _ => None,
        });
        drawn.retain(|feature| feature.formats().contains(&format));
        image.layers[index].unusual.extend(drawn);
    }
    let format = image.layers[last].format;
    let is_apart = random.percent(IMAGE_PERCENT);
    if is_apart && Unusual::ImageInDirectory.formats().contains(&format) {
        image.layers[last].unusual.push(Unusual::ImageInDirectory);
    }
    // A qcow of version 1 cannot tell the format of the image below, so that it is probed.
    let is_probed = format == Format::Qcow;
    for layer in &mut image.layers {
        let is_wanted = random.percent(LOOKALIKE_PERCENT);
        let header = *random.choice(&HEADERS);
        if is_wanted && begins_with_data(layer) && !is_probed {
            layer.unusual.push(Unusual::Lookalike);
            layer.writes.extend(written(header, layer.size));
        }
        layer.unusual.sort();
    }
}

/// Whether a guest's first sector is the first of a file.
fn begins_with_data(layer: &WrittenLayer) -> bool {
    let subformat = layer.options.subformat();
    match layer.format {
        Format::Raw => true,
        Format::Vpc => subformat == Some(Subformat::Fixed),
        Format::Vmdk => matches!(
            subformat,
            Some(Subformat::MonolithicFlat | Subformat::TwoGbMaxExtentFlat)
        ),
        Format::Qcow2 => layer.options.data_file_raw() == Some(true),
        _ => false,
    }
}

/// The beginnings of other formats: offsets and bytes. All of them are empty disks of 1 MiB.
const HEADERS: [&[(u64, &[u8])]; 5] = [
    // qcow2 of version 2, with clusters of 64 KiB.
    &[
        (0, b"QFI\xfb\0\0\0\x02"),
        (20, b"\0\0\0\x10\0\0\0\0\0\x10\0\0"),
        (36, b"\0\0\0\x01\0\0\0\0\0\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\x01"),
    ],
    // vdi.
    &[
        (0, b"<<< Oracle VM VirtualBox Disk Image >>>\n"),
        (64, b"\x7f\x10\xda\xbe\x01\0\x01\0\x90\x01\0\0\x01\0\0\0"),
        (340, b"\0\x02\0\0\0\x04\0\0"),
        (360, b"\0\x02\0\0"),
        (368, b"\0\0\x10\0\0\0\0\0\0\0\x10\0"),
        (384, b"\x01\0\0\0"),
    ],
    // A descriptor of vmdk without an extent's file.
    &[(
        0,
        b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 2048 ZERO\n",
    )],
    // vhdx.
    &[(0, b"vhdxfile")],
    // qcow of version 1.
    &[
        (0, b"QFI\xfb\0\0\0\x01"),
        (24, b"\0\0\0\0\0\x10\0\0\x0c\x09"),
        (40, b"\0\0\0\0\0\0\0\x30"),
    ],
];

/// The writes of a header, over a first sector of zeros.
fn written(header: &[(u64, &[u8])], size: u64) -> Vec<Write> {
    let mut found = vec![Write::repeated(0, writes::SECTOR.min(size), 0)];
    for (offset, bytes) in header {
        let mut start = 0;
        while start < bytes.len() {
            let same = bytes[start..]
                .iter()
                .take_while(|byte| **byte == bytes[start]);
            let length = same.count();
            if bytes[start] != 0 {
                let place = offset + start as u64;
                found.push(Write::repeated(place, length as u64, bytes[start]));
            }
            start += length;
        }
    }
    found
}
