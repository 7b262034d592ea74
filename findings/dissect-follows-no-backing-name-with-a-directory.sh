#!/bin/sh
# The backing file of a qcow2 may be named with a directory, relative to the image. dissect.hypervisor 3.21 puts the name in the place of
# the image's own by pathlib's with_name, which takes a bare file name only: "base.qcow2" is found, "below/base.qcow2" and an absolute
# name end in "ValueError: Invalid name", though the files are there.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs python3 with venv and pip.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
python3 -m venv v && v/bin/pip install -q dissect.hypervisor==3.21 || exit 2
cat >try.py <<'PY'
import struct
from pathlib import Path
from dissect.hypervisor.disk.qcow2 import QCow2

CLUSTER = 65536

def be(form, *values):
    return struct.pack(">" + form, *values)

def image(backing):
    name = backing.encode()
    at = 112 if name else 0
    file = bytearray(4 * CLUSTER)
    head = b"QFI\xfb" + be("IQIIQIIQQIIQ", 3, at, len(name), 16, CLUSTER, 0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0)
    file[:104] = head + be("QQQII", 0, 0, 0, 4, 104)
    file[112 : 112 + len(name)] = name
    file[CLUSTER : CLUSTER + 8] = be("Q", 2 * CLUSTER)
    file[2 * CLUSTER : 2 * CLUSTER + 8] = be("4H", 1, 1, 1, 1)
    return file

Path("below").mkdir()
for path in ("base.qcow2", "below/base.qcow2"):
    Path(path).write_bytes(image(""))
for told, backing in (
    ("a bare name", "base.qcow2"),
    ("a name with a directory", "below/base.qcow2"),
    ("an absolute name", str(Path("base.qcow2").resolve())),
):
    Path("top.qcow2").write_bytes(image(backing))
    try:
        outcome = str(len(QCow2(Path("top.qcow2")).open().read())) + " bytes"
    except Exception as error:
        outcome = type(error).__name__
    print(told + ":", outcome)
PY
v/bin/python try.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
a bare name: 65536 bytes
a name with a directory: ValueError
an absolute name: ValueError
SEEN
