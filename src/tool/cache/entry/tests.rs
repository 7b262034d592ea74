//! Unit tests of `entry.rs`.

use std::os::unix::fs::MetadataExt;

use super::*;

/// Returns the entry of an empty answer, with the files of a directory.
fn of_files(directory: &Path) -> io::Result<Entry> {
    let head = Head {
        exit: Exit::Success,
        command: Vec::new(),
        stdout: Captured::default(),
        stderr: Captured::default(),
        contents: None,
        session: None,
        partial: false,
        written: Vec::new(),
        removed: Vec::new(),
    };
    let nothing = Entry {
        head,
        data: Vec::new(),
        start: 0,
        duration: Duration::ZERO,
        peak_memory_bytes: 0,
    };
    Entry::from_answer(
        &nothing.answer(RequestKind::Create),
        directory,
        &BTreeMap::new(),
    )
}

#[test]
fn holes_zeros_and_data_are_restored_as_they_were() {
    let [before, after] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let file = File::create(before.path().join("image")).unwrap();
    file.set_len(8 << 20).unwrap();
    // Data, written zeros, data within a grain, a hole, zeros up to the end.
    for (start, length, byte) in [
        (0, 70_000, 1),
        (70_000, 300_000, 0),
        (400_000, 1, 2),
        ((8 << 20) - 200_000, 200_000, 0),
    ] {
        file.write_all_at(&vec![byte; length], start).unwrap();
    }
    let bytes = of_files(before.path()).unwrap().to_bytes().unwrap();
    assert!(bytes.len() < 400_000, "{} bytes", bytes.len());
    Entry::read(&bytes[..])
        .unwrap()
        .put_files(after.path())
        .unwrap();
    let [before, after] = [before, after].map(|path| FileState::of_all(path.path()).unwrap());
    assert_eq!(before, after);
    assert!(
        Entry::read(&bytes[..bytes.len() - 1]).is_none(),
        "cut short"
    );
}

/// Returns directories in the possible places of scratch files: the temporary directory, and memory.
fn scratches() -> Vec<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let memory = memory.is_dir().then(|| tempfile::tempdir_in(memory));
    let places = std::iter::once(tempfile::tempdir()).chain(memory);
    places.map(Result::unwrap).collect()
}

#[test]
fn reserved_space_is_restored_or_the_answer_is_not_cached() {
    for scratch in scratches() {
        let [before, after] = ["before", "after"].map(|name| scratch.path().join(name));
        fs::create_dir(&before).unwrap();
        fs::create_dir(&after).unwrap();
        let file = File::create(before.join("image")).unwrap();
        file.set_len(16 << 20).unwrap();
        file.write_all_at(&[1; 4096], 8 << 20).unwrap();
        fallocate(&file, FallocateFlags::empty(), 0, 16 << 20).unwrap();
        let bytes = of_files(&before).unwrap().to_bytes().unwrap();
        Entry::read(&bytes[..]).unwrap().put_files(&after).unwrap();
        let states = [&before, &after].map(|path| FileState::of_all(path).unwrap());
        assert_eq!(states[0], states[1]);
        let allocated = fs::metadata(after.join("image")).unwrap().blocks() * 512;
        assert!(allocated >= 16 << 20, "{allocated}");

        file.set_len(32 << 20).unwrap();
        assert!(of_files(&before).is_err(), "{}", scratch.path().display());
    }
}
