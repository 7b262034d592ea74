#!/bin/sh
# The lines of a VMDK descriptor that begin with "#" are comments, the headings of its sections among them. Does a reader open an image whose extents
# stand under another heading than "# Extent description"? libvmdk 20260714 refuses it and says that an index is out of bounds;
# dissect.hypervisor 3.21 reads it. With that heading both read it.
# Virtual Disk Format 5.0, The Descriptor File: a line that begins with # is a comment, and a program that opens the disk ignores it.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs python3 with venv and pip, and a C compiler.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
python3 -m venv v && v/bin/pip install -q libvmdk-python==20260714 dissect.hypervisor==3.21 || exit 2
cat >look.py <<'PY'
from importlib.metadata import version
import pyvmdk
from dissect.hypervisor.disk.vmdk import VMDK

SECTORS = 128
TEXT = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"

{heading}
RW {sectors} FLAT "a-flat.vmdk" 0

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "1"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
"""
open("a-flat.vmdk", "wb").write(b"data" * (SECTORS * 512 // 4))

def libvmdk():
    image = pyvmdk.handle()
    image.open("a.vmdk")
    image.open_extent_data_files()
    return image.read_buffer(4)

def dissect():
    from pathlib import Path
    return VMDK(Path("a.vmdk")).read(4)

readers = (("libvmdk", "libvmdk-python", libvmdk), ("dissect.hypervisor", "dissect.hypervisor", dissect))
for heading in ("# Extent description", "# Extents"):
    open("a.vmdk", "w").write(TEXT.format(heading=heading, sectors=SECTORS))
    for name, package, read in readers:
        try:
            shown = read().decode()
        except OSError:
            shown = "refused"
        print(f"{heading}: {name} {version(package)}: {shown}")
PY
v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
# Extent description: libvmdk 20260714: data
# Extent description: dissect.hypervisor 3.21: data
# Extents: libvmdk 20260714: refused
# Extents: dissect.hypervisor 3.21: data
SEEN
