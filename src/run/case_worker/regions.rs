//! The regions of the candidate's crate that a worker has run, if its build counts them (`rustc -C instrument-coverage`).
//!
//! The runtime of such a build keeps its counters in a file that is mapped into the worker (`%c` in `LLVM_PROFILE_FILE`: clang's documentation, "Source-based Code
//! Coverage", continuous mode), so that they can be read at any time, without the worker's help. The workers of cases read them after each case.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use rustc_demangle::demangle;
use xxhash_rust::xxh3::xxh3_64;

/// The variable that names the file, and its name in the worker's directory.
const VARIABLE: &str = "LLVM_PROFILE_FILE";
const FILE: &str = "regions.profraw";

/// The beginning of a raw profile of a 64-bit program (llvm/ProfileData/InstrProfData.inc, `INSTR_PROF_RAW_MAGIC_64`).
const MAGIC: u64 = 0xff6c_7072_6f66_7281;
/// The version is in the lower half of its word.
const VERSION_BITS: u64 = 0xffff_ffff;
/// The versions whose header is known, and its length in words: from 10 on, it tells of virtual tables.
const OLDEST_VERSION: u64 = 9;
const TABLES_VERSION: u64 = 10;
const NEWEST_VERSION: u64 = 10;
const WORDS: usize = 14;
const WORDS_WITH_TABLES: usize = 16;
const WORD: usize = 8;
/// The length of the record of a function, and where its hashed name and the number of its counters stand.
const RECORD: usize = 64;
const RECORD_COUNTERS: usize = 48;
/// The most bytes that the names of all functions may take.
const NAMES_BYTES_MAX: usize = 64 << 20;
/// Between two names.
const NAME_END: char = '\u{1}';

/// The counters of one worker.
#[derive(Default)]
pub(super) struct Regions {
    file: PathBuf,
    before: Vec<u64>,
}

/// What a build that counts has reached, and what it has.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The numbers of the regions that were run.
    pub regions: BTreeSet<u32>,
    /// How many regions there are.
    pub all: usize,
    /// The functions: their names as the compiler has them, and the numbers of their regions.
    pub functions: Vec<(String, Range<u32>)>,
}

impl Reached {
    /// Returns the names of the functions of which no region was run.
    pub fn unreached(&self) -> impl Iterator<Item = &str> {
        let is_unreached =
            |(_, own): &&(String, Range<u32>)| self.regions.range(own.clone()).next().is_none();
        let functions = self.functions.iter().filter(is_unreached);
        functions.map(|(name, _)| name.as_str())
    }

    /// Adds what another worker has reached.
    pub(super) fn add(&mut self, regions: &BTreeSet<u32>) {
        self.regions.extend(regions);
    }
}

/// The variable of a worker's environment by which it counts into a file of its own directory.
pub(super) fn variable() -> (OsString, OsString) {
    (VARIABLE.into(), format!("{FILE}%c").into())
}

/// The behaviour that running a region is.
pub(super) fn behaviour(region: u32) -> u32 {
    xxh3_64(format!("region\n{region}").as_bytes()) as u32
}

impl Regions {
    /// The counters of the worker that works in `directory`.
    pub(super) fn of_worker(directory: &Path) -> Self {
        Self {
            file: directory.join(FILE),
            before: Vec::new(),
        }
    }

    /// Returns the regions that were run since the last time; none if the worker does not count.
    pub(super) fn newly_run(&mut self) -> BTreeSet<u32> {
        let profile = fs::read(&self.file).unwrap_or_default();
        let now = counters(&profile).unwrap_or_default();
        let was = |index: usize| self.before.get(index).copied().unwrap_or(0);
        let run = now.iter().enumerate();
        let run = run.filter(|(index, count)| **count != was(*index));
        let run = run.map(|(index, _)| index as u32).collect();
        self.before = now;
        run
    }

    /// Returns the functions and the number of regions.
    pub(super) fn described(&self) -> Option<Reached> {
        let profile = fs::read(&self.file).ok()?;
        let layout = Layout::read(&profile)?;
        let names = names(profile.get(layout.names)?);
        let mut functions = Vec::new();
        let mut first = 0;
        for record in profile.get(layout.records)?.chunks_exact(RECORD) {
            let count = &record[RECORD_COUNTERS..RECORD_COUNTERS + 4];
            let count = u32::from_le_bytes(count.try_into().ok()?);
            let hash = record.get(..WORD)?.try_into().ok()?;
            if let Some(name) = names.get(&u64::from_le_bytes(hash)) {
                let name = format!("{:#}", demangle(name));
                functions.push((name, first..first + count));
            }
            first += count;
        }
        Some(Reached {
            regions: BTreeSet::new(),
            all: layout.counters.len() / WORD,
            functions,
        })
    }
}

/// Where the parts of a raw profile lie, in bytes.
struct Layout {
    records: Range<usize>,
    counters: Range<usize>,
    names: Range<usize>,
}

impl Layout {
    /// Reads the header; `None` if it is none that is known.
    fn read(profile: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let bytes = profile.get(index * WORD..(index + 1) * WORD)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let size = |index: usize| usize::try_from(word(index)?).ok();
        let version = word(1)? & VERSION_BITS & 0xffff;
        if word(0)? != MAGIC || !(OLDEST_VERSION..=NEWEST_VERSION).contains(&version) {
            return None;
        }
        let words = match version >= TABLES_VERSION {
            true => WORDS_WITH_TABLES,
            false => WORDS,
        };
        let [
            ids,
            functions,
            before,
            counters,
            after,
            bitmap,
            behind,
            names,
        ] = [2, 3, 4, 5, 6, 7, 8, 9].map(size);
        let place = (words * WORD).checked_add(ids?)?;
        let records = place..place.checked_add(functions?.checked_mul(RECORD)?)?;
        let start = records.end.checked_add(before?)?;
        let counters = start..start.checked_add(counters?.checked_mul(WORD)?)?;
        let start = counters.end.checked_add(after?)?.checked_add(bitmap?)?;
        let start = start.checked_add(behind?)?;
        let names = start..start.checked_add(names?)?;
        Some(Self {
            records,
            counters,
            names,
        })
    }
}

fn counters(profile: &[u8]) -> Option<Vec<u64>> {
    let layout = Layout::read(profile)?;
    let bytes = profile.get(layout.counters)?;
    let words = bytes.chunks_exact(WORD);
    let words = words.map(|word| word.try_into().map_or(0, u64::from_le_bytes));
    Some(words.collect())
}

/// Reads the names of functions, by the beginning of their MD5 (llvm/ProfileData/InstrProf.h, `ComputeHash`): pieces that each begin with their length and their compressed length, 0 for one that is not compressed.
fn names(mut bytes: &[u8]) -> HashMap<u64, String> {
    let mut all = HashMap::new();
    while let Some((plain, rest)) = number(bytes)
        && let Some((packed, rest)) = number(rest)
        && plain > 0
    {
        let length = if packed == 0 { plain } else { packed };
        let Some(piece) = rest.get(..length) else {
            break;
        };
        let text = match packed {
            0 => piece.to_vec(),
            _ => decompress_to_vec_zlib_with_limit(piece, NAMES_BYTES_MAX).unwrap_or_default(),
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        for name in text.split(NAME_END) {
            all.insert(hashed(name), name.to_owned());
        }
        bytes = &rest[length..];
        // Pieces are padded to whole words.
        let is_padding = |byte: &u8| *byte == 0;
        let padding = bytes.iter().take_while(|byte| is_padding(byte)).count();
        bytes = &bytes[padding..];
    }
    all
}

/// The first eight bytes of the MD5 of a name.
fn hashed(name: &str) -> u64 {
    let digest = Md5::digest(name.as_bytes());
    let word = digest.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(word)
}

/// Reads a number in LEB128, and returns what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests;
