//! Draws cases with damaged images: a valid image with one to four fields replaced, or truncated, then inspected and possibly modified.
//!
//! As in the native generations, each profile has its own name and table, so that an id decodes to the same case whatever tools are
//! installed: `malformed1` draws every format and option that qemu-img creates, `malformed1_imago` those that the imago crate opens.
//! `--fields` restricts the damaged structures and fields; the drawn images then contain these. `base_images` draws the valid images,
//! `values` the replacement values. The damage itself is done by [`crate::disk_format::damage`].

use crate::base::error::{Error, Result};
use crate::base::rng::NativeRandom;
use crate::case::generation::start_image::StartImage;
use crate::case::{Case, CaseId};
use crate::disk_format::damage::{self, Cut, Damage, Found};
use crate::disk_format::structure::{FieldKind, Structure};
use crate::image::content::{Fill, Write};
use crate::image::format::Format;
use crate::image::options::{Compat, CreateOption};
use crate::operation::Operation;
use crate::operation::chain::Layer;
use crate::operation::malformed::{BaseImage, Change, Malformed, ReadRequest};
use crate::tool::request::SnapshotAction;

mod base_images;
mod values;

/// Weights of replacing one to four fields. Most cases replace only one, so that its effect is not hidden by another.
const DAMAGE_WEIGHTS: [u64; 4] = [60, 20, 12, 8];
/// Percentage of damages that truncate the image.
const TRUNCATED_PERCENT: u64 = 12;
/// Percentage of replaced fields whose checksum is left stale, in formats with checksums.
const STALE_PERCENT: u64 = 20;
/// Percentage of encryption structures that are kept after being drawn. They are rare because qemu-img runs a benchmark of two seconds
/// before it creates a key.
const RARE_PERCENT: u64 = 15;
/// Percentage of inspections that a case contains.
const LOOK_PERCENT: u64 = 55;
/// Percentage of cases that modify the image.
const CHANGE_PERCENT: u64 = 35;
/// Number of table entries among which the damaged one is mostly drawn; otherwise it is one of [`ENTRIES`].
const FIRST_ENTRIES: u64 = 4;
const ENTRIES: u64 = 64;

/// The profile of a generation: what it may draw.
pub struct MalformedProfile {
    /// The formats and their weights.
    pub formats: &'static [(Format, u64)],
    /// Whether it draws features that few tools support: qcow2 with extended L2 entries, zstd and encryption, vmdk with sparse extents.
    pub is_wide: bool,
    /// The inspections and modifications.
    pub kinds: &'static [&'static str],
}

/// Everything that qemu-img can create.
pub(super) static WIDE: MalformedProfile = MalformedProfile {
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
    kinds: KINDS,
};

/// The formats that imago 0.2 opens: qcow2, and vmdk with flat extents.
pub(super) static IMAGO: MalformedProfile = MalformedProfile {
    formats: &[(Format::Qcow2, 15), (Format::Vmdk, 2)],
    is_wide: false,
    kinds: KINDS,
};

/// Everything that qemu-img can create, with equal weights and without modifications, for tools that only read.
pub(super) static READERS: MalformedProfile = MalformedProfile {
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
    kinds: &["info", "check", "map", "contents"],
};

const KINDS: &[&str] = &[
    "info", "check", "map", "contents", "measure", "convert", "compare", "write", "discard",
    "resize", "snapshot", "amend", "repair", "rebase", "commit", "bench",
];

/// Checks the values of `--fields`. Fails if there are none or one is unknown.
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

/// A field to be replaced, and the structure that it belongs to.
type Target = (&'static Structure, &'static FieldKind);

/// What is damaged, and how.
struct Base {
    base_image: BaseImage,
    outside: Vec<Layer>,
    damages: Vec<Damage>,
}

/// Returns the fields that `names` allows, of those that an image has.
pub(super) fn wanted(found: &[Found], names: Option<&[String]>) -> Vec<Found> {
    let of_structure = found.iter().map(|found| Found {
        structure: found.structure,
        fields: found
            .fields
            .iter()
            .copied()
            .filter(|kind| is_wanted(found.structure, kind, names))
            .collect(),
    });
    of_structure
        .filter(|found| !found.fields.is_empty())
        .collect()
}

impl MalformedProfile {
    /// Decodes the iteration whose own seed is `iter_seed`. `pool` replaces the profile's inspections and modifications; `fields`
    /// restricts what is damaged.
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
        let mut base_image = base_images::draw(&mut random, format, self.is_wide);
        for (structure, field) in &targets {
            base_images::provide(&mut base_image, structure.name, field.name);
        }
        let damages = targets
            .iter()
            .map(|(structure, field)| damage(&mut random, format, structure, field))
            .collect();
        let base = Base {
            base_image,
            outside: Vec::new(),
            damages,
        };
        self.finished(random, id, iter_seed, base, pool, fields)
    }

    /// Decodes the iteration that damages an image from outside: fields that it has.
    pub(super) fn decode_from(
        &self,
        id: CaseId,
        iter_seed: u64,
        pool: Option<&[&str]>,
        fields: Option<&[String]>,
        image: &StartImage,
    ) -> Case {
        let mut random = NativeRandom::new(iter_seed);
        let there = wanted(&image.fields, fields);
        let count = 1 + random.weighted(&DAMAGE_WEIGHTS);
        let damages = (0..count).map(|_| {
            let found = random.choice(&there);
            let field = random.choice(&found.fields);
            damage(&mut random, image.format, found.structure, field)
        });
        let damages = damages.collect();
        let size = image.layers.last().map_or(0, |layer| layer.size);
        let base = Base {
            base_image: BaseImage::empty(image.format, size),
            outside: image.layers.clone(),
            damages,
        };
        let case = self.finished(random, id, iter_seed, base, pool, fields);
        Case {
            from: Some(image.from.clone()),
            ..case
        }
    }

    /// Draws what the tools are asked about a damaged image.
    fn finished(
        &self,
        mut random: NativeRandom,
        id: CaseId,
        iter_seed: u64,
        base: Base,
        pool: Option<&[&str]>,
        fields: Option<&[String]>,
    ) -> Case {
        let Base {
            base_image,
            outside,
            damages,
        } = base;
        let pool_names: Vec<&str> = pool.unwrap_or(self.kinds).to_vec();
        let is_drawn = |random: &mut NativeRandom, read: &ReadRequest| {
            let is_there = pool_names.contains(&read.name());
            random.percent(LOOK_PERCENT) && is_there
        };
        let reads: Vec<ReadRequest> = ReadRequest::ALL
            .into_iter()
            .filter(|read| is_drawn(&mut random, read))
            .collect();
        let change = change(
            &mut random,
            &pool_names,
            &base_image.writes,
            base_image.size,
        );
        let mut malformed = Malformed {
            base_image,
            outside,
            damages,
            reads,
            change,
        };
        if malformed.reads.is_empty() && malformed.change.is_none() {
            malformed.reads = vec![ReadRequest::Info, ReadRequest::Contents];
        }
        let operation = Operation::Malformed(malformed);
        Case {
            fields_filter: fields.map(<[String]>::to_vec),
            ..Case::drawn(id, iter_seed, random.words_used(), operation, pool)
        }
    }

    /// Draws a format that has at least one of the wanted fields.
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
            // No format of this profile has the wanted fields. The case reports that when it runs.
            false => self.formats[0].0,
        }
    }

    /// Draws the fields to replace. The structure is drawn first, so that structures with many fields are not drawn more often.
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
                let can_be_made = self.is_wide || base_images::is_narrow(structure);
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
            let is_rare = base_images::takes_long(structure) && !random.percent(RARE_PERCENT);
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
            .any(|(structure, _)| base_images::takes_long(structure))
        {
            // Encrypted images are created empty and have few structures.
            targets.retain(|(structure, _)| base_images::is_of_encrypted(structure));
        }
        targets
    }
}

/// Returns whether `fields` allows damaging this field; `None` allows all.
fn is_wanted(structure: &Structure, kind: &FieldKind, fields: Option<&[String]>) -> bool {
    fields.is_none_or(|fields| {
        fields.iter().any(|name| match name.split_once('.') {
            Some((part, field)) => part == structure.name && field == kind.name,
            None => name == structure.name,
        })
    })
}

/// Draws how a field is damaged: it is replaced, or the image is truncated near its structure.
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

/// Draws a modification of the image from `pool`; `None` in most cases.
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
        fill: Fill::Byte(0xa5),
    };
    let changes = [
        Change::Write(written),
        // 64 KiB covers a whole cluster of every drawn size. Tools may ignore discards of parts of a cluster.
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
