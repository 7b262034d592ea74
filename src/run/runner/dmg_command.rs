//! The command that writes a dmg by hand: a short program for Python, whose random numbers the data are.
//!
//! The evidence shows it, and reproducers carry it out, because the data are too many to be written down. The file differs from the one that the
//! runner wrote in how chunks are deflated; a guest sees the same.

use crate::image::dmg::{ChunkKind, DmgRecipe};

/// The program. Its arguments are the file, the seed, the words before the data, the chunks, the split (0: none) and the place of the tables.
const PROGRAM: &str = r##"
import base64, random, struct, sys, zlib
name, seed, words, chunks, split, place = sys.argv[1:]
r = random.Random(int(seed))
for _ in range(int(words)): r.getrandbits(32)
chunks = [(kind, int(sectors)) for kind, sectors in (one.split(":") for one in chunks.split(","))]
split = int(split) or len(chunks)
fork, tables, sector = b"", [], 0
for group in (chunks[:split], chunks[split:]):
    entries, at = b"", 0
    for kind, sectors in group:
        data = b"" if kind == "zero" else r.randbytes(512 * sectors)
        if kind == "zlib": data = zlib.compress(data, 9)
        code = {"zero": 0, "raw": 1, "zlib": 0x80000005}[kind]
        entries += struct.pack(">II4Q", code, 0, at, sectors, len(fork), len(data))
        fork, at = fork + data, at + sectors
    if group:
        count = len(group) + 1
        head = bytearray(204)
        struct.pack_into(">4sIQQ", head, 0, b"mish", 1, sector, at)
        struct.pack_into(">II", head, 0x20, 1, count)
        struct.pack_into(">I", head, 0xc8, count)
        tables.append(bytes(head) + entries + struct.pack(">II4Q", 0xffffffff, 0, at, 0, len(fork), 0))
        sector += at
if place == "fork":
    body = b"".join(struct.pack(">I", len(one)) + one for one in tables)
    body = struct.pack(">4I", 16, 0, len(body), 0) + body
else:
    dicts = "".join("<dict><key>Data</key><data>\n%s\n</data></dict>" % base64.b64encode(one).decode() for one in tables)
    body = ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict><key>resource-fork</key><dict><key>blkx</key><array>"
            + dicts + "</array></dict></dict></plist>\n").encode()
koly = bytearray(512)
struct.pack_into(">4s3I", koly, 0, b"koly", 4, 512, 1)
struct.pack_into(">Q", koly, 0x20, len(fork))
struct.pack_into(">QQ", koly, 0x28 if place == "fork" else 0xd8, len(fork), len(body))
struct.pack_into(">Q", koly, 0x1ec, sector)
open(name, "wb").write(fork + body + koly)
"##;

/// Returns the command line that writes the image into the file `name`.
pub fn words(dmg: &DmgRecipe, name: &str) -> Vec<String> {
    let chunks: Vec<String> = dmg
        .chunks
        .iter()
        .map(|chunk| format!("{}:{}", kind(chunk.0), chunk.1))
        .collect();
    let place = if dmg.resource_fork { "fork" } else { "plist" };
    [
        "python3",
        "-c",
        PROGRAM.trim_start(),
        name,
        &dmg.payload.seed.to_string(),
        &dmg.payload.words_before.to_string(),
        &chunks.join(","),
        &dmg.split.unwrap_or(0).to_string(),
        place,
    ]
    .map(str::to_owned)
    .into()
}

fn kind(kind: ChunkKind) -> &'static str {
    match kind {
        ChunkKind::Zero => "zero",
        ChunkKind::Raw => "raw",
        ChunkKind::Zlib => "zlib",
    }
}
