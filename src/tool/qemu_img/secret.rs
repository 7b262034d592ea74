//! Command lines of qemu-img and qemu-io for images that cannot be opened by a file name alone.
//!
//! An encrypted image is opened by options (`--image-opts`), because a file name cannot include the secret's id; so is
//! a fixed vpc, which does not start with a signature and would be taken for raw. The input is a complete command line;
//! any other stays as it is. An encrypted backing file gets its secret through the options of its overlay; commands
//! that open no backing file (observed with qemu-img 10.0.2) refuse such options.

use serde_json::json;

use crate::image::format::Format;
use crate::image::options::Subformat;
use crate::tool::request::{ImageFile, OpenedBy, Request};

/// The secret, which is the same for all images, because the data is not secret.
pub(super) const OBJECT: &str = "secret,id=sec0,data=secret";

/// The option that refers to the secret.
pub(super) const KEY_SECRET: &str = "encrypt.key-secret=sec0";

/// The options of a new image of the format luks, and of the drivers: the key is derived fast.
const LUKS_OPTIONS: [&str; 4] = ["-o", LUKS_SECRET, "-o", "iter-time=10"];
const LUKS_SECRET: &str = "key-secret=sec0";

/// Returns the command line `arguments` of a request, with the secret for every image that needs it. `verbs` is the
/// number of words before the first flag: one for qemu-img, none for qemu-io.
pub(super) fn unlocked(request: &Request, arguments: Vec<String>, verbs: usize) -> Vec<String> {
    let (read, made) = images(request);
    let opens_all = opens_backing_files(request);
    let is_locked = |file: &ImageFile| match opens_all {
        true => file.is_locked(),
        false => file.is_encrypted(),
    };
    let locked = read.iter().any(|file| is_locked(file));
    let is_told = |by: OpenedBy| read.iter().any(|file| file.opening.by == by);
    let reads = locked || is_told(OpenedBy::Options) || read.iter().any(|file| is_like_raw(file));
    let makes = made.is_some_and(ImageFile::is_encrypted);
    let is_shared = read.iter().any(|file| file.opening.shared);
    let mut words = arguments;
    if let Some(there) = made.filter(|file| file.opening.by == OpenedBy::Options) {
        target_by_options(&mut words, there);
    }
    if is_told(OpenedBy::Json) && !reads {
        read.iter().for_each(|file| name_by_json(&mut words, file));
    }
    if is_shared {
        words.insert(verbs, "-U".to_owned());
    }
    if reads {
        for file in read {
            name_by_options(&mut words, file, opens_all);
        }
        words.insert(verbs, "--image-opts".to_owned());
    }
    match made.filter(|_| makes) {
        Some(file) if file.format == Format::Luks => {
            words.splice(verbs..verbs, LUKS_OPTIONS.map(str::to_owned));
        }
        Some(_) => {
            let option = ["-o", KEY_SECRET].map(str::to_owned);
            words.splice(verbs..verbs, option);
        }
        None => {}
    }
    if locked || makes {
        let object = ["--object", OBJECT].map(str::to_owned);
        words.splice(verbs..verbs, object);
    }
    words
}

/// Whether the first bytes do not identify the format.
fn is_like_raw(file: &ImageFile) -> bool {
    file.format == Format::Vpc && file.options.subformat() == Some(Subformat::Fixed)
}

fn opens_backing_files(request: &Request) -> bool {
    match request {
        Request::Info { .. } | Request::Bitmap { .. } => false,
        // Only the name changes: the old backing file is not opened.
        Request::Rebase { mode, .. } => !mode.is_unsafe,
        _ => true,
    }
}

/// Returns the options with the secret of an image and of its backing images, each after a comma.
fn keys(file: &ImageFile, opens_all: bool) -> String {
    let mut keys = String::new();
    let mut prefix = String::new();
    let mut image = Some(file);
    while let Some(file) = image {
        if file.is_encrypted() {
            let secret = match file.format {
                Format::Luks => LUKS_SECRET,
                _ => KEY_SECRET,
            };
            keys.push_str(&format!(",{prefix}{secret}"));
        }
        prefix.push_str("backing.");
        image = file.backing.as_deref().filter(|_| opens_all);
    }
    keys
}

/// Returns the images that a request opens, and the one that it creates.
pub(super) fn images(request: &Request) -> (Vec<&ImageFile>, Option<&ImageFile>) {
    match request {
        Request::Create { file, .. } => (Vec::new(), Some(file)),
        Request::Convert { source, target, .. }
        | Request::ConvertSnapshot { source, target, .. }
        | Request::Dd { source, target, .. } => (vec![source], Some(target)),
        Request::Compare { first, second } => (vec![first, second], None),
        _ => (vec![request.file()], None),
    }
}

/// Replaces the image's name by its options in JSON.
fn name_by_json(words: &mut [String], file: &ImageFile) {
    let place = json!({ "driver": "file", "filename": file.path });
    let options = json!({ "driver": file.format.name(), "file": place });
    for word in words {
        if *word == file.path {
            *word = format!("json:{options}");
        } else if *word == format!("if={}", file.path) {
            *word = format!("if=json:{options}");
        }
    }
}

/// Replaces the name of the image that is copied into, which is the last word, by its options. A format flag would contradict them.
fn target_by_options(words: &mut Vec<String>, file: &ImageFile) {
    if let Some(place) = words.iter().position(|word| word == "-O") {
        words.splice(place..place + 2, ["--target-image-opts".to_owned()]);
    }
    if let Some(last) = words.last_mut() {
        *last = format!("driver={},file.filename={}", file.format, file.path);
    }
}

/// Replaces the image's name by its options. A format flag would contradict them.
fn name_by_options(words: &mut Vec<String>, file: &ImageFile, opens_all: bool) {
    let keys = keys(file, opens_all);
    let options = format!("driver={},file.filename={}{keys}", file.format, file.path);
    let beginning = format!("driver={},file.filename={},", file.format, file.path);
    for word in words.iter_mut() {
        if *word == file.path {
            word.clone_from(&options);
        } else if *word == format!("if={}", file.path) {
            *word = format!("if={options}");
        } else if word.starts_with(&beginning) {
            // The command line of a snapshot already has the options of its image.
            word.push_str(&keys);
        }
    }
    let compares = words.first().is_some_and(|verb| verb == "compare");
    // Elsewhere, the second flag tells the format of a backing file.
    for flag in ["-f", "-F"].into_iter().take(if compares { 2 } else { 1 }) {
        if let Some(place) = words.iter().position(|word| word == flag) {
            words.drain(place..place + 2);
        }
    }
    words.retain(|word| word != "--image-opts");
}

#[cfg(test)]
mod tests;
