//! Unit tests of `build.rs`.

use super::*;

/// The help of 5.2 in Debian 11, shortened.
const OLD: &str = "qemu-img version 5.2.0 (Debian 1:5.2+dfsg-11+deb11u5)\n\nCommand syntax:\n  amend [--object objectdef] [-f fmt] filename\n  \
                   map [--object objectdef] [-f fmt] [--start-offset=offset] [-U] filename\n  resize [--shrink] filename [+ | -]size\n\nCommand \
                   parameters:\n  'filename' is a disk image filename\n  bitmap --max-length\n\nSupported formats: blkdebug qcow qcow2 raw vpc\n\nSee \
                   <https://qemu.org> for vmdk\n";

/// The help of 11.1 in Debian unstable, shortened.
const NEW: &str = "QEMU disk image utility.  Usage:\n\nRecognized commands (run qemu-img COMMAND --help for command-specific help):\n\n  amend - \
                   Update format-specific options of the image\n  bitmap - Perform modifications\n\nSupported image formats:\n\n  blkdebug parallels\n  \
                   qcow2 raw\n\nSee <https://qemu.org>\n";

#[test]
fn formats_and_commands_are_read_from_the_help_of_old_and_new_releases() {
    let words = |found: Option<&mut dyn Iterator<Item = &str>>| -> Vec<String> {
        found.into_iter().flatten().map(str::to_owned).collect()
    };
    let of = |help| {
        (
            words(formats(help).as_mut().map(|found| found as _)),
            words(commands(help).as_mut().map(|found| found as _)),
        )
    };
    let (formats_of_old, commands_of_old) = of(OLD);
    assert_eq!(formats_of_old, ["blkdebug", "qcow", "qcow2", "raw", "vpc"]);
    assert_eq!(commands_of_old, ["amend", "map", "resize"]);
    let (formats_of_new, commands_of_new) = of(NEW);
    assert_eq!(formats_of_new, ["blkdebug", "parallels", "qcow2", "raw"]);
    assert_eq!(commands_of_new, ["amend", "bitmap"]);
    assert!(formats("qemu-img: no").is_none() && commands("qemu-img: no").is_none());
}

#[test]
fn a_flag_is_searched_in_the_help_of_its_command() {
    assert_eq!(has_flag(OLD, "map", "--start-offset"), Some(true));
    assert_eq!(has_flag(OLD, "map", "--max-length"), Some(false));
    assert_eq!(has_flag(OLD, "bench", "-w"), None);
    let new = "Usage:\n  qemu-img map [-f FMT]\n        [--start-offset=OFFSET] FILE\n";
    assert_eq!(has_flag(new, "map", "--start-offset"), Some(true));
    assert_eq!(has_flag(new, "map", "--start"), Some(false));
    assert_eq!(has_flag("", "map", "--start-offset"), None);
}

#[test]
fn an_option_is_missing_only_from_a_list_of_options() {
    let list = "Supported vmdk options:\n  hwversion=<str> - VMDK hardware version\n  zeroed_grain=<bool (on/off)> - as toolsversion=\n";
    let listed = listed_options(list).unwrap();
    assert!(listed.contains("hwversion") && listed.contains("zeroed_grain"));
    assert!(!listed.contains("toolsversion") && !listed.contains("hw"));
    for no_list in ["", "Formatting 'image'", "Supported options:\n"] {
        assert_eq!(listed_options(no_list), None);
    }
}
