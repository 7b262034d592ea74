#!/bin/sh
# A block of a dynamic VHD has a bitmap of its sectors in front of its data. What does a reader show of a sector whose bit is clear, when the block holds data
# there? qemu-img 10.0 shows the data; VirtualBox and libvhdi show zeros.
# Virtual Hard Disk Image Format Specification, Block Allocation Table and Data Blocks: of a dynamic disk, a bit says whether the sector holds data.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img 10.0 on PATH, and python3.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
cat >make.py <<'PY'
import struct

SIZE, BLOCK = 2 << 20, 2 << 20

def be(form, *values):
    return struct.pack(">" + form, *values)

def sealed(structure, at):
    total = ~sum(structure) & 0xFFFFFFFF
    return structure[:at] + be("I", total) + structure[at + 4 :]

# Cookie, features, version, place of the next structure, time, creator, its version and host, sizes, geometry, type, checksum, id.
footer = be("8sIIQI4sI4sQQHBBI", b"conectix", 2, 0x10000, 512, 0, b"win ", 0xA0000, b"Wi2k", SIZE, SIZE, 60, 4, 17, 3)
footer = sealed(footer + bytes(4) + bytes(range(16)) + bytes(512 - 84), 64)
header = be("8sQQIII", b"cxsparse", 2**64 - 1, 1536, 0x10000, SIZE // BLOCK, BLOCK)
header = sealed(header + bytes(1024 - 36), 36)
table = be("I", 4) + b"\xff" * 508
# The first eight sectors are marked, the next eight hold data and are not.
bitmap = b"\xff" + bytes(511)
data = b"M" * 4096 + b"c" * 4096 + bytes(BLOCK - 8192)
open("a.vhd", "wb").write(footer + header + table + bitmap + data + footer)
PY
python3 make.py && qemu-img convert -f vpc -O raw a.vhd a.raw || exit 2
for offset in 0 4096; do
  printf 'at %s: %s\n' "$offset" "$(dd if=a.raw bs=1 skip="$offset" count=4 2>/dev/null | tr '\0' 0)"
done >seen
cat seen
diff - seen <<'SEEN'
at 0: MMMM
at 4096: cccc
SEEN
