// imago 0.2.6 writes a refcount to where the refcount table points, here 8 TiB behind the end of the file, and so makes the file as long.
// Exits 0 when the defect shows, 1 when it does not. A limit on the length of files ends it: without one the file would be sparse.
//
// Cargo.toml, with this file as src/main.rs beside it (needs qemu-img):
//
// [package]
// name = "reproducer"
// version = "0.1.0"
// edition = "2024"
//
// [dependencies]
// imago = { version = "0.2", default-features = false, features = ["sync"] }

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, exit};

use imago::file::File;
use imago::format::gate::PermissiveImplicitOpenGate;
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatDriverBuilder};

// The first entry of the refcount table, at 64 KiB, was 0x20000.
const PREPARE: &str = r"qemu-img create -q -f qcow2 image.qcow2 1M &&
    printf '\000\000\010\000\000\002\000\000' | dd of=image.qcow2 bs=1 seek=65536 conv=notrunc 2>/dev/null";

fn main() -> io::Result<()> {
    if std::env::args().nth(1).is_some() {
        return write();
    }
    let scratch = std::env::temp_dir().join(format!("reproducer-{}", std::process::id()));
    std::fs::create_dir(&scratch)?;
    let shell = |line: &str| {
        let own = std::env::current_exe()?;
        Command::new("sh").args(["-c", line]).arg(own).current_dir(&scratch).status()
    };
    let prepared = shell(PREPARE)?.success();
    // In blocks of 512 bytes: a gibibyte.
    let status = shell("ulimit -f 2097152; exec \"$0\" write")?;
    std::fs::remove_dir_all(&scratch)?;
    const SIGXFSZ: i32 = 25;
    exit(match status.signal() {
        _ if !prepared => 2,
        Some(SIGXFSZ) => 0,
        _ => 1,
    })
}

fn write() -> io::Result<()> {
    let builder = Qcow2::<File>::builder_path("image.qcow2").write(true);
    let image = FormatAccess::new(builder.open(PermissiveImplicitOpenGate::default())?);
    image.write(&[165; 4096][..], 0)?;
    image.flush()
}
