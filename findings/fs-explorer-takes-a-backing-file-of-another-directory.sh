#!/bin/sh
# The backing file of a qcow2 may be named by an absolute path. What does a reader do when nothing is there? qemu-img refuses the image. fs-explorer 0.5.0
# takes a file of the same bare name beside the image, whatever disk that is, and says nothing.
# qcow2 specification, Header, backing_file_offset: the name of the backing file; that another file may stand in for it is not said.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img, python3 with venv and pip.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
command -v qemu-img >/dev/null || exit 2
python3 -m venv v && v/bin/pip install -q fs-explorer==0.5.0 || exit 2
# A disk that has nothing to do with the overlay, but for its name.
head -c 65536 /dev/zero | tr '\0' 'd' >source.raw
qemu-img convert -f raw -O qcow2 source.raw base.qcow2 || exit 2
qemu-img create -q -u -f qcow2 -b "$work/gone/base.qcow2" -F qcow2 overlay.qcow2 64K || exit 2
cat >read.py <<'PY'
import fs_explorer
from fs_explorer.detect import driver_by_name
from fs_explorer.io.source import open_physical
from fs_explorer.tree import ProbeHint

with fs_explorer.Source("overlay.qcow2", threads=1) as source:
    data, name = open_physical("overlay.qcow2", source.stats)
    disk = driver_by_name("qcow2").open(data, source.ctx, ProbeHint.make(data, name))
    print("fs-explorer", fs_explorer.__version__, "reads", disk.device().read_at(0, 4))
PY
{
  qemu-img convert -f qcow2 -O raw overlay.qcow2 overlay.raw 2>&1 | grep -o 'No such file or directory'
  v/bin/python read.py 2>&1 | tail -n 1
} >seen
cat seen
diff - seen <<'SEEN'
No such file or directory
fs-explorer 0.5.0 reads b'dddd'
SEEN
