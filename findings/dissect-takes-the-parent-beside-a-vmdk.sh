#!/bin/sh
# A VMDK that lies on another one tells where that is. dissect.hypervisor 3.21 looks for a file of the parent's bare name beside the image first, and only then in
# the directory that is told: where both files are there, it shows the data of the wrong one, without a word. qemu-img reads the one that is named.
# VMware Virtual Disk Format 5.0, The Descriptor File: parentFileNameHint is the path of the parent.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and qemu-io 10.0 on PATH, and python3 with venv and pip.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
qemu-img --version | grep -F 'version 10.0.' || exit 2
python3 -m venv v && v/bin/pip install -q dissect.hypervisor==3.21 || exit 2
mkdir parents && qemu-img create -q -f vmdk parents/base.vmdk 1M && qemu-io -f vmdk -c 'write -q -P 1 0 64k' parents/base.vmdk || exit 2
qemu-img create -q -f vmdk -b parents/base.vmdk -F vmdk top.vmdk || exit 2
# The same disk as the parent was when the overlay was made, with other data.
cp parents/base.vmdk base.vmdk && qemu-io -f vmdk -c 'write -q -P 2 0 64k' base.vmdk || exit 2
cat >read.py <<'PY'
from pathlib import Path
from dissect.hypervisor.disk.vmdk import VMDK
print("dissect.hypervisor shows", VMDK(Path("top.vmdk")).read(512)[0])
PY
{
  qemu-img convert -f vmdk -O raw top.vmdk top.raw && echo "qemu-img shows $(od -An -tu1 -N1 top.raw | tr -d ' ')"
  v/bin/python read.py || exit 2
} >seen
cat seen
diff - seen <<'SEEN'
qemu-img shows 1
dissect.hypervisor shows 2
SEEN
