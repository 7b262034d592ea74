//! Tells the tests at build time whether qemu-img is there, so that those that need it can be ignored with what to
//! install instead of failing. Nothing else depends on it.

use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(missing_qemu_img)");
    println!("cargo::rerun-if-env-changed=PATH");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|directory| directory.join("qemu-img"))
        .collect();
    match places.iter().find(|place| place.is_file()) {
        Some(found) => println!("cargo::rerun-if-changed={}", found.display()),
        None => {
            println!("cargo::rustc-cfg=missing_qemu_img");
            // One that is not there makes cargo ask again next time.
            places
                .iter()
                .for_each(|place| println!("cargo::rerun-if-changed={}", place.display()));
        }
    }
}
