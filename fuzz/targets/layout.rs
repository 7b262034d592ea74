//! Every format's layout, and damage to what it names: the last bytes say which format and which damage.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use imgduel::disk_format::damage::{self, Cut, Damage, Value};
use imgduel::image::format::Format;
use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;

static FILE: LazyLock<NamedTempFile> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    NamedTempFile::new_in(place).expect("a scratch file")
});

/// How many bytes behind the image choose what is done.
const CHOICE_BYTES: usize = 16;

fuzz_target!(|data: &[u8]| {
    let Some(length) = data.len().checked_sub(CHOICE_BYTES) else {
        return;
    };
    let (bytes, choice) = data.split_at(length);
    let formats: Vec<Format> = Format::all().collect();
    let format = formats[choice[0] as usize % formats.len()];
    let layout = damage::layout(format, bytes);
    let number = u64::from_le_bytes(choice[8..16].try_into().expect("eight bytes"));
    let value = match choice[2] % 9 {
        0 => Value::Number(number),
        1 => Value::Ones,
        2 => Value::SignBit,
        3 => Value::SignedMaximum,
        4 => Value::Plus(number as i64),
        5 => Value::Flip(number as u32),
        6 => Value::EndOfFile(number as i64),
        7 => Value::StartOf {
            region: number & 0xff,
            plus: number as i64 >> 8,
        },
        _ => Value::Bytes(number as u8),
    };
    let mut damages = Vec::new();
    if !layout.fields.is_empty() {
        let field = &layout.fields
            [(usize::from(choice[3]) | usize::from(choice[4]) << 8) % layout.fields.len()];
        damages.push(Damage::Replace {
            structure: field.structure.to_owned(),
            index: u64::from(choice[5]),
            field: field.name.to_owned(),
            value,
            stale_checksum: choice[1] & 1 != 0,
        });
    }
    if choice[1] & 2 != 0 && !layout.regions.is_empty() {
        let region = &layout.regions[usize::from(choice[6]) % layout.regions.len()];
        let cuts = [Cut::Start, Cut::Middle, Cut::LastByte, Cut::End];
        damages.push(Damage::Truncate {
            structure: region.structure.to_owned(),
            index: u64::from(choice[5]),
            at: cuts[usize::from(choice[7]) % cuts.len()],
        });
    }
    if choice[1] & 4 != 0 {
        damages.push(Damage::Overwrite {
            offset: number,
            bytes: choice[..4].to_vec(),
        });
    }
    let path = FILE.path();
    fs::write(path, bytes).expect("the scratch file is ours");
    for damage in &damages {
        let _ = (damage.name(), damage::features(format, damage));
    }
    let _ = damage::inflict(path, format, &damages);
});
