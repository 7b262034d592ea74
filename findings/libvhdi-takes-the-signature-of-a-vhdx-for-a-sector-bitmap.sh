#!/bin/sh
# A differencing VHDX has no data of its own where nobody wrote to it: there a guest sees its parent. libvhdi takes the first bytes of
# the differencing file, `vhdxfile`, for the bitmap of its sectors there: of each sector whose bit happens to be set it shows what the file itself holds at that
# offset, and of the others the parent's data. 20210425, which Debian has, and 20260901 do so.
# [MS-VHDX] 2.5.1.1, Payload BAT Entry States: a block that is not present in a differencing file is the parent's.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and qemu-io on PATH, python3 with venv and pip, and a C compiler.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for version in 20210425 20260901; do
  python3 -m venv "v$version" && "v$version/bin/pip" install -q "libvhdi-python==$version" || exit 2
done
qemu-img create -q -f vhdx parent.vhdx 4M && qemu-io -f vhdx -c 'write -P 0x70 0 4194304' parent.vhdx >/dev/null || exit 2
qemu-img create -q -f vhdx child.vhdx 4M || exit 2
cat >child.py <<'PY'
import struct
import uuid

KIB = 1024

def guid(text):
    return uuid.UUID(text).bytes_le

METADATA = guid("8b7ca206-4790-4b9a-b8fe-575f050f886e")
FILE_PARAMETERS = guid("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
PARENT_LOCATOR = guid("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
LOCATOR_TYPE = guid("b04aefb7-d19e-4a81-b789-25b8e9445913")

parent = open("parent.vhdx", "rb").read()
image = bytearray(open("child.vhdx", "rb").read())
# The header with the larger sequence number counts.
header = max((64 * KIB, 128 * KIB), key=lambda at: struct.unpack_from("<Q", parent, at + 8))
linkage = uuid.UUID(bytes_le=parent[header + 32 : header + 48])
pairs = [("parent_linkage", f"{{{linkage}}}"), ("relative_path", ".\\parent.vhdx")]
locator, texts = LOCATOR_TYPE + struct.pack("<HH", 0, len(pairs)), b""
for pair in pairs:
    key, value = (text.encode("utf-16-le") for text in pair)
    place = 20 + 12 * len(pairs) + len(texts)
    locator += struct.pack("<IIHH", place, place + len(key), len(key), len(value))
    texts += key + value
locator += texts
entry = image.index(METADATA, 192 * KIB)
(table,) = struct.unpack_from("<Q", image, entry + 16)
parameters = image.index(FILE_PARAMETERS, table)
(place,) = struct.unpack_from("<I", image, parameters + 16)
# Bit 1: it has a parent.
image[table + place + 4] |= 2
(count,) = struct.unpack_from("<H", image, table + 10)
new = table + 32 * (count + 1)
image[new : new + 32] = PARENT_LOCATOR + struct.pack("<IIII", 128 * KIB, len(locator), 4, 0)
image[table + 10 : table + 12] = struct.pack("<H", count + 1)
image[table + 128 * KIB : table + 128 * KIB + len(locator)] = locator
open("child.vhdx", "wb").write(image)
PY
cat >look.py <<'PY'
from importlib.metadata import version
import pyvhdi

parent, child = pyvhdi.file(), pyvhdi.file()
parent.open("parent.vhdx")
child.open("child.vhdx")
child.set_parent(parent)
# The letter v is 0x76: bits 1, 2, 4, 5 and 6 are set.
words = {b"p" * 512: "parent", bytes(512): "zeros"}
seen = [words.get(child.read_buffer_at_offset(512, 512 * sector), "else") for sector in range(8)]
print("libvhdi", version("libvhdi-python"), *seen)
PY
python3 child.py || exit 2
for version in 20210425 20260901; do "v$version/bin/python" look.py || exit 2; done >seen
cat seen
diff - seen <<'SEEN'
libvhdi 20210425 parent zeros zeros parent zeros zeros zeros parent
libvhdi 20260901 parent zeros zeros parent zeros zeros zeros parent
SEEN
