#!/bin/sh
# pyvhd 0.0.1 makes a dynamic VHD, as Xen's, of a raw file. Of which sizes? Of up to 14 MiB; of 16 MiB it fails with a TypeError, since its map of the blocks
# is made of whole bytes from then on, and it appends text to bytes.
# There is no specification of that: the package says that it makes a VHD of a raw image.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs python3 with venv and pip.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
python3 -m venv v && v/bin/pip install -q pyvhd==0.0.1 || exit 2
cat >look.py <<'PY'
from pyvhd import do_vhd_convert

for size in (14 << 20, 16 << 20):
    with open("a.raw", "wb") as raw:
        raw.truncate(size)
    try:
        with open("a.raw", "rb") as raw, open("a.vhd", "wb") as image:
            do_vhd_convert(raw, image)
        told = "made"
    except TypeError:
        told = "TypeError"
    print(f"{size >> 20} MiB: {told}")
PY
v/bin/python look.py >seen || exit 2
cat seen
diff - seen <<'SEEN'
14 MiB: made
16 MiB: TypeError
SEEN
