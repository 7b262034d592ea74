//! Draws the `-o` options of a new image from those that `qemu-img create -f FORMAT -o help` of 10.0 lists.
//!
//! It omits `size` and `backing_*` (the harness sets these), `encryption=on` (an alias), detached headers and other options that name
//! files, and combinations that qemu-img refuses according to its documentation. A comment marks each such omission.

use super::NativeProfile;
use super::edges::Grain;
use crate::base::rng::NativeRandom;
use crate::base::size::Size;
use crate::image::format::Format;
use crate::image::options::{
    Compat, Compression, CreateOption, CreateOptions, Encryption, Preallocation, Subformat,
};
use crate::operation::chain::BESIDE;

/// Maximum size in bytes of images whose data is preallocated.
const PREALLOCATED_MAX: u64 = 2 << 20;
const CLUSTER_SIZES: [u64; 13] = [
    512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131_072, 262_144, 524_288, 1_048_576,
    2_097_152,
];
/// Extended L2 entries need clusters of at least this many bytes (qcow2 specification, Extended L2 Entries).
const EXTENDED_L2_CLUSTER_MIN: u64 = 16384;
/// How many of 1000 new images are encrypted with LUKS. They are rare because creating a key costs qemu-img over two seconds of CPU time
/// whatever `encrypt.iter-time` says: it runs a benchmark first.
const LUKS_PER_THOUSAND: u64 = 1;

/// The subformats of vpc and vhdx, with their weights by repetition.
const SUBFORMATS: [CreateOption; 3] = [
    CreateOption::Subformat(Subformat::Dynamic),
    CreateOption::Subformat(Subformat::Fixed),
    CreateOption::Subformat(Subformat::Fixed),
];
const AES: CreateOption = CreateOption::EncryptFormat(Encryption::Aes);

/// The role of a new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The base image of a chain of several.
    Bottom,
    /// An image with a backing file and an overlay.
    Middle,
    /// The top image of a chain of several, on which the steps work.
    Top,
    /// The only image, without a backing file.
    Alone,
    /// The target of a conversion.
    Target,
}

impl Purpose {
    fn has_backing(self) -> bool {
        matches!(self, Self::Middle | Self::Top)
    }

    /// Returns whether the image may be encrypted. Only profiles with steps on backing images encrypt those.
    fn may_be_encrypted(self, profile: &NativeProfile) -> bool {
        profile.goes_below || matches!(self, Self::Top | Self::Alone | Self::Target)
    }
}

/// Draws the options of a new image.
pub(super) fn draw(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    format: Format,
    purpose: Purpose,
) -> CreateOptions {
    match format {
        Format::Qcow2 => qcow2(random, profile, purpose),
        Format::Vmdk => vmdk(random, profile, purpose),
        Format::Vpc => some_of(
            random,
            &[(30, &[CreateOption::ForceSize(true)]), (40, &SUBFORMATS)],
        ),
        Format::Vhdx => vhdx(random, purpose),
        Format::Vdi => {
            let values = [true, false, true].map(CreateOption::Static);
            some_of(random, &[(40, &values)])
        }
        Format::Qcow => {
            let offered = profile.options.contains(&"encrypt");
            let percent = 15 * u64::from(offered && purpose.may_be_encrypted(profile));
            some_of(random, &[(percent, &[AES])])
        }
        Format::Parallels => {
            let sizes = [65536, 131_072, 1_048_576, 4_194_304].map(CreateOption::ClusterSize);
            some_of(random, &[(50, &sizes)])
        }
        Format::Qed => {
            let sizes = [4096, 65536, 131_072, 1_048_576].map(CreateOption::ClusterSize);
            some_of(random, &[(50, &sizes)])
        }
        Format::Raw | Format::Dmg | Format::Luks => CreateOptions::new(),
    }
}

/// Returns whether an image with these options is fully allocated on creation.
pub(super) fn is_full(options: &CreateOptions) -> bool {
    options.r#static() == Some(true) || options.subformat().is_some_and(Subformat::is_full)
}

/// Draws each offered option with its percentage, and one of its values.
fn some_of(random: &mut NativeRandom, offers: &[(u64, &[CreateOption])]) -> CreateOptions {
    let mut options = CreateOptions::new();
    for (percent, values) in offers {
        let value = random.choice(values).clone();
        options.extend(random.percent(*percent).then_some(value));
    }
    options
}

fn vmdk(random: &mut NativeRandom, profile: &NativeProfile, purpose: Purpose) -> CreateOptions {
    let subformats = profile.vmdk_subformats;
    let subformat = *random.choice(subformats);
    // Only a conversion can write a streamOptimized image: its grains are compressed and cannot be rewritten.
    let subformat = match subformat {
        Subformat::StreamOptimized if purpose != Purpose::Target => Subformat::MonolithicSparse,
        other => other,
    };
    let drawn = random.percent(70) || !subformats.contains(&Subformat::MonolithicSparse);
    let mut options: CreateOptions = drawn
        .then_some(CreateOption::Subformat(subformat))
        .into_iter()
        .collect();
    let text = |value: &str| value.to_owned();
    let adapters = ["ide", "lsilogic", "buslogic", "legacyESX"];
    let adapters = adapters.map(text).map(CreateOption::AdapterType);
    let tools = ["10241", "2147483647"]
        .map(text)
        .map(CreateOption::ToolsVersion);
    let hardware = ["4", "7", "18"]
        .map(text)
        .map(CreateOption::HardwareVersion);
    let zeroed = [true, false, true].map(CreateOption::ZeroedGrain);
    // Flat extents have no zeroed grains.
    let zeroed_percent = 25 * u64::from(!is_full(&options));
    let others = [
        (20, &adapters[..]),
        (10, &tools),
        (zeroed_percent, &zeroed),
        (15, &hardware),
    ];
    options.extend(some_of(random, &others).iter().cloned());
    // compat6 sets the hardware version itself.
    let versioned = options.hardware_version().is_some();
    let wanted = random.percent(15) && !versioned;
    options.extend(wanted.then_some(CreateOption::Compat6(true)));
    options
}

fn vhdx(random: &mut NativeRandom, purpose: Purpose) -> CreateOptions {
    let blocks = ["1M", "2M", "8M", "32M", "256M"];
    let blocks = blocks.map(Size::literal).map(CreateOption::BlockSize);
    let logs = ["1M", "2M", "16M"].map(Size::literal);
    let logs = logs.map(CreateOption::LogSize);
    let mut options = some_of(random, &[(40, &blocks), (25, &SUBFORMATS), (20, &logs)]);
    // "Do not set to 'off' when using 'qemu-img convert' with subformat=dynamic" (qemu-img, -o help).
    let states: &[bool] = if purpose == Purpose::Target {
        &[true]
    } else {
        &[true, false, false]
    };
    let states: Vec<CreateOption> = states
        .iter()
        .map(|state| CreateOption::BlockStateZero(*state))
        .collect();
    options.extend(some_of(random, &[(25, &states)]).iter().cloned());
    options
}

fn qcow2(random: &mut NativeRandom, profile: &NativeProfile, purpose: Purpose) -> CreateOptions {
    let offered = profile.options;
    let mut options = CreateOptions::new();
    let cluster_size = *random.choice(&CLUSTER_SIZES);
    // A third of the images keeps the default of 64 KiB.
    let drawn = random.percent(67);
    options.extend(drawn.then_some(CreateOption::ClusterSize(cluster_size)));
    let cluster_size = if drawn { cluster_size } else { 65536 };
    let mut offer = |random: &mut NativeRandom, percent: u64, option: CreateOption| {
        let wanted = random.percent(percent) && offered.contains(&option.name());
        options.extend(wanted.then_some(option));
        wanted
    };
    // Version 2 supports none of the options below.
    if offer(random, 15, CreateOption::Compat(Compat::Version2)) {
        return options;
    }
    let bits = *random.choice(&[1, 2, 4, 8, 16, 32, 64]);
    offer(random, 30, CreateOption::RefcountBits(bits));
    offer(random, 15, CreateOption::LazyRefcounts(true));
    let extended = u64::from(cluster_size >= EXTENDED_L2_CLUSTER_MIN) * 25;
    offer(random, extended, CreateOption::ExtendedL2(true));
    let compressions = [Compression::Zstd, Compression::Zstd, Compression::Zlib];
    let compression = *random.choice(&compressions);
    offer(random, 25, CreateOption::CompressionType(compression));
    let has_data_file = offer(random, 12, CreateOption::DataFile(BESIDE.to_owned()));
    if has_data_file && !purpose.has_backing() {
        // qemu-img: "Backing file and data-file-raw cannot be used at the same time".
        offer(random, 50, CreateOption::DataFileRaw(true));
    }
    let luks = random.below(1000) < LUKS_PER_THOUSAND;
    let aes = random.percent(5);
    let can = purpose.may_be_encrypted(profile) && offered.contains(&"encrypt");
    if (luks || aes) && !has_data_file && can {
        options.extend(encryption(random, luks).iter().cloned());
    }
    options
}

fn encryption(random: &mut NativeRandom, luks: bool) -> CreateOptions {
    if !luks {
        return [AES].into();
    }
    let mut options = CreateOptions::from([
        CreateOption::EncryptFormat(Encryption::Luks),
        CreateOption::EncryptIterTime(10),
    ]);
    let text = |value: &str| value.to_owned();
    let ciphers = ["aes-128", "aes-256", "serpent-256", "twofish-256"].map(text);
    let modes = ["cbc", "xts"].map(text);
    let hashes = ["sha1", "sha256", "sha512"].map(text);
    let vectors = ["plain", "plain64"].map(text);
    let drawn = some_of(
        random,
        &[
            (50, &ciphers.map(CreateOption::EncryptCipherAlgorithm)),
            (50, &modes.map(CreateOption::EncryptCipherMode)),
            (30, &hashes.map(CreateOption::EncryptHashAlgorithm)),
            (30, &vectors.map(CreateOption::EncryptIvAlgorithm)),
        ],
    );
    options.extend(drawn.iter().cloned());
    options
}

/// Draws the `preallocation` option; `None` for images that are too large, because small clusters take long.
pub(super) fn preallocation(
    random: &mut NativeRandom,
    format: Format,
    size: u64,
    grain: Grain,
) -> Option<CreateOption> {
    let all = &[
        Preallocation::Metadata,
        Preallocation::Falloc,
        Preallocation::Full,
    ];
    let modes = match format {
        Format::Qcow2 if size > grain.reach() => return None,
        Format::Qcow2 if size > PREALLOCATED_MAX => &all[..1],
        Format::Qcow2 => all,
        Format::Raw if size <= PREALLOCATED_MAX => &all[1..],
        _ => return None,
    };
    let mode = *random.choice(modes);
    random
        .percent(12)
        .then_some(CreateOption::Preallocation(mode))
}
