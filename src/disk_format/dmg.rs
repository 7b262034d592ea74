//! Writes a dmg, Apple's disk image (UDIF): the data of its chunks, block tables that say where they lie, and a trailer that finds the tables.
//!
//! The differential runner calls it for source images, because no tool writes the format. The same recipe always gives the same file. Apple has
//! published no specification; the layout follows what QEMU (block/dmg.c) and 7-Zip (DmgHandler.cpp) read, and the resource fork is as in
//! "Inside Macintosh: More Macintosh Toolbox", chapter 1, so that readers that need its map find it.

use std::fmt::Write as _;

use miniz_oxide::deflate::compress_to_vec_zlib;

use crate::base::base64::in_base64;
use crate::image::dmg::{ChunkKind, DmgRecipe};

/// The level of compression, the highest of zlib's.
const DEFLATE_LEVEL: u8 = 9;

/// The lengths of the trailer and of the header of a block table.
const TRAILER_BYTES: usize = 512;
const TABLE_HEADER_BYTES: usize = 204;

/// Where the tables begin in a resource fork; the Python harness leaves as much before them.
const FORK_HEADER_BYTES: u32 = 16;

/// The entry that ends a block table.
const TERMINATOR: u32 = 0xffff_ffff;

/// The number that stands for a kind of chunk in a block table.
fn code(kind: ChunkKind) -> u32 {
    match kind {
        ChunkKind::Zero => 0,
        ChunkKind::Raw => 1,
        ChunkKind::Zlib => 0x8000_0005,
    }
}

/// A chunk in the file.
struct Stored {
    code: u32,
    sectors: u64,
    offset: u64,
    length: u64,
}

/// Returns the bytes of the image.
pub fn written(recipe: &DmgRecipe) -> Vec<u8> {
    let (mut file, stored) = data_fork(recipe);
    let data_bytes = file.len() as u64;
    let split = recipe.split.unwrap_or(stored.len() as u64) as usize;
    let (first, second) = stored.split_at(split.min(stored.len()));
    let mut tables = vec![table(0, first)];
    if !second.is_empty() {
        let start = first.iter().map(|chunk| chunk.sectors).sum();
        tables.push(table(start, second));
    }
    let metadata = match recipe.resource_fork {
        true => resource_fork(&tables),
        false => property_list(&tables).into_bytes(),
    };
    file.extend_from_slice(&metadata);
    let place = [data_bytes, metadata.len() as u64];
    file.extend(trailer(recipe, data_bytes, place));
    file
}

/// Returns the data of all chunks, and where each lies.
fn data_fork(recipe: &DmgRecipe) -> (Vec<u8>, Vec<Stored>) {
    let (mut file, mut stored) = (Vec::new(), Vec::new());
    recipe.each_chunk(|chunk, data| {
        let offset = file.len() as u64;
        match chunk.0 {
            ChunkKind::Zero => {}
            ChunkKind::Raw => file.extend_from_slice(data),
            ChunkKind::Zlib => file.extend(compress_to_vec_zlib(data, DEFLATE_LEVEL)),
        }
        stored.push(Stored {
            code: code(chunk.0),
            sectors: chunk.1,
            offset,
            length: file.len() as u64 - offset,
        });
    });
    (file, stored)
}

/// Returns a block table for these chunks, whose first sector is `start`.
fn table(start: u64, chunks: &[Stored]) -> Vec<u8> {
    let sectors: u64 = chunks.iter().map(|chunk| chunk.sectors).sum();
    let entries = chunks.len() as u32 + 1;
    let mut table = vec![0; TABLE_HEADER_BYTES];
    put(&mut table, 0, b"mish");
    put(&mut table, 4, &1_u32.to_be_bytes());
    put(&mut table, 8, &start.to_be_bytes());
    put(&mut table, 0x10, &sectors.to_be_bytes());
    put(&mut table, 0x20, &1_u32.to_be_bytes());
    put(&mut table, 0x24, &entries.to_be_bytes());
    put(&mut table, 0xc8, &entries.to_be_bytes());
    let mut at = 0;
    for chunk in chunks {
        let numbers = [at, chunk.sectors, chunk.offset, chunk.length];
        table.extend(entry(chunk.code, numbers));
        at += chunk.sectors;
    }
    let end = chunks.last().map_or(0, |chunk| chunk.offset + chunk.length);
    table.extend(entry(TERMINATOR, [at, 0, end, 0]));
    table
}

/// Returns an entry of a block table: first sector, sectors, offset and length.
fn entry(code: u32, numbers: [u64; 4]) -> Vec<u8> {
    let mut entry = code.to_be_bytes().to_vec();
    entry.extend([0; 4]);
    numbers
        .iter()
        .for_each(|number| entry.extend(number.to_be_bytes()));
    entry
}

/// Returns the property list with these tables.
fn property_list(tables: &[Vec<u8>]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
        <plist version=\"1.0\">\n<dict>\n<key>resource-fork</key>\n<dict>\n<key>blkx</key>\n<array>\n"
        .to_owned();
    for (index, table) in tables.iter().enumerate() {
        let _ = write!(
            text,
            "<dict>\n<key>Attributes</key>\n<string>0x0050</string>\n<key>CFName</key>\n<string>disk {index}</string>\n\
             <key>Data</key>\n<data>\n{}\n</data>\n<key>ID</key>\n<string>{index}</string>\n\
             <key>Name</key>\n<string>disk {index}</string>\n</dict>\n",
            in_base64(table)
        );
    }
    text + "</array>\n</dict>\n</dict>\n</plist>\n"
}

/// Returns the resource fork with these tables: header, data, map.
fn resource_fork(tables: &[Vec<u8>]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut places = Vec::new();
    for table in tables {
        places.push(data.len() as u32);
        data.extend((table.len() as u32).to_be_bytes());
        data.extend_from_slice(table);
    }
    let map = resource_map(&places);
    let map_offset = FORK_HEADER_BYTES + data.len() as u32;
    let header = [
        FORK_HEADER_BYTES,
        map_offset,
        data.len() as u32,
        map.len() as u32,
    ];
    let mut fork: Vec<u8> = header
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect();
    fork.extend(data);
    fork.extend(map);
    fork
}

/// Returns the map of a resource fork whose resources all are block tables and begin at these places in its data.
fn resource_map(places: &[u32]) -> Vec<u8> {
    // A copy of the header, a handle, a file's number and attributes are for the system's own use.
    let mut map = vec![0; 24];
    let type_list: u16 = 28;
    let references: u16 = 10;
    let names = type_list + references + 12 * places.len() as u16;
    map.extend(type_list.to_be_bytes());
    map.extend(names.to_be_bytes());
    // One type: counts are one less than the number.
    map.extend(0_u16.to_be_bytes());
    map.extend(b"blkx");
    map.extend((places.len() as u16 - 1).to_be_bytes());
    map.extend(references.to_be_bytes());
    for (id, place) in (0_u16..).zip(places) {
        map.extend(id.to_be_bytes());
        // No name.
        map.extend(u16::MAX.to_be_bytes());
        // Attributes in the highest byte, the place in the others.
        map.extend(place.to_be_bytes());
        map.extend([0; 4]);
    }
    map
}

fn trailer(recipe: &DmgRecipe, data_bytes: u64, metadata: [u64; 2]) -> Vec<u8> {
    let mut trailer = vec![0; TRAILER_BYTES];
    put(&mut trailer, 0, b"koly");
    put(&mut trailer, 0x04, &4_u32.to_be_bytes());
    put(&mut trailer, 0x08, &512_u32.to_be_bytes());
    put(&mut trailer, 0x0c, &1_u32.to_be_bytes());
    put(&mut trailer, 0x20, &data_bytes.to_be_bytes());
    let at = if recipe.resource_fork { 0x28 } else { 0xd8 };
    let [offset, length] = metadata;
    put(&mut trailer, at, &offset.to_be_bytes());
    put(&mut trailer, at + 8, &length.to_be_bytes());
    put(&mut trailer, 0x1ec, &recipe.sectors.to_be_bytes());
    trailer
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::dmg::{Chunk, Payload};

    #[test]
    fn the_trailer_finds_the_tables_and_the_tables_find_the_data() {
        let chunks = vec![Chunk(ChunkKind::Zero, 5), Chunk(ChunkKind::Raw, 2)];
        for split in [None, Some(1)] {
            let recipe = DmgRecipe::new(chunks.clone(), split, true, Payload::default());
            let file = written(&recipe);
            let number = |at: usize| u64::from_be_bytes(file[at..at + 8].try_into().unwrap());
            let trailer = file.len() - TRAILER_BYTES;
            assert_eq!(&file[trailer..trailer + 4], b"koly");
            assert_eq!(number(trailer + 0x1ec), 7);
            assert_eq!(number(trailer + 0x20), 1024);
            let fork = number(trailer + 0x28) as usize;
            let table = fork + FORK_HEADER_BYTES as usize + 4;
            assert_eq!(&file[table..table + 4], b"mish");
            assert_eq!(number(table + 0x10), if split.is_some() { 5 } else { 7 });
        }
    }
}
