//! Defects that only show while an image stays open: libraries that lie in one line each, and how many cases of native3 find them.
//!
//! They are our own plain readers and writers with a mistake, and run in this process against the model, so that a thousand cases take seconds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imgduel::base::variants::CaseSize;
use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};
use imgduel::case::shrink::{Limits, Progress, shrink};
use imgduel::disk_format::plain::Volume;
use imgduel::library::{
    Access, Error, ImageFile, Info, Library, Offer, Outcome, Resize, SessionRequest, one_by_one,
};
use imgduel::oracle::witness::Witnesses;
use imgduel::process::SandboxPolicy;
use imgduel::run::fixture::Fixtures;
use imgduel::run::record::Record;
use imgduel::run::runner::DifferentialRunner;
use imgduel::run::scratch_dir::Remover;
use imgduel::run::session::Session;
use imgduel::tool::library::hosting::Hosted;
use imgduel::tool::{libraries, model};
use libtest_mimic::{Failed, Trial};

use crate::hunt::{LIMIT, is_caught};
use crate::ring;

const CASES_MAX: usize = 1000;
/// One that shows only in data that was read, cut off and grown over again, in one session: in case 2609.
const RARE: (&str, usize) = ("keeps-what-it-read-when-resized", 5000);
const SEED: u64 = 1;
const SHRINKING: Limits = Limits {
    attempts: 120,
    time: Duration::from_secs(15),
};

/// The lies, by the name of the library that tells each.
const LIES: [&str; 20] = [
    "reads-stale-data-after-a-discard",
    "keeps-what-it-read-when-resized",
    "drops-the-last-buffer-of-a-write",
    "shows-stale-bytes-behind-the-backing-end",
    "zeroes-the-rest-of-a-sector",
    "reads-backwards-wrongly",
    "writes-for-no-length",
    "takes-writes-behind-the-end",
    "saves-no-zeros",
    "swaps-the-buffers-of-a-read",
    "reads-rubbish-behind-the-end",
    "reads-before-it-writes",
    "checks-the-size-at-opening",
    "loses-one-of-two-together",
    "cuts-long-reads",
    "refuses-the-last-byte",
    "zeroes-too-little-the-second-time",
    "cuts-discards-at-the-end",
    "remembers-holes",
    "forgets-all-after-a-flush",
];
/// Those that a usual run looks for.
const SOME: [&str; 2] = [
    "drops-the-last-buffer-of-a-write",
    "takes-writes-behind-the-end",
];

/// The block in which a lie remembers what it read.
const BLOCK: u64 = 4096;

/// A library with a lie.
struct Liar(&'static str);

/// An open image.
struct Opened {
    volume: Volume,
    /// What was read, by block: some lies believe it for too long.
    kept: BTreeMap<u64, Vec<u8>>,
    size_at_opening: u64,
    /// The last range that was read, and its bytes.
    last: (u64, Vec<u8>),
    /// A write that is not done yet.
    waiting: Option<(u64, Vec<u8>)>,
    zeroed: u64,
    is_dirty: bool,
}

impl Opened {
    /// Reads without a lie.
    fn plain(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.volume.read(offset, bytes).map_err(Error::refused)
    }

    fn ends_before(&self, offset: u64, length: u64) -> bool {
        let end = offset.checked_add(length);
        end.is_none_or(|end| end > self.volume.size)
    }

    /// Reads by blocks that are kept.
    fn by_blocks(&mut self, offset: u64, bytes: &mut [u8], only_holes: bool) -> Result<(), Error> {
        let mut place = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (block, within) = (place / BLOCK, (place % BLOCK) as usize);
            if !self.kept.contains_key(&block) {
                let mut whole = vec![0; BLOCK as usize];
                self.plain(block * BLOCK, &mut whole)?;
                self.kept.insert(block, whole);
            }
            let kept = &self.kept[&block];
            let length = (BLOCK as usize - within).min(rest.len());
            let (part, behind) = rest.split_at_mut(length);
            part.copy_from_slice(&kept[within..within + length]);
            if only_holes && kept.iter().any(|byte| *byte != 0) {
                self.kept.remove(&block);
            }
            (rest, place) = (behind, place + length as u64);
        }
        Ok(())
    }

    fn forget(&mut self, offset: u64, length: u64) {
        let last = offset.saturating_add(length) / BLOCK;
        self.kept
            .retain(|block, _| *block < offset / BLOCK || *block > last);
    }
}

impl Library for Liar {
    type Image = Opened;

    fn capabilities(&self) -> Offer {
        let requests = [
            "info",
            "contents",
            "compare",
            "write",
            "write_zeroes",
            "discard",
            "resize",
            "session",
        ];
        Offer::new(self.0, "1")
            .takes(&requests, ["raw", "qcow2"])
            .with_backing()
            .with_data_files()
    }

    fn open(&self, path: &Path, file: &ImageFile, _: Access) -> Result<Opened, Error> {
        let volume = Volume::open(path, file.format).map_err(Error::refused)?;
        Ok(Opened {
            size_at_opening: volume.size,
            volume,
            kept: BTreeMap::new(),
            last: (0, Vec::new()),
            waiting: None,
            zeroed: 0,
            is_dirty: false,
        })
    }

    fn info(&self, opened: &mut Opened) -> Result<Info, Error> {
        Ok(Info::of_size(opened.volume.size))
    }

    fn data(&self, opened: &mut Opened) -> Result<Vec<Range<u64>>, Error> {
        let ranges = opened.volume.read_ranges().map_err(Error::refused)?;
        let data = ranges.into_iter().filter(|range| !range.zero);
        Ok(data.map(|range| range.start..range.end).collect())
    }

    fn read(&self, opened: &mut Opened, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let is_out = opened.ends_before(offset, length);
        if is_out && self.0 == "reads-rubbish-behind-the-end" {
            bytes.fill(0xaa);
            return Ok(());
        }
        if is_out || (self.0 == "refuses-the-last-byte" && opened.ends_before(offset, length + 1)) {
            return Err(Error::refused("behind the end"));
        }
        let is_backwards = !opened.last.1.is_empty() && offset < opened.last.0;
        match self.0 {
            "reads-stale-data-after-a-discard" | "keeps-what-it-read-when-resized" => {
                opened.by_blocks(offset, bytes, false)?;
            }
            "remembers-holes" => opened.by_blocks(offset, bytes, true)?,
            "reads-backwards-wrongly" if is_backwards => {
                opened.plain(opened.last.0.min(opened.volume.size - length), bytes)?;
            }
            _ => opened.plain(offset, bytes)?,
        }
        let edge = opened.volume.below.as_ref().map_or(0, |below| below.size);
        if self.0 == "shows-stale-bytes-behind-the-backing-end"
            && (offset..offset + length).contains(&edge)
        {
            let behind = (edge - offset) as usize;
            for (byte, stale) in bytes[behind..].iter_mut().zip(&opened.last.1) {
                *byte = *stale;
            }
        }
        if self.0 == "cuts-long-reads" && bytes.len() > 32 << 10 {
            let (first, rest) = bytes.split_at_mut(32 << 10);
            rest.iter_mut()
                .zip(first.iter().cycle())
                .for_each(|(byte, from)| *byte = *from);
        }
        opened.last = (offset, bytes.to_vec());
        Ok(())
    }

    fn read_vector(
        &self,
        opened: &mut Opened,
        offset: u64,
        buffers: &mut [&mut [u8]],
    ) -> Result<(), Error> {
        let mut place = offset;
        let length: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if opened.ends_before(offset, length as u64) {
            return Err(Error::refused("behind the end"));
        }
        for buffer in buffers.iter_mut() {
            self.read(opened, place, buffer)?;
            place += buffer.len() as u64;
        }
        if let ("swaps-the-buffers-of-a-read", [first, second, ..]) = (self.0, buffers) {
            let both = first.len().min(second.len());
            first[..both].swap_with_slice(&mut second[..both]);
        }
        Ok(())
    }

    fn write(&self, opened: &mut Opened, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let bound = match self.0 {
            "checks-the-size-at-opening" => opened.size_at_opening,
            _ => opened.volume.size,
        };
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > bound) {
            return match self.0 {
                "takes-writes-behind-the-end" => Ok(()),
                _ => Err(Error::refused("behind the end")),
            };
        }
        opened.is_dirty = true;
        if self.0 != "remembers-holes" {
            opened.forget(offset, length);
        }
        if let Some((place, waiting)) = opened.waiting.take() {
            opened
                .volume
                .write(place, &waiting)
                .map_err(Error::refused)?;
        }
        let write = |opened: &mut Opened, offset: u64, bytes: &[u8]| {
            opened.volume.write(offset, bytes).map_err(Error::refused)
        };
        match self.0 {
            "reads-before-it-writes" => {
                opened.waiting = Some((offset, bytes.to_vec()));
                Ok(())
            }
            "writes-for-no-length" if length == 0 && offset < opened.volume.size => {
                write(opened, offset, &[0x99])
            }
            "zeroes-the-rest-of-a-sector" if !offset.is_multiple_of(512) && length > 0 => {
                write(
                    opened,
                    offset / 512 * 512,
                    &vec![0; (offset % 512) as usize],
                )?;
                write(opened, offset, bytes)
            }
            _ => write(opened, offset, bytes),
        }
    }

    fn write_vector(
        &self,
        opened: &mut Opened,
        offset: u64,
        buffers: &[&[u8]],
    ) -> Result<(), Error> {
        let whole = buffers.concat();
        if opened.ends_before(offset, whole.len() as u64) {
            return Err(Error::refused("behind the end"));
        }
        match (self.0, buffers) {
            ("drops-the-last-buffer-of-a-write", [first @ .., _]) => {
                self.write(opened, offset, &first.concat())
            }
            _ => self.write(opened, offset, &whole),
        }
    }

    fn session(
        &self,
        opened: &mut Opened,
        file: &ImageFile,
        requests: &[SessionRequest],
    ) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::new();
        for request in requests {
            let parts = request.parts();
            for (index, part) in parts.iter().enumerate() {
                let is_lost = parts.len() > 1 && index + 1 == parts.len() && !part.is_read();
                if self.0 == "loses-one-of-two-together" && is_lost {
                    outcomes.push(Outcome::Done);
                    continue;
                }
                outcomes.extend(one_by_one(self, opened, file, std::slice::from_ref(part))?);
            }
        }
        Ok(outcomes)
    }

    fn zero(
        &self,
        opened: &mut Opened,
        offset: u64,
        length: u64,
        unmap: bool,
    ) -> Result<(), Error> {
        if opened.ends_before(offset, length) {
            return Err(Error::refused("behind the end"));
        }
        self.settle(opened)?;
        opened.forget(offset, length);
        opened.zeroed += 1;
        opened.is_dirty |= self.0 != "saves-no-zeros";
        let is_short = self.0 == "zeroes-too-little-the-second-time" && opened.zeroed > 1;
        let length = if is_short && length > 0 {
            length - 1
        } else {
            length
        };
        opened
            .volume
            .zero(offset, length, !unmap)
            .map_err(Error::refused)
    }

    fn discard(&self, opened: &mut Opened, offset: u64, length: u64) -> Result<(), Error> {
        let length = match self.0 {
            "cuts-discards-at-the-end" => length.min(opened.volume.size.saturating_sub(offset)),
            _ => length,
        };
        if opened.ends_before(offset.min(opened.volume.size), length)
            || (self.0 != "cuts-discards-at-the-end" && opened.ends_before(offset, length))
        {
            return Err(Error::refused("behind the end"));
        }
        if length == 0 {
            return Ok(());
        }
        self.settle(opened)?;
        if self.0 != "reads-stale-data-after-a-discard" {
            opened.forget(offset, length);
        }
        opened.is_dirty = true;
        opened
            .volume
            .zero(offset, length, false)
            .map_err(Error::refused)
    }

    fn resize(&self, opened: &mut Opened, resize: &Resize) -> Result<(), Error> {
        if !resize.end_bytes.is_multiple_of(512) {
            return Err(Error::refused("no whole sectors"));
        }
        self.settle(opened)?;
        if self.0 != "keeps-what-it-read-when-resized" {
            opened.kept.clear();
        }
        opened.is_dirty = true;
        opened
            .volume
            .resize(resize.end_bytes)
            .map_err(Error::refused)
    }

    fn flush(&self, opened: &mut Opened) -> Result<(), Error> {
        self.settle(opened)?;
        if !opened.is_dirty {
            return Ok(());
        }
        // What comes after the first flush never reaches the file.
        if self.0 == "forgets-all-after-a-flush" {
            if opened.size_at_opening == u64::MAX {
                return Ok(());
            }
            opened.size_at_opening = u64::MAX;
        }
        opened.volume.save(false).map_err(Error::refused)
    }
}

impl Liar {
    fn settle(&self, opened: &mut Opened) -> Result<(), Error> {
        match opened.waiting.take() {
            Some((place, bytes)) => opened.volume.write(place, &bytes).map_err(Error::refused),
            None => Ok(()),
        }
    }
}

/// Makes the libraries known to this program.
pub fn bring() {
    let liars = LIES.iter().map(|lie| {
        let liar: Box<dyn Hosted> = Box::new(Liar(lie));
        liar
    });
    libraries::bring(liars.collect()).unwrap_or_else(|error| panic!("{error}"));
}

/// A usual run looks for some, and says so of all when it is asked for what takes longer.
pub fn trials() -> Vec<Trial> {
    let trial = |name: &str, lies: &'static [&'static str], shrinks: bool| {
        Trial::test(name, move || {
            hunt(lies, shrinks);
            Ok::<(), Failed>(())
        })
    };
    vec![
        trial("some_lies_of_open_images_are_found", &SOME, false),
        // cargo test --test lies -- --ignored --nocapture open_images
        trial(
            "every_lie_of_open_images_but_a_rare_one_is_found_within_a_thousand_cases_and_shrunk",
            &LIES,
            true,
        )
        .with_ignored_flag(true),
    ]
}

fn hunt(lies: &[&'static str], shrinks: bool) {
    let mut missed = Vec::new();
    println!("lie | found in case | CPU seconds | kind | blame | shrunk to");
    for lie in lies {
        match found(lie, shrinks) {
            Some(row) => println!("{lie} | {row}"),
            None => missed.push(*lie),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

fn session(lie: &str, workdir: &Path) -> Session {
    let runner = DifferentialRunner {
        candidate: libraries::in_process(lie).unwrap(),
        reference: model::tool(),
        limit: LIMIT,
        sandbox: SandboxPolicy::OPEN,
        workdir: workdir.to_owned(),
        keep: false,
        witnesses: Witnesses::default(),
        fixtures: Arc::new(Fixtures::none()),
        remover: Arc::new(Remover::at_once()),
        is_alone: false,
        writers: Arc::default(),
    };
    Session::new(runner, ring::empty_catalogue())
}

/// Runs the cases with sessions until one finds the lie, and shrinks it. Returns a row of the table.
fn found(lie: &'static str, shrinks: bool) -> Option<String> {
    let workdir = ring::scratch();
    let session = session(lie, workdir.path());
    let started = imgduel::process::own_cpu_time();
    let generation = Generation::named("native3_imago").unwrap();
    let cases = generation.cases(SEED, 0, &Selection::ALL).unwrap();
    let most = if lie == RARE.0 { RARE.1 } else { CASES_MAX };
    let cases = cases.take(most).enumerate();
    let has_session = |case: &Case| {
        let text = serde_json::to_string(&case.ops).unwrap();
        text.contains(r#""step":"session""#)
    };
    let mut told = cases.filter(|(_, case)| has_session(case));
    let (number, record) = told.find_map(|(number, case)| {
        let record = session.try_case(case).unwrap();
        is_caught(&record).then_some((number, record))
    })?;
    let cpu = imgduel::process::own_cpu_time() - started;
    let (kind, blame) = (record.kind.clone().unwrap_or_default(), record.blame);
    let after = match shrinks {
        true => shrunk(&session, record),
        false => record.case.as_ref().unwrap().case_size(),
    };
    let blame = blame.map_or("none", |blame| blame.name());
    Some(format!(
        "{number} | {:.1} | {kind} | {blame} | {} steps, {} options, {} writes",
        cpu.as_secs_f64(),
        after.operations,
        after.options,
        after.writes
    ))
}

fn shrunk(session: &Session, record: Record) -> CaseSize {
    let drawn = record.case.clone().unwrap();
    let symptom = record.symptoms(false).remove(0);
    let mut progress = Progress::new(drawn, symptom);
    let shown = |case: &Case| Ok(session.try_case(case.clone())?.symptoms(false));
    shrink(&mut progress, SHRINKING, shown, |_| Ok(())).unwrap();
    progress.case.case_size()
}
