#!/bin/sh
# A VHDX whose host stopped at the wrong moment has a log that is to be replayed before anything else is read. What does a reader show of a block that only
# the log gives a place? libvhdi 20260901, dissect.hypervisor 3.21 and bximage 3.1 read the table as it stands and show zeros, without a word; qemu-img
# refuses to read the file until `check -r all` has replayed the log, and then shows the data.
# [MS-VHDX] 2.3, Log: if a non-empty log is found, its active sequence must be replayed before the file is used otherwise.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img, qemu-io and bximage 3.1 on PATH (contrib/unpack-debian.sh
# brings the last), python3 with venv and pip, and a C compiler.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for program in qemu-img qemu-io bximage; do command -v "$program" >/dev/null || exit 2; done
python3 -m venv v && v/bin/pip install -q libvhdi-python==20260901 dissect.hypervisor==3.21 || exit 2
{ qemu-img create -q -f vhdx a.vhdx 4M && qemu-io -f vhdx -c 'write -P 0x64 0 65536' a.vhdx >/dev/null; } || exit 2
cat >log.py <<'PY'
import struct
import uuid

KIB = 1024
HEADERS = (64 * KIB, 128 * KIB)
TABLE = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le

def sealed(structure):
    total = 0xFFFFFFFF
    for byte in structure[:4] + bytes(4) + structure[8:]:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x82F63B78 if total & 1 else 0)
    return structure[:4] + struct.pack("<I", total ^ 0xFFFFFFFF) + structure[8:]

image = bytearray(open("a.vhdx", "rb").read())
entry = image.index(TABLE, 192 * KIB)
(place,) = struct.unpack_from("<Q", image, entry + 16)
page = bytes(image[place : place + 4 * KIB])
# The first entry of the table waits in the log; in its place the block is told to be absent.
image[place : place + 8] = bytes(8)
guid = uuid.uuid4().bytes_le
for header in HEADERS:
    image[header + 48 : header + 64] = guid
    image[header : header + 4 * KIB] = sealed(bytes(image[header : header + 4 * KIB]))
length, log = struct.unpack_from("<IQ", image, HEADERS[0] + 68)
number = 7
head = struct.pack("<4sIIIQII16sQQ", b"loge", 0, 8 * KIB, 0, number, 1, 0, guid, len(image), len(image))
descriptor = struct.pack("<4s4s8sQQ", b"desc", page[-4:], page[:8], place, number)
data = b"data" + struct.pack("<I", number >> 32) + page[8:-4] + struct.pack("<I", number & 0xFFFFFFFF)
written = head + descriptor
written = sealed(written + bytes(4 * KIB - len(written)) + data)
image[log : log + length] = written + bytes(length - len(written))
open("a.vhdx", "wb").write(image)
PY
cat >look.py <<'PY'
import subprocess
from importlib.metadata import version
from pathlib import Path
import pyvhdi
from dissect.hypervisor.disk.vhdx import VHDX

def libvhdi():
    image = pyvhdi.file()
    image.open("a.vhdx")
    return image.read_buffer(512)

def dissect():
    return VHDX(Path("a.vhdx")).read(512)

def bximage():
    words = ["bximage", "-func=convert", "-imgmode=flat", "-q", "a.vhdx", "b.raw"]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return open("b.raw", "rb").read(512)

def qemu_img():
    words = ["qemu-img", "convert", "-f", "vhdx", "-O", "raw", "a.vhdx", "q.raw"]
    if subprocess.run(words, capture_output=True).returncode:
        return None
    return open("q.raw", "rb").read(512)

def told(read):
    words = {None: "refused", bytes(512): "zeros", b"d" * 512: "data"}
    return words.get(read(), "something else")

print("libvhdi", version("libvhdi-python"), told(libvhdi))
print("dissect.hypervisor", version("dissect.hypervisor"), told(dissect))
print("bximage", told(bximage))
print("qemu-img", told(qemu_img))
subprocess.run(["qemu-img", "check", "-q", "-r", "all", "-f", "vhdx", "a.vhdx"], capture_output=True)
print("qemu-img, after check -r all:", told(qemu_img))
PY
v/bin/python log.py && v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
libvhdi 20260901 zeros
dissect.hypervisor 3.21 zeros
bximage zeros
qemu-img refused
qemu-img, after check -r all: data
SEEN
