//! A qcow2 in words: QEMU's qcow2 specification.

use super::Description;
use crate::disk_format::qcow2::audit::Audit;
use crate::disk_format::qcow2::header::Header;
use crate::disk_format::qcow2::{ImageBytes, Unparsable};

/// The bits of `incompatible_features` in words, from bit 0.
const FEATURES: [&str; 5] = [
    "it was not closed cleanly, so that refcounts may be stale (dirty bit)",
    "it is marked as corrupt",
    "its data are in another file",
    "it tells a compression type of its own",
    "it has extended L2 entries",
];

const FEATURE_BITS: &str = "qcow2 specification, Header, incompatible_features";

pub(super) fn described(image: &ImageBytes) -> Result<Description, Unparsable> {
    let header = Header::read(image)?;
    let audit = Audit::of_qcow2(image)?;
    let mut said = Description::default();
    let fact = |name: &str| audit.facts.get(name).cloned().unwrap_or_default();
    said.fact("version", header.version);
    said.fact("size", header.size);
    said.fact("cluster size", header.cluster_size());
    said.fact("refcount bits", header.refcount_bits());
    for (name, what) in [
        ("nb_snapshots", "snapshots"),
        ("nb_bitmaps", "bitmaps"),
        ("backing_file", "backing file"),
        ("backing_format", "backing format"),
        ("data_file", "data file"),
    ] {
        let value = fact(name);
        if !value.is_empty() && value != "0" {
            said.fact(what, value);
        }
    }
    for (bit, words) in FEATURES.iter().enumerate() {
        said.unusual_if(
            header.incompatible_features >> bit & 1 == 1,
            *words,
            FEATURE_BITS,
        );
    }
    let unknown = header.incompatible_features >> FEATURES.len();
    said.unusual_if(
        unknown != 0,
        format!(
            "it has incompatible features that are not known: {unknown:#x} from bit {}",
            FEATURES.len()
        ),
        FEATURE_BITS,
    );
    said.unusual_if(
        fact("crypt_method") != "0",
        "its data are encrypted",
        "qcow2 specification, Header, crypt_method",
    );
    said.unusual_if(
        header.size % 512 != 0,
        "its size is no multiple of a sector",
        "qcow2 specification, Header, size",
    );
    said.unusual_if(
        !fact("backing_file").is_empty() && fact("backing_format").is_empty(),
        "it does not tell the format of its backing file, which readers then guess",
        "qcow2 specification, Header extensions, Backing file format name",
    );
    for problem in &audit.problems {
        said.unusual_if(
            true,
            problem.as_str(),
            "qcow2 specification, Host cluster management",
        );
    }
    Ok(said)
}
