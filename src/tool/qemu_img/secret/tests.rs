//! Tests of the command lines with secrets, options and JSON.

use super::*;
use crate::image::options::{CreateOption, Encryption};
use crate::tool::request::{Opening, RebaseMode};

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

fn opened(by: OpenedBy, shared: bool) -> ImageFile {
    ImageFile {
        opening: Opening { by, shared },
        ..ImageFile::new("a", Format::Qcow2)
    }
}

#[test]
fn an_image_is_named_by_options_or_in_json_and_shared_where_that_is_asked_for() {
    let info = |file: ImageFile| {
        let line = words("info --output=json a.qcow2");
        unlocked(&Request::Info { file }, line, 1).join(" ")
    };
    assert_eq!(
        info(opened(OpenedBy::Options, true)),
        "info --image-opts -U --output=json driver=qcow2,file.filename=a.qcow2"
    );
    assert_eq!(
        info(opened(OpenedBy::Json, false)),
        r#"info --output=json json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}"#
    );
    let into = Request::Convert {
        source: opened(OpenedBy::Options, false),
        target: ImageFile {
            opening: Opening {
                by: OpenedBy::Options,
                shared: false,
            },
            ..ImageFile::new("b", Format::Raw)
        },
        compress: false,
        mode: Default::default(),
    };
    assert_eq!(
        unlocked(&into, words("convert -O raw -n a.qcow2 b.raw"), 1).join(" "),
        "convert --image-opts --target-image-opts -n driver=qcow2,file.filename=a.qcow2 driver=raw,file.filename=b.raw"
    );
}

#[test]
fn an_encrypted_volume_is_made_and_opened_with_its_own_option() {
    let volume = ImageFile::new("v", Format::Luks);
    let create = Request::Create {
        file: volume.clone(),
        size: crate::base::size::Size::literal("1M"),
    };
    assert_eq!(
        unlocked(&create, words("create -f luks v.luks 1M"), 1).join(" "),
        "create --object secret,id=sec0,data=secret -o key-secret=sec0 -o iter-time=10 -f luks v.luks 1M"
    );
    let map = Request::Map {
        file: ImageFile::new("a", Format::Qcow2).over(&volume),
        window: Default::default(),
    };
    assert_eq!(
        unlocked(&map, words("map a.qcow2"), 1).join(" "),
        "map --object secret,id=sec0,data=secret --image-opts driver=qcow2,file.filename=a.qcow2,backing.key-secret=sec0"
    );
}
