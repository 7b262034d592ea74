#!/bin/sh
# A flat extent of a VMDK has an offset in its file, in sectors. Does a reader begin there? dissect.hypervisor 3.21 reads the file from its beginning, libvmdk
# 20260714 shows zeros where the offset is not 0 (20200926 reads from the beginning, too); qemu-img begins at the offset.
# Virtual Disk Format 5.0, The Extent Description: for a flat extent, the offset is that of the guest operating system's data in the file.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img 10.0 on PATH, python3 with venv and pip, and a C compiler.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
python3 -m venv v && v/bin/pip install -q libvmdk-python==20260714 dissect.hypervisor==3.21 || exit 2
cat >look.py <<'PY'
import subprocess
from importlib.metadata import version
from pathlib import Path
import pyvmdk
from dissect.hypervisor.disk.vmdk import VMDK

SECTORS = 128
TEXT = f"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"

# Extent description
RW {SECTORS} FLAT "a-flat.vmdk" @OFFSET@

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "1"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
"""
# Each sector begins with its number.
Path("a-flat.vmdk").write_bytes(b"".join(f"{sector:06}".encode() + bytes(506) for sector in range(4 * SECTORS)))

def libvmdk():
    image = pyvmdk.handle()
    image.open("a.vmdk")
    image.open_extent_data_files()
    return image.read_buffer(6)

def dissect():
    return VMDK(Path("a.vmdk")).read(6)

def qemu():
    subprocess.run("qemu-img convert -f vmdk -O raw a.vmdk a.raw".split(), check=True)
    return Path("a.raw").read_bytes()[:6]

readers = (("libvmdk", "libvmdk-python", libvmdk), ("dissect.hypervisor", "dissect.hypervisor", dissect), ("qemu-img", None, qemu))
for offset in (0, SECTORS):
    Path("a.vmdk").write_text(TEXT.replace("@OFFSET@", str(offset)))
    for name, package, read in readers:
        shown = read()
        told = "zeros" if not any(shown) else f"sector {int(shown)}"
        print(f"offset {offset}: {name} {version(package) if package else '10.0'}: {told}")
PY
v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
offset 0: libvmdk 20260714: sector 0
offset 0: dissect.hypervisor 3.21: sector 0
offset 0: qemu-img 10.0: sector 0
offset 128: libvmdk 20260714: zeros
offset 128: dissect.hypervisor 3.21: sector 0
offset 128: qemu-img 10.0: sector 128
SEEN
