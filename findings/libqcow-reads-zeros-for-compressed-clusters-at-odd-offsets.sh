#!/bin/sh
# libqcow 20260703 shows zeros, without an error, for a compressed cluster of a version 3 qcow2 that begins at an odd byte of the file.
# 20201213 and dissect.hypervisor 3.21 show its data. Compressed clusters may begin at any byte: qcow2 specification, Compressed
# Clusters Descriptor, host cluster offset: in bytes, without an alignment.
#
# Two images that differ in one thing alone: a byte of padding between two compressed clusters, so that the second begins at an
# even or at an odd offset.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs python3 with venv and pip, and a C compiler.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for version in 20260703 20201213; do
    python3 -m venv "v$version" && "v$version/bin/pip" install -q "libqcow-python==$version" || exit 2
done
v20260703/bin/pip install -q dissect.hypervisor==3.21 || exit 2

cat >make.py <<'PY'
import struct, sys, zlib

CLUSTER = 65536

def deflated(plain):
    stream = zlib.compressobj(9, zlib.DEFLATED, -12)
    return stream.compress(plain) + stream.flush()

def be(form, *values):
    return struct.pack(">" + form, *values)

first = bytes(range(256)) * 256
second = b"".join(be("I", i * 2654435761 & 0xFFFFFFFF) for i in range(CLUSTER // 8)) + bytes(CLUSTER // 2)
one, two = deflated(first), deflated(second)
# Cluster 0 is the header, 1 the refcount table, 2 a refcount block, 3 the L1 table, 4 an L2 table, 5 holds both compressed clusters.
at_one = 5 * CLUSTER
at_two = at_one + len(one)
if at_two % 2 != (sys.argv[1] == "odd"):
    at_two += 1

def descriptor(offset, length):
    more_sectors = (offset + length - 1) // 512 - offset // 512
    return 1 << 62 | more_sectors << 54 | offset

image = bytearray(6 * CLUSTER)

def put(offset, data):
    image[offset : offset + len(data)] = data

put(0, b"QFI\xfb" + be("IQIIQIIQQIIQ", 3, 0, 0, 16, 2 * CLUSTER, 0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0))
put(72, be("QQQII", 0, 0, 0, 4, 104))
put(CLUSTER, be("Q", 2 * CLUSTER))
put(2 * CLUSTER, be("6H", 1, 1, 1, 1, 1, 2))
put(3 * CLUSTER, be("Q", 1 << 63 | 4 * CLUSTER))
put(4 * CLUSTER, be("QQ", descriptor(at_one, len(one)), descriptor(at_two, len(two))))
put(at_one, one)
put(at_two, two)
open(sys.argv[1] + ".qcow2", "wb").write(image)
open(sys.argv[1] + ".raw", "wb").write(first + second)
PY
cat >look.py <<'PY'
import sys

def verdict(name, shown):
    plain = open(name + ".raw", "rb").read()[65536:]
    return "data" if shown == plain else "zeros" if not any(shown) else "something else"

for name in ("even", "odd"):
    if sys.argv[1] == "dissect":
        from pathlib import Path
        from dissect.hypervisor.disk.qcow2 import QCow2
        shown = QCow2(Path(name + ".qcow2")).open().read()[65536:]
        version = "3.21"
    else:
        import pyqcow
        image = pyqcow.file()
        image.open(name + ".qcow2")
        image.seek(65536)
        shown, version = image.read_buffer(65536), pyqcow.get_version()
    print(sys.argv[1], version, "second compressed cluster at an", name, "offset:", verdict(name, shown))
PY
python3 make.py even && python3 make.py odd || exit 2
{ v20201213/bin/python look.py libqcow && v20260703/bin/python look.py libqcow && v20260703/bin/python look.py dissect; } >seen || exit 2
cat seen
diff - seen <<'SEEN'
libqcow 20201213 second compressed cluster at an even offset: data
libqcow 20201213 second compressed cluster at an odd offset: data
libqcow 20260703 second compressed cluster at an even offset: data
libqcow 20260703 second compressed cluster at an odd offset: zeros
dissect 3.21 second compressed cluster at an even offset: data
dissect 3.21 second compressed cluster at an odd offset: data
SEEN
