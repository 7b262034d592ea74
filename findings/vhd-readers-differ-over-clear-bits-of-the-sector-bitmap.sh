#!/bin/sh
# A block of a dynamic VHD has a bitmap of its sectors in front of its data. What does a reader show of a sector whose bit is clear, when
# the block holds data there? libvhdi 20260901 goes by the bitmap and shows zeros, dissect.hypervisor 3.21 and qemu-img 10.0 show the data.
# Virtual Hard Disk Image Format Specification, Block Allocation Table and Data Blocks: of a dynamic disk, a bit says whether the sector
# holds data. It does not say what is to be seen of the others; programs that leave the bits clear over data exist all the same.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img 10.0 on PATH, python3 with
# venv and pip, and a C compiler.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
python3 -m venv v && v/bin/pip install -q libvhdi-python==20260901 dissect.hypervisor==3.21 || exit 2
cat >make.py <<'PY'
import struct

SIZE, BLOCK = 4 << 20, 2 << 20

def be(form, *values):
    return struct.pack(">" + form, *values)

def sealed(structure, at):
    total = ~sum(structure) & 0xFFFFFFFF
    return structure[:at] + be("I", total) + structure[at + 4 :]

# Cookie, features, version, place of the next structure, time, creator, its version and host, sizes, geometry, type, checksum, id.
footer = be("8sIIQI4sI4sQQHBBI", b"conectix", 2, 0x10000, 512, 0, b"win ", 0xA0000, b"Wi2k", SIZE, SIZE, 120, 4, 17, 3)
footer = sealed(footer + bytes(4) + bytes(range(16)) + bytes(512 - 84), 64)
header = be("8sQQIII", b"cxsparse", 2**64 - 1, 1536, 0x10000, SIZE // BLOCK, BLOCK)
header = sealed(header + bytes(1024 - 36), 36)
table = be("II", 4, 2**32 - 1) + b"\xff" * 504
# The first eight sectors are marked, the next eight hold data and are not.
bitmap = b"\xff" + bytes(511)
data = b"M" * 4096 + b"c" * 4096 + bytes(BLOCK - 8192)
open("a.vhd", "wb").write(footer + header + table + bitmap + data + footer)
PY
cat >look.py <<'PY'
import subprocess
from importlib.metadata import version
import pyvhdi
from dissect.hypervisor.disk.vhd import VHD

def libvhdi():
    image = pyvhdi.file()
    image.open("a.vhd")
    return image.read_buffer(8192)

def dissect():
    return VHD(open("a.vhd", "rb")).read(8192)

def qemu_img():
    subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", "a.vhd", "a.raw"], check=True)
    return open("a.raw", "rb").read(8192)

def told(read):
    shown = read()
    words = {b"M": "data", b"c": "data", b"\0": "zeros"}
    marked, others = (words.get(shown[at : at + 1], "something else") for at in (0, 4096))
    return f"marked sectors: {marked}, others: {others}"

for name, package, read in (("libvhdi", "libvhdi-python", libvhdi), ("dissect.hypervisor", "dissect.hypervisor", dissect)):
    print(name, version(package), told(read))
print("qemu-img 10.0", told(qemu_img))
PY
qemu-img --version | grep -F 'version 10.0.' || exit 2
v/bin/python make.py && v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
libvhdi 20260901 marked sectors: data, others: zeros
dissect.hypervisor 3.21 marked sectors: data, others: data
qemu-img 10.0 marked sectors: data, others: data
SEEN
