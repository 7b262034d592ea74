#!/bin/sh
# A qcow2 tells the format of its backing file in a header extension (qcow2 specification, Header extensions, 0xe2792aca).
# dissect.hypervisor 3.21 reads that extension and does not go by it: whatever is no qcow2 is taken for raw, so that an overlay on a VDI
# shows the VDI's own header as the guest's first sector, without an error. It reads the same VDI right when it is opened by itself.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs python3 with venv and pip.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
python3 -m venv v && v/bin/pip install -q dissect.hypervisor==3.21 || exit 2
cat >make.py <<'PY'
import struct

MIB, CLUSTER = 1 << 20, 65536

def be(form, *values):
    return struct.pack(">" + form, *values)

# A dynamic VDI of one block: signature and version, the header of version 1.1 (0x190 bytes), the block map, the block.
head = b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + struct.pack("<IIIII", 0xBEDA107F, 0x10001, 0x190, 1, 0)
head = head.ljust(0x154, b"\0")
head += struct.pack("<IIIIIIIQIIII", MIB, 2 * MIB, 0, 0, 0, 512, 0, MIB, MIB, 0, 1, 1) + bytes(range(1, 65))
vdi = bytearray(3 * MIB)
vdi[: len(head)] = head
vdi[MIB : MIB + 4] = bytes(4)
vdi[2 * MIB :] = b"G" * MIB
open("base.vdi", "wb").write(vdi)

# An overlay without a cluster of its own.
name = b"base.vdi"
overlay = bytearray(4 * CLUSTER)
extension = be("II", 0xE2792ACA, 3) + b"vdi" + bytes(5) + bytes(8)
at = 104 + len(extension)
header = b"QFI\xfb" + be("IQIIQIIQQIIQ", 3, at, len(name), 16, MIB, 0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0) + be("QQQII", 0, 0, 0, 4, 104)
overlay[: at + len(name)] = header + extension + name
overlay[CLUSTER : CLUSTER + 8] = be("Q", 2 * CLUSTER)
overlay[2 * CLUSTER : 2 * CLUSTER + 8] = be("4H", 1, 1, 1, 1)
open("top.qcow2", "wb").write(overlay)
PY
cat >look.py <<'PY'
from pathlib import Path
from dissect.hypervisor.disk.qcow2 import QCow2
from dissect.hypervisor.disk.vdi import VDI

with open("base.vdi", "rb") as file:
    print("the VDI alone:", VDI(file).open().read(8))
image = QCow2(Path("top.qcow2"))
print("the overlay's backing format:", image.backing_format)
print("the overlay:", image.open().read(8))
PY
python3 make.py && v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
the VDI alone: b'GGGGGGGG'
the overlay's backing format: VDI
the overlay: b'<<< Orac'
SEEN
