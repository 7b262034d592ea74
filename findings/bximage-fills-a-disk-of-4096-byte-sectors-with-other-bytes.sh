#!/bin/sh
# A VHDX may have logical sectors of 4096 bytes. bximage 3.1 converts one with exit code 0 into a disk in which nothing of the guest's data is left; the bytes in
# it lie in no block of the file. qemu-img refuses such a file, and libvhdi 20260901 shows the data.
# [MS-VHDX] 2.6.2.4, Logical Sector Size: 512 or 4096.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img, qemu-io and bximage 3.1 on PATH (contrib/unpack-debian.sh
# brings the last), python3 with venv and pip, and a C compiler.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for program in qemu-img qemu-io bximage; do command -v "$program" >/dev/null || exit 2; done
python3 -m venv v && v/bin/pip install -q libvhdi-python==20260901 || exit 2
qemu-img create -q -f vhdx -o block_size=1M a.vhdx 2M && qemu-io -f vhdx -c 'write -P 0x64 0 2M' a.vhdx >/dev/null || exit 2
cat >look.py <<'PY'
import struct
import subprocess
import uuid
from importlib.metadata import version
import pyvhdi

METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
LOGICAL_SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le

image = bytearray(open("a.vhdx", "rb").read())
entry = image.index(METADATA, 192 << 10)
(table,) = struct.unpack_from("<Q", image, entry + 16)
item = image.index(LOGICAL_SECTOR_SIZE, table)
(place,) = struct.unpack_from("<I", image, item + 16)
# The table of blocks stays as it is: as long as there are fewer of them than 2^23 sectors have, no entry of a bitmap stands among theirs.
struct.pack_into("<I", image, table + place, 4096)
open("a.vhdx", "wb").write(image)

def run(*words):
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True).returncode

libvhdi = pyvhdi.file()
libvhdi.open("a.vhdx")
shown = libvhdi.read_buffer(2 << 20)
print("libvhdi", version("libvhdi-python"), "shows the data" if shown == b"d" * (2 << 20) else "does not")
print("bximage: exit", run("bximage", "-func=convert", "-imgmode=flat", "-q", "a.vhdx", "b.raw"))
shown = open("b.raw", "rb").read()
print("bximage:", len(shown), "bytes,", "some" if b"d" * 512 in shown else "none", "of the data")
print("qemu-img: exit", run("qemu-img", "convert", "-f", "vhdx", "-O", "raw", "a.vhdx", "q.raw"))
PY
v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
libvhdi 20260901 shows the data
bximage: exit 0
bximage: 2097152 bytes, none of the data
qemu-img: exit 1
SEEN
