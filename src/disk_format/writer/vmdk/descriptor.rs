//! The text of a descriptor.

use super::super::{Below, WrittenLayer};
use crate::image::format::SECTOR_BYTES;
use crate::image::unusual_feature::Unusual;

/// The content identifier of every image of ours.
const CID: &str = "1d1d1d1d";

/// What kind of file an extent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sparse,
    Flat,
    Vmfs,
    Cowd,
    Zero,
}

/// How an extent is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

/// A line of the descriptor.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    pub(super) sectors: u64,
    pub(super) kind: Kind,
    pub(super) access: Access,
    pub(super) file: String,
    /// Where it begins in its file, in sectors: flat extents tell it.
    pub(super) offset: u64,
}

impl Extent {
    pub(super) fn whole(bytes: u64, kind: Kind, file: &str) -> Self {
        // The name is relative to the descriptor, which lies in the same directory.
        let (_, name) = file.rsplit_once('/').unwrap_or(("", file));
        Self {
            sectors: bytes.div_ceil(SECTOR_BYTES),
            kind,
            access: Access::ReadWrite,
            file: name.to_owned(),
            offset: 0,
        }
    }

    fn line(&self) -> String {
        let access = match self.access {
            Access::ReadWrite => "RW",
            Access::ReadOnly => "RDONLY",
        };
        let start = format!("{access} {}", self.sectors);
        let (file, offset) = (&self.file, self.offset);
        match self.kind {
            Kind::Zero => format!("{start} ZERO"),
            Kind::Sparse => format!("{start} SPARSE \"{file}\""),
            Kind::Cowd => format!("{start} VMFSSPARSE \"{file}\""),
            Kind::Flat => format!("{start} FLAT \"{file}\" {offset}"),
            Kind::Vmfs => format!("{start} VMFS \"{file}\""),
        }
    }
}

/// Returns the bytes of the descriptor.
pub(super) fn text(
    layer: &WrittenLayer,
    kind: &str,
    extents: &[Extent],
    below: Option<&Below>,
) -> Vec<u8> {
    let encoding = match layer {
        layer if layer.has(Unusual::Windows1252) => Some("windows-1252"),
        layer if layer.has(Unusual::EncodingKey) => Some("UTF-8"),
        _ => None,
    };
    let parent = if below.is_some() { CID } else { "ffffffff" };
    let mut lines = vec![
        "# Disk DescriptorFile".to_owned(),
        "version=1".to_owned(),
        format!("CID={CID}"),
        format!("parentCID={parent}"),
        format!("createType=\"{kind}\""),
    ];
    if let Some(encoding) = encoding {
        lines.insert(2, format!("encoding=\"{encoding}\""));
    }
    if let Some(below) = below {
        lines.push(format!("parentFileNameHint=\"{}\"", below.name));
    }
    lines.extend([String::new(), "# Extent description".to_owned()]);
    lines.extend(extents.iter().map(Extent::line));
    let cylinders = layer.size / (16 * 63 * SECTOR_BYTES);
    lines.extend([
        String::new(),
        "# The Disk Data Base".to_owned(),
        "#DDB".to_owned(),
        String::new(),
        "ddb.virtualHWVersion = \"4\"".to_owned(),
        format!("ddb.geometry.cylinders = \"{cylinders}\""),
        "ddb.geometry.heads = \"16\"".to_owned(),
        "ddb.geometry.sectors = \"63\"".to_owned(),
        "ddb.adapterType = \"ide\"".to_owned(),
    ]);
    let end: &[u8] = if layer.has(Unusual::CrLf) {
        b"\r\n"
    } else {
        b"\n"
    };
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(line.as_bytes());
        bytes.extend(end);
    }
    if layer.has(Unusual::Windows1252) {
        // A letter that takes one byte there, and two in UTF-8.
        bytes.extend(b"ddb.comment = \"d\xe9j\xe0 vu\"");
        bytes.extend(end);
    }
    bytes
}
