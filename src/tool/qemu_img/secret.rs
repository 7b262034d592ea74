//! Command lines of qemu-img and qemu-io for images that cannot be opened by a file name alone.
//!
//! An encrypted image is opened by options (`--image-opts`), because a file name cannot include the secret's id; so is
//! a fixed vpc, which does not start with a signature and would be taken for raw. The input is a complete command line;
//! any other stays as it is. An encrypted backing file gets its secret through the options of its overlay; commands
//! that open no backing file (observed with qemu-img 10.0.2) refuse such options.

use crate::image::format::Format;
use crate::image::options::Subformat;
use crate::tool::request::{ImageFile, Request};

/// The secret, which is the same for all images, because the data is not secret.
pub(super) const OBJECT: &str = "secret,id=sec0,data=secret";

/// The option that refers to the secret.
pub(super) const KEY_SECRET: &str = "encrypt.key-secret=sec0";

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
    let reads = locked || read.iter().any(|file| is_like_raw(file));
    let makes = made.is_some_and(ImageFile::is_encrypted);
    if !reads && !makes {
        return arguments;
    }
    let mut words = arguments;
    if reads {
        for file in read {
            name_by_options(&mut words, file, opens_all);
        }
        words.insert(verbs, "--image-opts".to_owned());
    }
    if makes {
        let option = ["-o", KEY_SECRET].map(str::to_owned);
        words.splice(verbs..verbs, option);
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
            keys.push_str(&format!(",{prefix}{KEY_SECRET}"));
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
mod tests {
    use super::*;
    use crate::image::options::{CreateOption, Encryption};
    use crate::tool::request::RebaseMode;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_rebase_of_the_name_alone_opens_no_backing_file_and_gets_no_secret_for_it() {
        let secret = ImageFile::new("b", Format::Qcow)
            .with_options([CreateOption::EncryptFormat(Encryption::Aes)]);
        let rebase = |is_unsafe| Request::Rebase {
            file: ImageFile::new("a", Format::Qcow2).over(&secret),
            new_backing: None,
            mode: RebaseMode {
                is_unsafe,
                ..RebaseMode::default()
            },
        };
        let line = words("rebase -f qcow2 -b  a.qcow2");
        assert_eq!(unlocked(&rebase(true), line.clone(), 1), line);
        assert!(unlocked(&rebase(false), line, 1).contains(&"--image-opts".to_owned()));
    }

    #[test]
    fn only_encrypted_images_get_the_secret() {
        let plain = ImageFile::new("a", Format::Qcow2);
        let secret = ImageFile::new("b", Format::Qcow2)
            .with_options([CreateOption::EncryptFormat(Encryption::Aes)]);
        let info = |file: &ImageFile| Request::Info { file: file.clone() };
        let line = words("info --output=json a.qcow2");
        assert_eq!(unlocked(&info(&plain), line.clone(), 1), line);
        assert_eq!(
            unlocked(&info(&secret), words("info --output=json b.qcow2"), 1).join(" "),
            "info --object secret,id=sec0,data=secret --image-opts --output=json \
             driver=qcow2,file.filename=b.qcow2,encrypt.key-secret=sec0"
        );
        let overlay = ImageFile::new("c", Format::Qcow2).over(&plain.clone().over(&secret));
        assert_eq!(unlocked(&info(&overlay), line.clone(), 1), line);
        let check = Request::Check {
            file: overlay.clone(),
        };
        assert_eq!(
            unlocked(&check, words("check c.qcow2"), 1).join(" "),
            "check --object secret,id=sec0,data=secret --image-opts \
             driver=qcow2,file.filename=c.qcow2,backing.backing.encrypt.key-secret=sec0"
        );
        let convert = Request::Convert {
            source: plain,
            target: secret,
            compress: false,
            mode: Default::default(),
        };
        assert_eq!(
            unlocked(&convert, words("convert -O qcow2 a.qcow2 b.qcow2"), 1).join(" "),
            "convert --object secret,id=sec0,data=secret -o encrypt.key-secret=sec0 -O qcow2 a.qcow2 b.qcow2"
        );
    }
}
