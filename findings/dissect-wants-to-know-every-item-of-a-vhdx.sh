#!/bin/sh
# The metadata of a VHDX may have items that a reader need not know. Does it read the disk all the same? dissect.hypervisor 3.21 fails with a KeyError;
# qemu-img reads it.
# [MS-VHDX] 2.6.1.2, Metadata Table Entry, IsRequired: an implementation must fail to load the file if it does not know an item that is marked so; this one is not.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img 10.0 on PATH, and python3 with venv and pip.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
python3 -m venv v && v/bin/pip install -q dissect.hypervisor==3.21 || exit 2
qemu-img create -q -f vhdx plain.vhdx 16M || exit 2
cp plain.vhdx item.vhdx
cat >look.py <<'PY'
import struct
import subprocess
import uuid
from importlib.metadata import version
from pathlib import Path
from dissect.hypervisor.disk.vhdx import VHDX

METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
with open("item.vhdx", "r+b") as image:
    table = image.seek(192 << 10) and image.read(64 << 10)
    entry = table.index(METADATA)
    (place,) = struct.unpack("<Q", table[entry + 16 : entry + 24])
    image.seek(place)
    items = bytearray(image.read(64 << 10))
    (count,) = struct.unpack("<H", items[10:12])
    # An item of nobody, of no length, which is neither for the virtual disk nor required.
    items[32 * (count + 1) : 32 * (count + 2)] = uuid.uuid4().bytes_le + bytes(16)
    items[10:12] = struct.pack("<H", count + 1)
    image.seek(place)
    image.write(items)
for name in ("plain", "item"):
    try:
        told = str(VHDX(Path(f"{name}.vhdx")).size)
    except Exception as why:
        told = type(why).__name__
    print(f"{name}: dissect.hypervisor {version('dissect.hypervisor')}: {told}")
    asked = subprocess.run(["qemu-img", "info", "-f", "vhdx", f"{name}.vhdx"], capture_output=True)
    print(f"{name}: qemu-img: exit {asked.returncode}")
PY
v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
plain: dissect.hypervisor 3.21: 16777216
plain: qemu-img: exit 0
item: dissect.hypervisor 3.21: KeyError
item: qemu-img: exit 0
SEEN
