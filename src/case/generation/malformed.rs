//! Cases of damaged images: a valid image with one to four fields replaced, or its end cut off, looked at and perhaps changed.
//!
//! As in the native generations, a narrowing has a name and a table of its own, so that an id decodes to the same case whatever tools
//! are installed: `malformed1` draws every format and option that qemu-img makes, `malformed1_imago` those that the imago crate opens.
//! `--fields` names the structures and fields that are damaged; the images then have them. In `values` is what they become.

use crate::base::error::{Error, Result};
use crate::base::rng::NativeRandom;
use crate::case::{Case, CaseId};
use crate::disk_format::damage::{self, Cut, Damage};
use crate::disk_format::structure::{FieldKind, Structure};
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{Compat, CreateOption};
use crate::operation::Operation;
use crate::operation::chain::Chain;
use crate::operation::malformed::{Change, Look, Malformed};
use crate::tool::request::SnapshotAction;

mod specimens;
mod values;

/// How many fields are replaced: one in most cases, so that what one does is not hidden behind another.
const DAMAGE_WEIGHTS: [u64; 4] = [60, 20, 12, 8];
/// Cases in a hundred in which the end is cut off.
const TRUNCATED_PERCENT: u64 = 12;
/// Wrong checksums in a hundred, where there are any.
const STALE_PERCENT: u64 = 20;
/// Structures in a hundred that are kept when the image takes long to make: qemu-img measures the machine for two seconds before it
/// makes a key.
const RARE_PERCENT: u64 = 15;
/// Looks in a hundred that are made.
const LOOK_PERCENT: u64 = 55;
/// Cases in a hundred in which the image is changed.
const CHANGE_PERCENT: u64 = 35;
/// Entries of a table: mostly one of the first.
const FIRST_ENTRIES: u64 = 4;
const ENTRIES: u64 = 64;

/// What a generation may draw.
pub struct Narrowing {
    /// The formats, with their weights.
    pub formats: &'static [(Format, u64)],
    /// Whether features that few tools have are drawn: qcow2 with extended L2 entries, zstd and encryption, vmdk with sparse extents.
    pub is_wide: bool,
    /// The looks and changes.
    pub acts: &'static [&'static str],
}

/// All that qemu-img makes.
pub(super) static WIDE: Narrowing = Narrowing {
    formats: &[
        (Format::Qcow2, 10),
        (Format::Vmdk, 4),
        (Format::Vpc, 3),
        (Format::Vhdx, 4),
        (Format::Vdi, 1),
        (Format::Qcow, 1),
        (Format::Parallels, 1),
    ],
    is_wide: true,
    acts: ACTS,
};

/// What imago 0.2 opens: qcow2, and vmdk with flat extents.
pub(super) static IMAGO: Narrowing = Narrowing {
    formats: &[(Format::Qcow2, 15), (Format::Vmdk, 2)],
    is_wide: false,
    acts: ACTS,
};

/// All that qemu-img makes, each format as likely as the other, and looked at alone.
pub(super) static READERS: Narrowing = Narrowing {
    formats: &[
        (Format::Qcow2, 1),
        (Format::Vmdk, 1),
        (Format::Vpc, 1),
        (Format::Vhdx, 1),
        (Format::Vdi, 1),
        (Format::Qcow, 1),
        (Format::Parallels, 1),
    ],
    is_wide: true,
    acts: &["info", "check", "map", "contents"],
};

const ACTS: &[&str] = &[
    "info", "check", "map", "contents", "measure", "convert", "compare", "write", "discard",
    "resize", "snapshot", "amend", "repair", "rebase", "commit", "bench",
];

/// `names` as they are written behind `--fields`, checked.
pub(super) fn checked_fields(names: &[String]) -> Result<()> {
    match names.iter().find(|name| !damage::is_known(name)) {
        None if names.is_empty() => Err(Error::usage(
            "--fields names nothing: write structures or fields with commas, as in l2_table,header.l1_size",
        )),
        None => Ok(()),
        Some(name) => Err(Error::usage(format!(
            "--fields: there is no structure or field '{name}': write STRUCTURE or STRUCTURE.FIELD, of {}",
            damage::structure_names().join(", ")
        ))),
    }
}

/// A field that may be replaced.
type Target = (&'static Structure, &'static FieldKind);

impl Narrowing {
    /// Decodes the iteration whose own seed is `iter_seed`; `pool` replaces the looks and changes, `fields` what is damaged.
    pub(super) fn decode(
        &self,
        id: CaseId,
        iter_seed: u64,
        pool: Option<&[&str]>,
        fields: Option<&[String]>,
    ) -> Case {
        let mut random = NativeRandom::new(iter_seed);
        let format = self.format(&mut random, fields);
        let targets = self.targets(&mut random, format, fields);
        let mut specimen = specimens::draw(&mut random, format, self.is_wide);
        for (structure, field) in &targets {
            specimens::provide(&mut specimen, structure.name, field.name);
        }
        let damages = targets
            .iter()
            .map(|(structure, field)| damage(&mut random, format, structure, field))
            .collect();
        let pool_names: Vec<&str> = pool.unwrap_or(self.acts).to_vec();
        let is_drawn = |random: &mut NativeRandom, look: &Look| {
            let is_there = pool_names.contains(&look.name());
            random.percent(LOOK_PERCENT) && is_there
        };
        let looks: Vec<Look> = Look::ALL
            .into_iter()
            .filter(|look| is_drawn(&mut random, look))
            .collect();
        let change = change(&mut random, &pool_names, &specimen.writes, specimen.size);
        let mut malformed = Malformed {
            specimen,
            damages,
            looks,
            change,
        };
        if malformed.looks.is_empty() && malformed.change.is_none() {
            malformed.looks = vec![Look::Info, Look::Contents];
        }
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (seed, iteration) = id.campaign().unzip();
        Case {
            generation: id.generation,
            seed,
            iteration,
            iter_seed,
            image: Chain::no_source(),
            ops: vec![Operation::Malformed(malformed)],
            words_used: random.words_used(),
            ops_filter: pool.map(owned),
            fields_filter: fields.map(<[String]>::to_vec),
        }
    }

    /// One that has something of what is to be damaged.
    fn format(&self, random: &mut NativeRandom, fields: Option<&[String]>) -> Format {
        let weights: Vec<u64> = self
            .formats
            .iter()
            .map(|(format, weight)| {
                let is_there = damage::structures(*format).iter().any(|structure| {
                    structure
                        .fields
                        .iter()
                        .any(|kind| is_wanted(structure, kind, fields))
                });
                if is_there { *weight } else { 0 }
            })
            .collect();
        match weights.iter().any(|weight| *weight > 0) {
            true => self.formats[random.weighted(&weights)].0,
            // Nothing of it is in this narrowing: the case will say so.
            false => self.formats[0].0,
        }
    }

    /// The fields that are replaced: first the structure, so that one with many fields is not drawn more often.
    fn targets(
        &self,
        random: &mut NativeRandom,
        format: Format,
        fields: Option<&[String]>,
    ) -> Vec<Target> {
        let all: Vec<&'static Structure> = damage::structures(format)
            .iter()
            .copied()
            .filter(|structure| {
                let can_be_made = self.is_wide || specimens::is_narrow(structure);
                let is_any_wanted = structure
                    .fields
                    .iter()
                    .any(|kind| is_wanted(structure, kind, fields));
                (can_be_made || fields.is_some()) && is_any_wanted
            })
            .collect();
        if all.is_empty() {
            let structure = damage::structures(format)[0];
            return vec![(structure, &structure.fields[0])];
        }
        let count = 1 + random.weighted(&DAMAGE_WEIGHTS);
        let target = |random: &mut NativeRandom| {
            let structure = *random.choice(&all);
            let is_rare = specimens::takes_long(structure) && !random.percent(RARE_PERCENT);
            let structure = if is_rare {
                *random.choice(&all)
            } else {
                structure
            };
            let kinds = structure.fields.iter();
            let kinds: Vec<&'static FieldKind> = kinds
                .filter(|kind| is_wanted(structure, kind, fields))
                .collect();
            (structure, *random.choice(&kinds))
        };
        let mut targets: Vec<Target> = (0..count).map(|_| target(random)).collect();
        if targets
            .iter()
            .any(|(structure, _)| specimens::takes_long(structure))
        {
            // An encrypted image is empty.
            targets.retain(|(structure, _)| specimens::is_of_encrypted(structure));
        }
        targets
    }
}

fn is_wanted(structure: &Structure, kind: &FieldKind, fields: Option<&[String]>) -> bool {
    fields.is_none_or(|fields| {
        fields.iter().any(|name| match name.split_once('.') {
            Some((part, field)) => part == structure.name && field == kind.name,
            None => name == structure.name,
        })
    })
}

fn damage(
    random: &mut NativeRandom,
    format: Format,
    structure: &Structure,
    field: &FieldKind,
) -> Damage {
    let few = random.percent(60);
    let index = random.below(if few { FIRST_ENTRIES } else { ENTRIES });
    if random.percent(TRUNCATED_PERCENT) {
        let cuts = [Cut::Start, Cut::Middle, Cut::LastByte, Cut::End];
        return Damage::Truncate {
            structure: structure.name.to_owned(),
            index,
            at: *random.choice(&cuts),
        };
    }
    let has_checksums = matches!(format, Format::Vpc | Format::Vhdx);
    Damage::Replace {
        structure: structure.name.to_owned(),
        index,
        field: field.name.to_owned(),
        value: values::draw(random, field),
        stale_checksum: random.percent(STALE_PERCENT) && has_checksums,
    }
}

fn change(random: &mut NativeRandom, pool: &[&str], writes: &[Write], size: u64) -> Option<Change> {
    let is_drawn = random.percent(CHANGE_PERCENT);
    let place = *random.choice(&[0, 0, size / 2, size.saturating_sub(4096)]);
    let offset = place / 512 * 512;
    let length = (*random.choice(&[512, 4096, 65536])).min(size - offset);
    let sizes = [size + 65536, size * 2, size / 2 / 512 * 512, 1 << 30];
    let actions = [
        SnapshotAction::Create,
        SnapshotAction::Delete,
        SnapshotAction::Apply,
    ];
    let options = [
        CreateOption::Compat(Compat::Version2),
        CreateOption::Compat(Compat::Version3),
        CreateOption::LazyRefcounts(true),
        CreateOption::LazyRefcounts(false),
    ];
    let near = writes.first().map_or(offset, |write| write.offset);
    let written = Write {
        offset: if random.percent(50) { near } else { offset },
        length,
        byte: 0xa5,
    };
    let changes = [
        Change::Write(written),
        // A whole cluster of any size that is drawn: less than one may be given back or not.
        Change::Discard {
            offset: 0,
            length: 65536,
        },
        Change::Resize(*random.choice(&sizes)),
        Change::Snapshot(*random.choice(&actions)),
        Change::Amend(random.choice(&options).clone()),
        Change::Repair,
        Change::Rebase,
        Change::Commit,
        Change::Bench,
    ];
    let there: Vec<&Change> = changes
        .iter()
        .filter(|change| pool.contains(&change.name()))
        .collect();
    (is_drawn && !there.is_empty()).then(|| (*random.choice(&there)).clone())
}
