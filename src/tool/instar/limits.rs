//! What instar's documents exclude, as far as a request alone tells: one row each, with its number in docs/instar.md.
//!
//! What depends on more than the request (how full a refcount block is, how many snapshots there are) is in the catalogue of known divergences.

use crate::image::format::Format;
use crate::image::options::{Compression, CreateOption, Preallocation, Subformat};
use crate::tool::request::{ImageFile, Request, SnapshotKey};

/// The longest request of a benchmark (H4).
const BENCH_BYTES_MAX: u64 = 2 << 20;
/// The largest clusters that commit, safe rebase and resize take (N5, B13, Z7).
const COMMIT_CLUSTER_MAX: u64 = 64 << 10;
const REBASE_CLUSTER_MAX: u64 = 1 << 20;
const RESIZE_CLUSTER_MAX: u64 = 1 << 20;
/// The refcount width that most commands ask for.
const REFCOUNT_BITS: u64 = 16;

/// A documented limit.
struct Limit {
    /// Its number in docs/instar.md.
    id: &'static str,
    /// What instar does not do.
    what: &'static str,
    excludes: fn(&Request) -> bool,
}

/// The limits, of which the first one that excludes a request is reported.
const LIMITS: [Limit; 30] = [
    limit(
        "I6",
        "instar refuses raw images without a partition table",
        |request| matches!(request, Request::Info { file } if file.format == Format::Raw),
    ),
    limit(
        "K4",
        "instar checks qcow2, vmdk, vpc and vhdx only",
        |request| matches!(request, Request::Check { file } if !is_checked(file.format)),
    ),
    limit(
        "M10",
        "instar neither maps nor measures vdi, parallels and qcow",
        |request| described(request).is_some_and(|file| is_read_only(file.format)),
    ),
    limit(
        "A11",
        "instar takes a dmg as raw where it maps and measures",
        |request| described(request).is_some_and(|file| file.format == Format::Dmg),
    ),
    limit(
        "A2",
        "instar maps no image with a backing file",
        |request| matches!(request, Request::Map { file, .. } if file.is_layered()),
    ),
    limit(
        "A6",
        "instar maps no vmdk of several files",
        |request| matches!(request, Request::Map { file, .. } if file.is_split()),
    ),
    limit(
        "M11",
        "instar neither checks nor measures a differencing vpc or vhdx",
        |request| {
            let checked = match request {
                Request::Check { file } => Some(file),
                _ => described(request),
            };
            checked.is_some_and(is_differencing)
        },
    ),
    limit(
        "output",
        "instar writes raw, qcow2, vmdk, vpc and vhdx only",
        |request| {
            let written = match request {
                Request::Measure { target, .. } => Some(*target),
                Request::Create { file, .. } | Request::Resize { file, .. } => Some(file.format),
                Request::Convert { target, .. }
                | Request::ConvertSnapshot { target, .. }
                | Request::Dd { target, .. } => Some(target.format),
                _ => None,
            };
            written.is_some_and(|format| is_read_only(format) || !format.is_written())
        },
    ),
    limit(
        "qcow2 only",
        "instar amends, rebases, commits, snapshots and has bitmaps in qcow2 only",
        |request| {
            let changed = matches!(
                request,
                Request::Amend { .. }
                    | Request::Rebase { .. }
                    | Request::Commit { .. }
                    | Request::Bitmap { .. }
                    | Request::Snapshot { .. }
                    | Request::SnapshotList { .. }
                    | Request::SnapshotContents { .. }
                    | Request::Repair { .. }
            );
            changed && request.file().format != Format::Qcow2
        },
    ),
    limit(
        "secret",
        "instar is given no secret for an encrypted image",
        |request| {
            let is_locked = request.images().into_iter().any(ImageFile::is_locked);
            is_locked && !matches!(request, Request::Info { .. })
        },
    ),
    limit(
        "C14",
        "instar takes a fixed vpc for raw where a command has no flag for its format",
        |request| sources(request).into_iter().any(is_fixed_vpc),
    ),
    limit(
        "guest data",
        "instar has no command that writes guest data",
        |request| {
            matches!(
                request,
                Request::Write { .. }
                    | Request::WriteZeroes { .. }
                    | Request::Discard { .. }
                    | Request::Session { .. }
            )
        },
    ),
    limit(
        "C5",
        "instar cannot create qcow2 with preallocation and extended_l2",
        |request| {
            created(request).is_some_and(|file| {
                let is_qcow2 = file.format == Format::Qcow2;
                is_qcow2 && file.options.preallocates() && file.options.has_extended_l2()
            })
        },
    ),
    limit(
        "C7",
        "instar cannot create vmdk, vpc and vhdx with preallocation",
        |request| {
            created(request)
                .is_some_and(|file| file.format != Format::Raw && is_foreign_preallocation(file))
        },
    ),
    limit(
        "C12",
        "instar creates no vmdk in several files",
        |request| {
            created(request).is_some_and(|file| {
                let subformat = file.options.subformat();
                subformat.is_some_and(Subformat::is_split)
            })
        },
    ),
    limit(
        "C13",
        "instar creates no qcow2 with an external data file or encryption",
        |request| {
            created(request).is_some_and(|file| file.data_file().is_some() || file.is_encrypted())
        },
    ),
    limit(
        "Z5",
        "instar does not grow with preallocation=metadata",
        |request| resized(request).is_some_and(|(_, mode)| mode == Some(Preallocation::Metadata)),
    ),
    limit(
        "Z6",
        "instar does not resize an image with a backing file",
        |request| resized(request).is_some_and(|(file, _)| file.is_layered()),
    ),
    limit(
        "Z7",
        "instar does not resize an image with clusters of 2 MiB",
        |request| {
            resized(request).is_some_and(|(file, _)| has_clusters_above(file, RESIZE_CLUSTER_MAX))
        },
    ),
    limit(
        "Z10",
        "instar does not preallocate where it grows an image with extended_l2",
        |request| {
            resized(request).is_some_and(|(file, mode)| {
                file.options.has_extended_l2() && mode.is_some_and(Preallocation::takes_space)
            })
        },
    ),
    limit(
        "E",
        "instar amends compat and lazy_refcounts only",
        |request| {
            let is_known = |option: &CreateOption| {
                matches!(
                    option,
                    CreateOption::Compat(_) | CreateOption::LazyRefcounts(_)
                )
            };
            matches!(request, Request::Amend { options, .. } if !options.iter().all(is_known))
        },
    ),
    limit(
        "B5, B12, B13, B15",
        "instar rebases no image of such options in safe mode",
        |request| {
            matches!(request, Request::Rebase { file, mode, .. }
            if !mode.is_unsafe && (is_unusual(file) || file.options.has_extended_l2() || has_clusters_above(file, REBASE_CLUSTER_MAX)))
        },
    ),
    limit(
        "N5, N6, N14",
        "instar commits no image of such options",
        |request| {
            matches!(request, Request::Commit { file, .. }
            if is_unusual(file) || has_clusters_above(file, COMMIT_CLUSTER_MAX))
        },
    ),
    limit(
        "T4",
        "instar changes no snapshots of an image of such options",
        |request| matches!(request, Request::Snapshot { file, .. } if is_unusual(file) || file.data_file().is_some()),
    ),
    limit(
        "L3",
        "instar has bitmaps only in images with refcounts of 16 bits",
        |request| matches!(request, Request::Bitmap { file, .. } if has_other_refcounts(file)),
    ),
    limit(
        "H4",
        "instar benches with requests of at most 2 MiB",
        |request| matches!(request, Request::Bench { plan, .. } if plan.length.is_some_and(|length| length > BENCH_BYTES_MAX)),
    ),
    limit(
        "H7",
        "instar benches writes to raw and qcow2 only",
        |request| {
            let is_written = |format| matches!(format, Format::Raw | Format::Qcow2);
            matches!(request, Request::Bench { file, plan } if plan.writes && !is_written(file.format))
        },
    ),
    limit(
        "H10",
        "instar benches no writes to an image of such options",
        |request| {
            matches!(request, Request::Bench { file, plan }
            if plan.writes && (is_unusual(file) || file.options.has_extended_l2() || file.data_file().is_some()))
        },
    ),
    limit(
        "convert",
        "instar's convert has no flags for such create options",
        |request| {
            converted(request).is_some_and(|(target, _)| {
                !target
                    .options
                    .iter()
                    .all(|option| has_flag(target.format, option))
            })
        },
    ),
    limit(
        "T19",
        "instar takes a number for a snapshot's id before it looks for a name",
        |request| match request {
            Request::ConvertSnapshot { snapshot, .. } => match snapshot {
                SnapshotKey::Name(name) => name.bytes().all(|byte| byte.is_ascii_digit()),
                SnapshotKey::IdAndName { .. } => true,
                SnapshotKey::Id(_) | SnapshotKey::IdOrName(_) => false,
            },
            _ => false,
        },
    ),
];

const fn limit(id: &'static str, what: &'static str, excludes: fn(&Request) -> bool) -> Limit {
    Limit { id, what, excludes }
}

/// Returns why instar's documents exclude the request; `None` if they do not.
pub(super) fn objection(request: &Request) -> Option<String> {
    let found = LIMITS.iter().find(|limit| (limit.excludes)(request));
    let own = found.map(|limit| format!("{} ({})", limit.what, limit.id));
    own.or_else(|| compression_objection(request))
        .or_else(|| request.objection_of_mode("instar"))
        .or_else(|| objection_of_formats(request))
}

/// instar compresses qcow2, and vmdk into the subformat whose grains are compressed.
fn compression_objection(request: &Request) -> Option<String> {
    let (target, compress) = converted(request)?;
    let can = match target.format {
        Format::Qcow2 => true,
        Format::Vmdk => target
            .options
            .subformat()
            .is_none_or(|subformat| subformat == Subformat::StreamOptimized),
        _ => false,
    };
    (compress && !can).then(|| format!("instar does not compress {}", target.format))
}

/// Whether convert has a flag for the option. A vmdk with compressed grains is made by its flag for compression.
fn has_flag(format: Format, option: &CreateOption) -> bool {
    match (format, option) {
        (Format::Qcow2, CreateOption::ClusterSize(bytes)) => *bytes <= 2 << 20,
        (Format::Qcow2, CreateOption::ExtendedL2(_)) => true,
        (Format::Vmdk, CreateOption::Subformat(subformat)) => {
            !subformat.is_split() || *subformat == Subformat::MonolithicFlat
        }
        (Format::Vpc | Format::Vhdx, CreateOption::Subformat(subformat)) => {
            *subformat == Subformat::Dynamic
        }
        (Format::Vhdx, CreateOption::BlockSize(size)) => {
            (1 << 20..=256 << 20).contains(&size.bytes())
        }
        _ => false,
    }
}

fn objection_of_formats(request: &Request) -> Option<String> {
    let images = request.images();
    let mut formats = images.iter().map(|file| file.format);
    let target = match request {
        Request::Measure { target, .. } => Some(*target),
        _ => None,
    };
    let unknown = formats.find(|format| is_unknown(*format));
    let unknown = unknown.or(target.filter(|format| is_unknown(*format)));
    unknown.map(|format| format!("instar does not know {format}"))
}

/// The formats that instar has no parser for.
pub(super) fn is_unknown(format: Format) -> bool {
    matches!(format, Format::Luks | Format::Qed)
}

/// The formats that instar reads and does not write.
fn is_read_only(format: Format) -> bool {
    matches!(format, Format::Vdi | Format::Parallels | Format::Qcow)
}

fn is_checked(format: Format) -> bool {
    matches!(
        format,
        Format::Qcow2 | Format::Vmdk | Format::Vpc | Format::Vhdx
    )
}

/// Returns the image that is mapped or measured.
fn described(request: &Request) -> Option<&ImageFile> {
    match request {
        Request::Map { file, .. } => Some(file),
        Request::Measure { source, .. } => Some(source),
        _ => None,
    }
}

/// Returns the images that a command reads without being told their format.
fn sources(request: &Request) -> Vec<&ImageFile> {
    match request {
        Request::Convert { source, .. }
        | Request::ConvertSnapshot { source, .. }
        | Request::Dd { source, .. } => vec![source],
        Request::Check { file } | Request::Contents { file } => vec![file],
        Request::Compare { first, second } => vec![first, second],
        // These have a flag, which is used where the format is to be told.
        other => described(other)
            .into_iter()
            .filter(|file| !file.format_is_told)
            .collect(),
    }
}

/// A fixed vpc has its footer at the end, and nothing at the start that tells it from raw.
fn is_fixed_vpc(file: &ImageFile) -> bool {
    file.format == Format::Vpc && file.options.subformat() == Some(Subformat::Fixed)
}

fn created(request: &Request) -> Option<&ImageFile> {
    match request {
        Request::Create { file, .. } => Some(file),
        _ => None,
    }
}

fn resized(request: &Request) -> Option<(&ImageFile, Option<Preallocation>)> {
    match request {
        Request::Resize {
            file,
            preallocation,
            ..
        } => Some((file, *preallocation)),
        _ => None,
    }
}

/// Returns the image that a conversion makes, and whether it is compressed.
fn converted(request: &Request) -> Option<(&ImageFile, bool)> {
    match request {
        Request::Convert {
            target, compress, ..
        }
        | Request::ConvertSnapshot {
            target, compress, ..
        } => Some((target, *compress)),
        _ => None,
    }
}

fn is_differencing(file: &ImageFile) -> bool {
    matches!(file.format, Format::Vpc | Format::Vhdx) && file.is_layered()
}

fn is_foreign_preallocation(file: &ImageFile) -> bool {
    file.format != Format::Qcow2 && file.options.preallocates()
}

fn has_other_refcounts(file: &ImageFile) -> bool {
    file.options.refcount_width() != REFCOUNT_BITS
}

fn has_clusters_above(file: &ImageFile, bytes: u64) -> bool {
    file.format == Format::Qcow2 && file.cluster_size() > bytes
}

/// Whether a qcow2 has another refcount width than usual, is encrypted, or compressed in the newer way.
fn is_unusual(file: &ImageFile) -> bool {
    let is_zstd = file.options.compression_type() == Some(Compression::Zstd);
    file.format == Format::Qcow2 && (has_other_refcounts(file) || file.is_encrypted() || is_zstd)
}

#[cfg(test)]
mod tests;
