//! The imago crate: the embedded default candidate.
//!
//! Here is what it can be asked; [`library`] makes the calls, inside the worker. Nothing is ever handed to qemu-img: what
//! imago's interface does not offer is unsupported.

use std::path::Path;
use std::sync::Arc;

use super::worker::Workers;
use super::{Means, Scene, Support, Tool, ToolSpec, Wording};
use crate::error::Result;
use crate::format::Format;
use crate::request::{Answer, ImageFile, Request};

pub(super) mod library;
mod wording;

/// The version that `Cargo.toml` asks for; a test holds it against `Cargo.lock`.
pub const VERSION: &str = "0.2.6";

struct Imago {
    workers: Workers,
}

pub(super) fn open(_: &ToolSpec, means: &Means) -> Result<Arc<dyn Tool>> {
    Ok(Arc::new(Imago {
        workers: Workers::new("imago", means.worker_program.clone()),
    }))
}

impl Tool for Imago {
    fn name(&self) -> &'static str {
        "imago"
    }

    fn version(&self) -> &str {
        VERSION
    }

    fn program(&self) -> Option<&Path> {
        None
    }

    fn support(&self, request: &Request) -> Support {
        let objection = match request {
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
            | Request::Repair { .. }
            | Request::Corrupt { .. }
            | Request::HostClusters { .. } => Some(format!("imago has no {}", request.name())),
            Request::Create { file, .. } => cannot_open(file).or_else(|| cannot_create(file)),
            Request::Convert { compress: true, .. } => {
                Some("imago cannot write compressed clusters".to_owned())
            }
            Request::Convert { source, target, .. } => cannot_open(source)
                .or_else(|| cannot_open(target))
                .or_else(|| cannot_create(target)),
            Request::Info { file }
            | Request::Resize { file, .. }
            | Request::Write { file, .. }
            | Request::Contents { file }
            | Request::Map { file, .. } => cannot_open(file),
            Request::Compare { first, second } => {
                cannot_open(first).or_else(|| cannot_open(second))
            }
        };
        Support::unless(objection)
    }

    fn ask(&self, request: &Request, scene: &Scene<'_>) -> Result<Answer> {
        let words = vec![
            "imago".to_owned(),
            request.name().to_owned(),
            in_words(request),
        ];
        self.workers.ask(request, words, scene)
    }

    fn wording(&self, request: &Request) -> Option<Wording> {
        let call = wording::call(request)?;
        let template = wording::TEMPLATE;
        Some(Wording::RustCall { template, call })
    }
}

/// The formats whose images imago reads: raw, qcow2 without extended L2 entries, and of vmdk only flat extents, which
/// nobody draws.
fn cannot_open(file: &ImageFile) -> Option<String> {
    match file.format {
        Format::Raw => None,
        Format::Qcow2 if file.option("extended_l2") == Some("on") => {
            Some("imago cannot open qcow2 with extended_l2".to_owned())
        }
        Format::Qcow2 => None,
        Format::Vmdk => Some("imago cannot open vmdk with sparse extents".to_owned()),
        Format::Vpc | Format::Vhdx => Some(format!("imago cannot open {}", file.format)),
    }
}

/// The create options that imago's builders offer.
fn cannot_create(file: &ImageFile) -> Option<String> {
    let offered: &[&str] = match file.format {
        Format::Qcow2 => &["cluster_size", "refcount_bits", "preallocation"],
        _ => &["preallocation"],
    };
    let name = |option: &String| option.split('=').next().unwrap_or_default().to_owned();
    let missing = file
        .options
        .iter()
        .map(name)
        .find(|name| !offered.contains(&name.as_str()));
    missing.map(|name| format!("imago cannot create {} with {name}", file.format))
}

/// What a request asks beside its name, for evidence.
fn in_words(request: &Request) -> String {
    match request {
        Request::Create { file, size } => {
            format!("{} {size} [{}]", file.path, file.options.join(","))
        }
        Request::Convert { source, target, .. } => format!("{} to {}", source.path, target.path),
        Request::Resize {
            file,
            end_bytes,
            preallocation,
            ..
        } => {
            let mode = preallocation.as_deref().unwrap_or("none");
            format!("{} to {end_bytes} bytes, preallocation {mode}", file.path)
        }
        _ => request.file().path.clone(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_told_is_the_version_that_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        let mut lines = lock.lines().skip_while(|line| *line != "name = \"imago\"");
        assert_eq!(
            lines.nth(1),
            Some(format!("version = \"{}\"", super::VERSION).as_str())
        );
    }
}
