#!/bin/sh
# A differencing VHD has what its parent does not, and names the parent. Does a reader that does not know parents say so? qemu-img 10.0 shows the image as
# a dynamic one, without a word: zeros where the parent has data.
# Virtual Hard Disk Image Format Specification, Hard Disk Footer Format, Disk Type: 4 is a differencing disk; Dynamic Disk Header Format, Parent Unicode Name.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img 10.0 on PATH, and python3.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
cat >make.py <<'PY'
import struct

SIZE, BLOCK = 4 << 20, 2 << 20
NOWHERE = 2**32 - 1

def be(form, *values):
    return struct.pack(">" + form, *values)

def sealed(structure, at):
    total = ~sum(structure) & 0xFFFFFFFF
    return structure[:at] + be("I", total) + structure[at + 4 :]

def vhd(name, kind, own, parent, blocks):
    """`blocks` has the data of each block, or None."""
    # Cookie, features, version, place of the next structure, time, creator, its version and host, sizes, geometry, type, checksum, id.
    footer = be("8sIIQI4sI4sQQHBBI", b"conectix", 2, 0x10000, 512, 0, b"win ", 0xA0000, b"Wi2k", SIZE, SIZE, 120, 4, 17, kind)
    footer = sealed(footer + bytes(4) + own + bytes(512 - 84), 64)
    header = be("8sQQIII", b"cxsparse", 2**64 - 1, 1536, 0x10000, SIZE // BLOCK, BLOCK) + bytes(4)
    header += (parent or bytes(16)) + bytes(8) + ("parent.vhd".encode("utf-16-be") if parent else b"")
    header = sealed(header + bytes(1024 - len(header)), 36)
    table, place, data = b"", 4, b""
    for block in blocks:
        table += be("I", place if block else NOWHERE)
        if block:
            data += b"\xff" * 512 + block * (BLOCK // len(block))
            place += 1 + BLOCK // 512
    table += b"\xff" * (512 - len(table))
    open(name, "wb").write(footer + header + table + data + footer)

A, B = bytes(range(16)), bytes(range(16, 32))
vhd("parent.vhd", 3, A, None, [b"parent..", b"parent.."])
vhd("child.vhd", 4, B, A, [b"child...", None])
PY
python3 make.py || exit 2
for name in parent child; do
  qemu-img convert -f vpc -O raw "$name.vhd" "$name.raw" 2>err || { printf '%s: refused\n' "$name"; continue; }
  for offset in 0 2097152; do
    printf '%s at %s: %s\n' "$name" "$offset" "$(dd if="$name.raw" bs=1 skip="$offset" count=8 2>/dev/null | tr '\0' 0)"
  done
done >seen
cat seen
diff - seen <<'SEEN'
parent at 0: parent..
parent at 2097152: parent..
child at 0: child...
child at 2097152: 00000000
SEEN
