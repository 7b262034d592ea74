//! The imago crate: the embedded default candidate.
//!
//! This file declares what it supports, also for the asynchronous candidate (`imago_async`); [`library`] makes the calls, inside the worker. Nothing is ever passed to
//! qemu-img: what imago's interface does not offer is unsupported.

#[cfg(feature = "imago")]
use super::library::Offer;
use crate::image::format::Format;
use crate::image::options::{Compression, CreateOption, Subformat};
use crate::tool::request::{BackingName, ImageFile, Request, SessionRequest, singles};

#[cfg(feature = "imago")]
mod calls;
#[cfg(feature = "imago")]
pub(super) mod library;

/// The version in `Cargo.toml`; a test compares it with `Cargo.lock`.
#[cfg(feature = "imago")]
pub const VERSION: &str = "0.2.6";

/// Why imago cannot be asked this; `None` if it can.
pub(super) fn objection(request: &Request) -> Option<String> {
    // imago never opens what lies below a new image.
    let is_made = matches!(request, Request::Create { .. });
    let of_mode = request.objection_of_mode("imago").filter(|_| !is_made);
    of_mode.or_else(|| objection_of_kind(request))
}

fn objection_of_kind(request: &Request) -> Option<String> {
    match request {
        Request::Check { .. }
        | Request::Measure { .. }
        | Request::Amend { .. }
        | Request::Rebase { .. }
        | Request::Commit { .. }
        | Request::Dd { .. }
        | Request::Bitmap { .. }
        | Request::Bench { .. }
        | Request::Snapshot { .. }
        | Request::SnapshotList { .. }
        | Request::SnapshotContents { .. }
        | Request::ConvertSnapshot { .. }
        | Request::Repair { .. } => Some(format!("imago has no {}", request.name())),
        Request::Create { file, .. } => cannot_open(file).or_else(|| cannot_create(file)),
        Request::Convert { compress: true, .. } => {
            Some("imago cannot write compressed clusters".to_owned())
        }
        Request::Convert { source, target, .. } => cannot_open(source)
            .or_else(|| cannot_open(target))
            .or_else(|| cannot_create(target)),
        Request::Resize {
            file,
            shrink: false,
            ..
        } if file.backing.is_some() => cannot_open(file).or_else(|| cannot_zero(file)),
        Request::Resize { file, .. } | Request::Write { file, .. } => {
            cannot_open(file).or_else(|| cannot_write(file))
        }
        Request::Info { file } | Request::Contents { file } | Request::Map { file, .. } => {
            cannot_open(file)
        }
        Request::WriteZeroes { file, .. } | Request::Discard { file, .. } => cannot_open(file)
            .or_else(|| cannot_write(file))
            .or_else(|| cannot_zero(file)),
        Request::Session { file, requests } => cannot_open(file)
            .or_else(|| cannot_write(file).filter(|_| !request.is_reading()))
            .or_else(|| singles(requests).find_map(|one| cannot_in_session(file, one))),
        Request::Compare { first, second } => cannot_open(first).or_else(|| cannot_open(second)),
    }
}

/// The requests that imago is asked for plain images; [`objection`] knows more.
#[cfg(feature = "imago")]
fn offer() -> Offer {
    let requests = [
        "info",
        "contents",
        "map",
        "compare",
        "convert",
        "create",
        "resize",
        "write",
        "write_zeroes",
        "discard",
        "session",
    ];
    Offer::new("imago", VERSION)
        .takes(&requests, ["raw", "qcow2"])
        .with_backing()
        .with_data_files()
        .with_encryption()
}

/// The formats that imago reads: raw, qcow2 without extended L2 entries and zstd, and of vmdk only flat extents. It
/// opens an encrypted qcow2 and does not report that it cannot decrypt it: that is a defect, not a missing feature.
fn cannot_open(file: &ImageFile) -> Option<String> {
    // imago takes them for names in the overlay's directory.
    let has_protocol = matches!(file.placement.names, BackingName::File | BackingName::Json);
    if file.backing.is_some() && has_protocol {
        return Some("imago takes no protocols in names of backing files".to_owned());
    }
    let below = file.backing.as_deref().and_then(cannot_lie_on);
    below.or_else(|| cannot_open_alone(file))
}

/// imago reports "Unknown backing format vmdk"; under an overlay of version 2, whose header extensions it ignores, it
/// takes the vmdk for raw.
fn cannot_lie_on(file: &ImageFile) -> Option<String> {
    let vmdk = file.format == Format::Vmdk;
    let refused = vmdk.then(|| "imago cannot open vmdk as a backing file".to_owned());
    refused.or_else(|| cannot_open(file))
}

fn cannot_open_alone(file: &ImageFile) -> Option<String> {
    match file.format {
        Format::Raw => None,
        Format::Qcow2 if file.options.has_extended_l2() => {
            Some("imago cannot open qcow2 with extended_l2".to_owned())
        }
        Format::Qcow2 if file.options.compression_type() == Some(Compression::Zstd) => {
            Some("imago cannot open qcow2 with zstd".to_owned())
        }
        Format::Qcow2 => None,
        Format::Vmdk if is_flat(file) => None,
        Format::Vmdk => Some("imago cannot open vmdk with sparse extents".to_owned()),
        Format::Vpc
        | Format::Vhdx
        | Format::Vdi
        | Format::Qcow
        | Format::Parallels
        | Format::Dmg
        | Format::Luks
        | Format::Qed => Some(format!("imago cannot open {}", file.format)),
    }
}

/// imago reports "No VMDK write support".
fn cannot_write(file: &ImageFile) -> Option<String> {
    (file.format == Format::Vmdk).then(|| "imago cannot write to vmdk".to_owned())
}

/// Whether the extents of a vmdk are raw files.
fn is_flat(file: &ImageFile) -> bool {
    file.options.subformat().is_some_and(Subformat::is_flat)
}

/// imago reports "qcow2 version 3 required": version 2 has no zero clusters, and imago does not write zeros instead.
fn cannot_zero(file: &ImageFile) -> Option<String> {
    let version_2 = file.format == Format::Qcow2 && file.options.is_version_2();
    version_2.then(|| "imago cannot zero or discard in qcow2 of version 2".to_owned())
}

/// Why imago cannot be asked this in a session.
fn cannot_in_session(file: &ImageFile, request: &SessionRequest) -> Option<String> {
    match request {
        SessionRequest::WriteZeroes { .. } | SessionRequest::Discard { .. } => cannot_zero(file),
        SessionRequest::Resize { .. } if file.backing.is_some() => cannot_zero(file),
        _ => None,
    }
}

/// The creation options that imago's builders offer.
fn cannot_create(file: &ImageFile) -> Option<String> {
    let offered: &[&str] = match file.format {
        Format::Qcow2 => &[
            "backing_file",
            "backing_fmt",
            "cluster_size",
            "data_file",
            "preallocation",
            "refcount_bits",
        ],
        _ => &["preallocation"],
    };
    let mut names = file.options.iter().map(CreateOption::name);
    let missing = names.find(|name| !offered.contains(name));
    let is_named = file.options.backing_file().is_some();
    let unnamed = file.backing.as_ref().filter(|_| !is_named);
    let missing = missing.or(unnamed.map(|_| "a backing file"));
    missing.map(|name| format!("imago cannot create {} with {name}", file.format))
}

#[cfg(all(test, feature = "imago"))]
mod tests {
    #[test]
    fn the_reported_version_is_the_embedded_one() {
        let lock = include_str!("../../Cargo.lock");
        let mut lines = lock.lines().skip_while(|line| *line != "name = \"imago\"");
        assert_eq!(
            lines.nth(1),
            Some(format!("version = \"{}\"", super::VERSION).as_str())
        );
    }
}
