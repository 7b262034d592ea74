//! Requests in version 1 of the adapter protocol, which has arguments of qemu-img's command line.
//!
//! Used for adapters whose hello has version 1; frozen like that version. Only the harness's messages differ between
//! the versions, so nothing is parsed here.

use serde::{Serialize, Serializer};

use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOptions, Preallocation};
use crate::tool::request::qemu_words::{self, InWords};
use crate::tool::request::{ImageFile, NewSize, RepairTier, Request, SnapshotAction};

/// A request, to be serialized as a part of a line.
pub(super) struct FirstVersion<'request>(pub(super) &'request Request);

/// An image.
#[derive(Serialize)]
struct Image<'file> {
    path: &'file str,
    format: Format,
    options: &'file CreateOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    backing: Option<Box<Self>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    format_is_told: bool,
}

impl<'file> From<&'file ImageFile> for Image<'file> {
    fn from(file: &'file ImageFile) -> Self {
        Self {
            path: &file.path,
            format: file.format,
            options: &file.options,
            backing: file.backing.as_deref().map(|below| Box::new(below.into())),
            format_is_told: file.format_is_told,
        }
    }
}

/// The value of a field.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'request> {
    Image(Image<'request>),
    Flag(bool),
    Number(u64),
    MaybeNumber(Option<u64>),
    Text(&'request str),
    MaybeText(Option<&'request str>),
    Own(String),
    Words(Vec<String>),
    Format(Format),
    Writes(&'request [Write]),
    Options(&'request CreateOptions),
    Preallocation(Option<Preallocation>),
    Action(SnapshotAction),
    Tier(RepairTier),
}

impl Serialize for FirstVersion<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = ("request", Value::Text(self.0.name()));
        let fields = std::iter::once(name).chain(fields(self.0));
        serializer.collect_map(fields)
    }
}

fn file(file: &ImageFile) -> (&'static str, Value<'_>) {
    ("file", Value::Image(file.into()))
}

fn copy<'request>(
    source: &'request ImageFile,
    target: &'request ImageFile,
) -> [(&'static str, Value<'request>); 2] {
    let (source, target) = (Value::Image(source.into()), Value::Image(target.into()));
    [("source", source), ("target", target)]
}

fn range<'request>(offset: u64, length: u64) -> [(&'static str, Value<'request>); 2] {
    [
        ("offset", Value::Number(offset)),
        ("length", Value::Number(length)),
    ]
}

fn new_size<'request>(
    size: &NewSize,
    end_bytes: u64,
    shrink: bool,
    preallocation: Option<Preallocation>,
) -> [(&'static str, Value<'request>); 4] {
    [
        ("size", Value::Own(size.to_string())),
        ("end_bytes", Value::Number(end_bytes)),
        ("shrink", Value::Flag(shrink)),
        ("preallocation", Value::Preallocation(preallocation)),
    ]
}

/// Returns the fields after the request's name, in order.
fn fields(request: &Request) -> Vec<(&'static str, Value<'_>)> {
    let mut fields = match request {
        Request::Convert { source, target, .. }
        | Request::ConvertSnapshot { source, target, .. }
        | Request::Dd { source, target, .. } => Vec::from(copy(source, target)),
        Request::Compare { first, second } => vec![
            ("first", Value::Image(first.into())),
            ("second", Value::Image(second.into())),
        ],
        Request::Measure { source, target, .. } => vec![
            ("source", Value::Image(source.into())),
            ("target", Value::Format(*target)),
        ],
        other => vec![file(other.file())],
    };
    fields.extend(own_fields(request));
    fields
}

/// Returns the fields after the images.
fn own_fields(request: &Request) -> Vec<(&'static str, Value<'_>)> {
    match request {
        Request::Create { size, .. } => vec![("size", Value::Text(size.as_str()))],
        Request::Convert { compress, .. } => vec![("compress", Value::Flag(*compress))],
        Request::ConvertSnapshot {
            compress, snapshot, ..
        } => vec![
            ("compress", Value::Flag(*compress)),
            ("snapshot", Value::Own(qemu_words::snapshot(snapshot))),
        ],
        Request::Resize {
            size,
            end_bytes,
            shrink,
            preallocation,
            ..
        } => Vec::from(new_size(size, *end_bytes, *shrink, *preallocation)),
        Request::Write { writes, .. } => vec![("writes", Value::Writes(writes))],
        Request::WriteZeroes {
            offset,
            length,
            unmap,
            ..
        } => {
            let mut fields = Vec::from(range(*offset, *length));
            fields.push(("unmap", Value::Flag(*unmap)));
            fields
        }
        Request::Discard { offset, length, .. } => range(*offset, *length).into(),
        Request::Map { window, .. } => vec![("window", Value::Words(window.words()))],
        Request::Amend { options, .. } => vec![("options", Value::Options(options))],
        Request::Rebase {
            new_backing, mode, ..
        } => {
            let onto = new_backing.as_deref().unwrap_or_default();
            let flags = Value::Words(mode.words());
            vec![("new_backing", Value::Text(onto)), ("flags", flags)]
        }
        Request::Commit { base, .. } => vec![("base", Value::MaybeText(base.as_deref()))],
        Request::Dd {
            block_size,
            count,
            skip,
            ..
        } => vec![
            ("block_size", Value::Number(*block_size)),
            ("count", Value::MaybeNumber(*count)),
            ("skip", Value::Number(*skip)),
        ],
        Request::Bitmap { actions, name, .. } => vec![
            ("flags", Value::Words(actions.words())),
            ("name", Value::Text(name)),
        ],
        Request::Bench { file, plan } => {
            let format = vec!["-f".to_owned(), file.format.to_string()];
            let words = [format, plan.words()].concat();
            vec![("arguments", Value::Words(words))]
        }
        Request::Snapshot {
            action, snapshot, ..
        } => {
            let [_, argument] = qemu_words::snapshot_change(*action, snapshot);
            let action = Value::Action(*action);
            vec![("action", action), ("argument", Value::Own(argument))]
        }
        Request::SnapshotContents { id, .. } => vec![("id", Value::Text(id))],
        Request::Repair { tier, .. } => vec![("tier", Value::Tier(*tier))],
        _ => Vec::new(),
    }
}
