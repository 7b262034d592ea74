//! The `-o` options of a new image: all that `qemu-img create -f FORMAT -o help` of 10.0 lists, but what names other files by hand.
//!
//! Left out are `size` and `backing_*` (the harness's own), `encryption=on` (an alias), detached headers, and combinations that
//! qemu-img refuses by its documentation; each is named where it is left out.

use super::Narrowing;
use super::edges::Grain;
use crate::base::rng::NativeRandom;
use crate::image::format::Format;
use crate::operation::chain::BESIDE;

/// Bytes that are preallocated.
const PREALLOCATED_MAX: u64 = 2 << 20;
const CLUSTER_SIZES: [u64; 13] = [
    512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131_072, 262_144, 524_288, 1_048_576,
    2_097_152,
];
/// Extended L2 entries need clusters of at least this many bytes (qcow2 specification, Extended L2 Entries).
const EXTENDED_L2_CLUSTER_MIN: u64 = 16384;
/// How many of a thousand new images are encrypted with LUKS: making a key takes qemu-img over two seconds of CPU, whatever
/// `encrypt.iter-time` says (it measures the machine first), so that they are rare.
const LUKS_PER_THOUSAND: u64 = 1;

/// What an image is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The bottom of a chain: on nothing, below others.
    Bottom,
    /// In the middle of a chain.
    Middle,
    /// The image that the steps work on, with others below it.
    Top,
    /// The same, with nothing below it.
    Alone,
    /// The target of a conversion, with so many bytes to come.
    Target,
}

impl Purpose {
    fn has_backing(self) -> bool {
        matches!(self, Self::Middle | Self::Top)
    }

    /// A generation that does not go below has no encrypted image below another.
    fn may_be_encrypted(self, narrowing: &Narrowing) -> bool {
        narrowing.goes_below || matches!(self, Self::Top | Self::Alone | Self::Target)
    }
}

/// The `-o` options of a new image.
pub(super) fn draw(
    random: &mut NativeRandom,
    narrowing: &Narrowing,
    format: Format,
    purpose: Purpose,
) -> Vec<String> {
    match format {
        Format::Qcow2 => qcow2(random, narrowing, purpose),
        Format::Vmdk => vmdk(random, narrowing, purpose),
        Format::Vpc => some_of(
            random,
            &[
                (30, "force_size", &["on"]),
                (40, "subformat", &["dynamic", "fixed", "fixed"]),
            ],
        ),
        Format::Vhdx => vhdx(random, purpose),
        Format::Vdi => some_of(random, &[(40, "static", &["on", "off", "on"])]),
        Format::Qcow => {
            let offered = narrowing.options.contains(&"encrypt");
            let percent = 15 * u64::from(offered && purpose.may_be_encrypted(narrowing));
            some_of(random, &[(percent, "encrypt.format", &["aes"])])
        }
        Format::Parallels => some_of(
            random,
            &[(
                50,
                "cluster_size",
                &["65536", "131072", "1048576", "4194304"],
            )],
        ),
        Format::Raw => Vec::new(),
    }
}

/// Whether an image with these options takes its whole length at once.
pub(super) fn is_full(options: &[String]) -> bool {
    let full = [
        "subformat=fixed",
        "static=on",
        "subformat=monolithicFlat",
        "subformat=twoGbMaxExtentFlat",
    ];
    options.iter().any(|option| full.contains(&option.as_str()))
}

/// Each option in so many of a hundred images, with one of its values.
fn some_of(random: &mut NativeRandom, offers: &[(u64, &str, &[&str])]) -> Vec<String> {
    let mut options = Vec::new();
    for (percent, name, values) in offers {
        let value = random.choice(values);
        options.extend(random.percent(*percent).then(|| format!("{name}={value}")));
    }
    options
}

fn vmdk(random: &mut NativeRandom, narrowing: &Narrowing, purpose: Purpose) -> Vec<String> {
    let subformats = narrowing.vmdk_subformats;
    let subformat = *random.choice(subformats);
    // Only a conversion writes a streamOptimized image: its grains are compressed and never written twice.
    let subformat = match subformat {
        "streamOptimized" if purpose != Purpose::Target => "monolithicSparse",
        other => other,
    };
    let drawn = random.percent(70) || !subformats.contains(&"monolithicSparse");
    let mut options: Vec<String> = drawn
        .then(|| format!("subformat={subformat}"))
        .into_iter()
        .collect();
    let adapters = ["ide", "lsilogic", "buslogic", "legacyESX"];
    let others: [(u64, &str, &[&str]); 4] = [
        (20, "adapter_type", &adapters),
        (10, "toolsversion", &["10241", "2147483647"]),
        // A flat image cannot mark zeros.
        (
            25 * u64::from(!is_full(&options)),
            "zeroed_grain",
            &["on", "off", "on"],
        ),
        (15, "hwversion", &["4", "7", "18"]),
    ];
    options.extend(some_of(random, &others));
    // compat6 sets the version itself.
    let versioned = options.iter().any(|option| option.starts_with("hwversion"));
    options.extend((random.percent(15) && !versioned).then(|| "compat6=on".to_owned()));
    options
}

fn vhdx(random: &mut NativeRandom, purpose: Purpose) -> Vec<String> {
    let blocks = ["1M", "2M", "8M", "32M", "256M"];
    let mut options = some_of(
        random,
        &[
            (40, "block_size", &blocks),
            (25, "subformat", &["dynamic", "fixed", "fixed"]),
            (20, "log_size", &["1M", "2M", "16M"]),
        ],
    );
    // "Do not set to 'off' when using 'qemu-img convert' with subformat=dynamic" (qemu-img, -o help).
    let states: &[&str] = if purpose == Purpose::Target {
        &["on"]
    } else {
        &["on", "off", "off"]
    };
    options.extend(some_of(random, &[(25, "block_state_zero", states)]));
    options
}

fn qcow2(random: &mut NativeRandom, narrowing: &Narrowing, purpose: Purpose) -> Vec<String> {
    let offered = narrowing.options;
    let mut options = Vec::new();
    let cluster_size = *random.choice(&CLUSTER_SIZES);
    // A third keeps the default of 64 KiB.
    let drawn = random.percent(67);
    options.extend(drawn.then(|| format!("cluster_size={cluster_size}")));
    let cluster_size = if drawn { cluster_size } else { 65536 };
    let mut offer = |random: &mut NativeRandom, name: &str, percent: u64, value: &str| {
        let wanted = random.percent(percent) && offered.contains(&name);
        options.extend(wanted.then(|| format!("{name}={value}")));
        wanted
    };
    // Version 2 knows none of what follows.
    if offer(random, "compat", 15, "0.10") {
        return options;
    }
    let bits = *random.choice(&["1", "2", "4", "8", "16", "32", "64"]);
    offer(random, "refcount_bits", 30, bits);
    offer(random, "lazy_refcounts", 15, "on");
    let extended = u64::from(cluster_size >= EXTENDED_L2_CLUSTER_MIN) * 25;
    offer(random, "extended_l2", extended, "on");
    let compression = *random.choice(&["zstd", "zstd", "zlib"]);
    offer(random, "compression_type", 25, compression);
    let has_data_file = offer(random, "data_file", 12, BESIDE);
    if has_data_file && !purpose.has_backing() {
        // "Backing file and data-file-raw cannot be used at the same time".
        offer(random, "data_file_raw", 50, "on");
    }
    let luks = random.below(1000) < LUKS_PER_THOUSAND;
    let aes = random.percent(5);
    let can = purpose.may_be_encrypted(narrowing) && offered.contains(&"encrypt");
    if (luks || aes) && !has_data_file && can {
        options.extend(encryption(random, luks));
    }
    options
}

fn encryption(random: &mut NativeRandom, luks: bool) -> Vec<String> {
    if !luks {
        return vec!["encrypt.format=aes".to_owned()];
    }
    let mut options = ["encrypt.format=luks", "encrypt.iter-time=10"]
        .map(str::to_owned)
        .to_vec();
    options.extend(some_of(
        random,
        &[
            (
                50,
                "encrypt.cipher-alg",
                &["aes-128", "aes-256", "serpent-256", "twofish-256"],
            ),
            (50, "encrypt.cipher-mode", &["cbc", "xts"]),
            (30, "encrypt.hash-alg", &["sha1", "sha256", "sha512"]),
            (30, "encrypt.ivgen-alg", &["plain", "plain64"]),
        ],
    ));
    options
}

/// Only where little is preallocated: small clusters take long.
pub(super) fn preallocation(
    random: &mut NativeRandom,
    format: Format,
    size: u64,
    grain: Grain,
) -> Option<String> {
    let modes: &[&str] = match format {
        Format::Qcow2 if size > grain.reach() => return None,
        Format::Qcow2 if size > PREALLOCATED_MAX => &["metadata"],
        Format::Qcow2 => &["metadata", "falloc", "full"],
        Format::Raw if size <= PREALLOCATED_MAX => &["falloc", "full"],
        _ => return None,
    };
    let mode = *random.choice(modes);
    random.percent(12).then(|| format!("preallocation={mode}"))
}
