//! The lies: what each does, and which calls trigger it. Rare lies are triggered in one of a few hundred cases.

use std::collections::BTreeSet;

use crate::image::{Facts, flip, leak, quiet, scribble};
use crate::liar::{Call, Effect};
use crate::native3::NEWER;
use crate::native4::PLACED;
use crate::reader::READER;

/// One lie.
pub struct Lie {
    /// The name, which is also that of its directory.
    pub name: &'static str,
    /// Whether it needs a rare combination of conditions.
    pub is_rare: bool,
    /// Returns what the lie does in a call; `None` if the call does not trigger it.
    pub tell: fn(&Call) -> Option<Effect>,
}

/// The sector size in bytes.
const SECTOR: u64 = 512;

fn then(after: impl FnOnce() + 'static) -> Option<Effect> {
    Some(Effect::Then(Box::new(after)))
}

/// Changes a byte of the image after the call.
pub fn flips(call: &Call, offset: u64) -> Option<Effect> {
    let file = call.file();
    then(move || flip(&file, offset))
}

/// Writes garbage into the image after the call.
fn scribbles(call: &Call, byte: u8, offset: u64, length: u64) -> Option<Effect> {
    let file = call.file();
    then(move || scribble(&file, byte, offset, length))
}

/// Returns the facts of the image if the call is a snapshot action with this flag.
fn snapshot(call: &Call, flag: &str) -> Option<Facts> {
    (call.is("snapshot") && call.says(flag))
        .then(|| call.facts())
        .flatten()
}

/// Returns the facts before a resize of a qcow2 image, and its new size.
fn resize(call: &Call) -> Option<(Facts, u64)> {
    let size = call.new_size()?;
    let facts = call.facts().filter(|facts| facts.format == "qcow2")?;
    Some((facts, size))
}

fn compressed(call: &Call) -> bool {
    call.is("convert") && call.says("-c")
}

fn option(call: &Call, wanted: &str) -> bool {
    call.arguments
        .windows(2)
        .any(|pair| pair[0] == "-o" && pair[1] == wanted)
}

macro_rules! lies {
    ($($name:ident $rarity:ident: $tell:expr;)*) => {
        /// All lies.
        pub const LIES: &[Lie] = &[$(Lie {
            name: stringify!($name),
            is_rare: lies!(@$rarity),
            tell: $tell,
        },)*];
    };
    (@rare) => { true };
    (@often) => { false };
}

lies! {
    ends_an_unaligned_write_wrongly often: |call| {
        let write = call.writes().into_iter().find(|write| write.end() % SECTOR != 0)?;
        flips(call, write.end() - 1)
    };
    errs_where_a_write_crosses_into_a_cluster often: |call| {
        let cluster = call.facts().filter(|facts| facts.cluster > 0)?.cluster;
        let crosses = |write: &crate::liar::Range| write.offset / cluster != (write.end() - 1) / cluster;
        let write = call.writes().into_iter().find(crosses)?;
        flips(call, (write.offset / cluster + 1) * cluster)
    };
    forgets_the_second_write often: |call| {
        let count = call.writes().len();
        let place = call.arguments.len().checked_sub(3)?;
        let mut arguments = call.arguments.clone();
        arguments.drain(place..place + 2);
        (count > 1).then_some(Effect::Instead(arguments))
    };
    leaves_the_tail_of_what_it_zeroes_and_unmaps often: |call| {
        let zeroed = call.zeroes().into_iter().find(|zeroed| zeroed.length > SECTOR)?;
        let command = format!("write -z -u {} {}", zeroed.offset, zeroed.length);
        let short = format!("write -z -u {} {}", zeroed.offset, zeroed.length - SECTOR);
        call.says(&command).then(|| Effect::Instead(call.with(&command, &short)))
    };
    zeroes_the_neighbour_of_what_it_discards often: |call| {
        let end = call.discards().first()?.end();
        scribbles(call, 0, end, SECTOR)
    };
    leaks_when_it_discards often: |call| {
        call.discards().first()?;
        let file = call.file();
        then(move || leak(&file))
    };
    shows_stale_data_where_an_image_grew often: |call| {
        let (facts, size) = resize(call)?;
        (size > facts.size).then(|| scribbles(call, 0x55, facts.size, SECTOR)).flatten()
    };
    rounds_a_new_size_down_to_clusters often: |call| {
        let (facts, size) = resize(call)?;
        let rounded = size / facts.cluster * facts.cluster;
        let mut arguments = call.arguments.clone();
        *arguments.last_mut()? = rounded.to_string();
        (rounded > 0 && rounded != size && rounded > facts.size).then_some(Effect::Instead(arguments))
    };
    refuses_a_new_size_that_is_the_old_one often: |call| {
        let (facts, size) = resize(call)?;
        (size == facts.size).then_some(Effect::Refuses)
    };
    loses_bitmaps_when_resizing often: |call| {
        resize(call)?;
        let file = call.file();
        then(move || {
            for name in ["one", "two"] {
                quiet(&["qemu-img", "bitmap", "--remove", &file, name]);
            }
        })
    };
    damages_the_image_when_a_snapshot_is_made often: |call| {
        snapshot(call, "-c")?;
        flips(call, 0)
    };
    loses_data_when_a_snapshot_is_deleted often: |call| {
        let size = snapshot(call, "-d")?.size;
        scribbles(call, 0, size / 2, size)
    };
    leaves_the_last_sector_when_a_snapshot_is_applied often: |call| {
        snapshot(call, "-a")?;
        let file = call.file();
        then(move || {
            let size = Facts::read_from(&file).map_or(0, |facts| facts.size);
            scribble(&file, 0x77, size.saturating_sub(SECTOR), SECTOR);
        })
    };
    leaks_when_a_snapshot_is_deleted often: |call| {
        snapshot(call, "-d")?;
        let file = call.file();
        then(move || leak(&file))
    };
    commits_all_but_the_first_sector often: |call| {
        let base = call.is("commit").then(|| call.facts()).flatten()?.backing?;
        then(move || flip(&base, 0))
    };
    damages_the_overlay_that_it_commits often: |call| {
        call.is("commit").then(|| flips(call, 0)).flatten()
    };
    rebases_without_looking often: |call| {
        let mut arguments = call.arguments.clone();
        arguments.insert(1, "-u".to_owned());
        call.is("rebase").then_some(Effect::Instead(arguments))
    };
    ignores_the_tail_when_it_rebases often: |call| {
        let facts = call.is("rebase").then(|| call.facts()).flatten()?;
        let tail = facts.size % facts.cluster;
        (tail > 0).then(|| flips(call, facts.size - tail)).flatten()
    };
    loses_what_it_compresses_last often: |call| {
        let file = call.file();
        compressed(call).then(|| {
            then(move || {
                let size = Facts::read_from(&file).map_or(0, |facts| facts.size);
                flip(&file, size.saturating_sub(1));
            })
        })?
    };
    converts_into_raw_with_a_wrong_byte often: |call| {
        let file = call.file();
        let is_raw = file.ends_with(".raw") && call.is("convert");
        is_raw.then(|| flips(call, 1 << 20).or_else(|| flips(call, 0))).flatten()
    };
    maps_the_last_data_as_zeros often: |call| {
        fn otherwise(text: String) -> String {
            let place = text.rfind("\"zero\": false");
            place.map_or(text.clone(), |place| {
                format!("{}\"zero\": true{}", &text[..place], &text[place + 13..])
            })
        }
        call.is("map").then_some(Effect::Says(otherwise))
    };
    maps_all_but_the_first_extent often: |call| {
        fn otherwise(text: String) -> String {
            match text.split_once("},\n") {
                Some((_, rest)) => format!("[{rest}"),
                None => text,
            }
        }
        call.is("map").then_some(Effect::Says(otherwise))
    };
    tells_bitmaps_by_another_name often: |call| {
        fn otherwise(text: String) -> String {
            text.replace("\"name\": \"two\"", "\"name\": \"too\"")
        }
        call.is("info").then_some(Effect::Says(otherwise))
    };
    tells_a_disabled_bitmap_as_enabled often: |call| {
        let changed = call.is("bitmap") && call.says("--disable") && call.says("--add");
        changed.then(|| Effect::Instead(call.without("--disable")))
    };
    finds_leaks_where_there_are_snapshots often: |call| {
        fn otherwise(text: String) -> String {
            text.replacen('{', "{\n    \"leaks\": 1,", 1)
        }
        let facts = call.is("check").then(|| call.facts()).flatten()?;
        (facts.snapshots > 0).then_some(Effect::Says(otherwise))
    };
    amends_the_first_byte_as_well often: |call| {
        call.is("amend").then(|| flips(call, 0)).flatten()
    };
    errs_at_the_end_of_small_clusters_with_wide_refcounts rare: |call| {
        let facts = call.facts().filter(|facts| facts.cluster == 512 && facts.refcount_bits >= 32)?;
        let write = call.writes().into_iter().find(|write| write.end() % facts.cluster == 0)?;
        flips(call, write.end() - 1)
    };
    errs_in_the_subclusters_of_the_largest_clusters rare: |call| {
        let facts = call.facts().filter(|facts| facts.extended_l2 && facts.cluster == 2 << 20)?;
        let write = *call.writes().first()?;
        let subcluster = facts.cluster / 32;
        flips(call, (write.end() / subcluster * subcluster).min(facts.size - 1))
    };
    applies_the_wrong_data_among_snapshots_in_small_clusters rare: |call| {
        let facts = snapshot(call, "-a").filter(|facts| facts.snapshots > 1 && facts.cluster <= 4096)?;
        flips(call, facts.cluster)
    };
    shrinks_within_a_subcluster_wrongly rare: |call| {
        let (facts, size) = resize(call).filter(|(facts, _)| facts.extended_l2)?;
        let is_within = size % (facts.cluster / 32) != 0;
        (size < facts.size && is_within).then(|| flips(call, size - 1)).flatten()
    };
    commits_past_the_end_of_a_version_2_image_wrongly rare: |call| {
        let facts = call.is("commit").then(|| call.facts()).flatten()?;
        let name = facts.backing?;
        let base = Facts::read_from(&name).filter(|base| base.version == 2 && base.size < facts.size)?;
        then(move || flip(&name, base.size))
    };
    compresses_small_clusters_with_zstd_wrongly rare: |call| {
        let small = ["512", "1024", "2048", "4096"];
        let is_small = small.iter().any(|bytes| option(call, &format!("cluster_size={bytes}")));
        let is_told = compressed(call) && is_small && option(call, "compression_type=zstd");
        is_told.then(|| flips(call, 0)).flatten()
    };
    discards_large_clusters_with_lazy_refcounts_wrongly rare: |call| {
        let facts = call.facts().filter(|facts| facts.lazy && facts.cluster >= 256 << 10)?;
        let discarded = *call.discards().first()?;
        let offset = discarded.offset.min(facts.size - 1);
        flips(call, offset)
    };
    zeroes_across_tables_wrongly rare: |call| {
        let facts = call.facts().filter(|facts| facts.cluster > 0)?;
        let table = facts.table();
        let crosses = |zeroed: &crate::liar::Range| zeroed.offset / table != (zeroed.end() - 1) / table;
        let zeroed = call.zeroes().into_iter().find(crosses)?;
        flips(call, zeroed.end() / table * table)
    };
    writes_at_the_end_of_the_image_below_wrongly rare: |call| {
        let facts = call.facts()?;
        let below = Facts::read_from(&facts.backing?)?.size;
        let write = call.writes().into_iter().find(|write| write.offset == below)?;
        flips(call, write.offset)
    };
    deletes_snapshots_with_wide_refcounts_wrongly rare: |call| {
        let facts = snapshot(call, "-d").filter(|facts| facts.refcount_bits >= 32)?;
        flips(call, facts.size - 1)
    };
}

/// Returns all lies, those of the newer generations too.
pub fn every_lie() -> impl Iterator<Item = &'static Lie> {
    let readers = READER.iter().map(|reader| &reader.lie);
    let placed = PLACED.iter().map(|reader| &reader.lie);
    LIES.iter().chain(NEWER).chain(readers).chain(placed)
}

/// Asserts that names are unique and enough lies are rare.
pub fn names_differ() {
    let names: BTreeSet<&str> = every_lie().map(|lie| lie.name).collect();
    assert_eq!(
        names.len(),
        LIES.len() + NEWER.len() + READER.len() + PLACED.len()
    );
    let rare = LIES.iter().filter(|lie| lie.is_rare).count();
    assert!(
        rare >= 8 && LIES.len() >= 35,
        "{rare} of {} are rare",
        LIES.len()
    );
}
