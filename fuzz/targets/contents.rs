//! Raw files with holes: read, copied and compared. The input is a list of pieces: three bytes of place, one of length, one of
//! content.

#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;

use imgduel::image::content::{Fill, 
    Contents, Write, copy_sparse_to_each, data_segments, open_regular, same_bytes,
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const PIECE: usize = 5;

fuzz_target!(|data: &[u8]| {
    let Some((tail, pieces)) = data.split_at_checked(2) else {
        return;
    };
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let scratch = TempDir::new_in(place).expect("a scratch directory");
    let path = |name: &str| scratch.path().join(name);
    let file = File::create_new(path("image")).expect("the scratch directory is ours");
    let mut writes = Vec::new();
    let mut size = 0;
    for piece in pieces.chunks_exact(PIECE).take(64) {
        let offset =
            u64::from(u32::from_le_bytes([piece[0], piece[1], piece[2], 0])) << (piece[3] % 9);
        let length = u64::from(piece[3]) * 37 + 1;
        file.write_all_at(&vec![piece[4]; length as usize], offset)
            .expect("there is room");
        size = size.max(offset + length);
        writes.push(Write {
            offset,
            length,
            fill: Fill::Byte(piece[4]),
        });
    }
    size += u64::from(u16::from_le_bytes([tail[0], tail[1]]));
    file.set_len(size).expect("there is room");
    let read = Contents::of_raw_file(&path("image")).expect("it is a regular file");
    let expected = Contents::of_writes(size, &writes);
    assert_eq!(read, expected);
    assert_eq!(read.difference(&expected), None);
    let copies = [path("one"), path("two")];
    let told =
        copy_sparse_to_each(&path("image"), &[&copies[0], &copies[1]]).expect("there is room");
    assert_eq!(told, read);
    let [one, two] = copies.map(|path| open_regular(&path).expect("it is there"));
    assert!(same_bytes(&one, &two, &[]).expect("they can be read"));
    let segments = data_segments(&one).expect("they can be asked for");
    assert!(segments.windows(2).all(|pair| pair[0].end <= pair[1].start));
    if let Some(writes) = read.writes() {
        assert_eq!(Contents::of_writes(size, &writes), read);
    }
    let json = serde_json::to_string(&read).expect("contents can be written");
    assert_eq!(
        serde_json::from_str::<Contents>(&json).expect("as they were written"),
        read
    );
});
