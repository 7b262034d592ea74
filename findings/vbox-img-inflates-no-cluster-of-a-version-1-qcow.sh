#!/bin/sh
# VirtualBox's QCOW backend opens qcow2 and the first version of qcow. Both may hold compressed clusters: raw deflate data. vbox-img 7.2.22 converts a
# compressed qcow2, and ends with VERR_ZIP_CORRUPTED at a compressed cluster of version 1, which qemu-img and libqcow read.
# Version 1 has no specification. QEMU, block/qcow.c: bit 63 of an L2 entry marks a compressed cluster; its length is in the bits above its offset.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img, vbox-img 7.2 (contrib/unpack-debian.sh brings it) and
# Python's pyqcow (on Debian: python3-libqcow).
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for program in qemu-img vbox-img; do command -v "$program" >/dev/null || exit 2; done
python=
for each in python3 /usr/bin/python3; do "$each" -c 'import pyqcow' 2>/dev/null && python=$each; done
[ -n "$python" ] || exit 2
head -c 16384 /dev/zero | tr '\0' 'd' >source.raw || exit 2
qemu-img convert -c -f raw -O qcow2 source.raw version2 || exit 2
# Version 1, with clusters of 4 KiB: the header, an L1 table of one entry, an L2 table of 512, and four times the same compressed cluster.
"$python" - <<'PY' || exit 2
import struct, zlib
deflate = zlib.compressobj(9, zlib.DEFLATED, -12)
cluster = deflate.compress(b"d" * 4096) + deflate.flush()
image = bytearray(12288)
image[:48] = struct.pack(">4sIQIIQBBHIQ", b"QFI\xfb", 1, 0, 0, 0, 16384, 12, 9, 0, 0, 48)
image[48:56] = struct.pack(">Q", 4096)
for index in range(4):
    entry = 1 << 63 | len(cluster) << 51 | 8192
    image[4096 + 8 * index : 4104 + 8 * index] = struct.pack(">Q", entry)
image[8192 : 8192 + len(cluster)] = cluster
open("version1", "wb").write(image)
PY
for version in 1:qcow 2:qcow2; do
  image=version${version%:*}
  qemu-img convert -f "${version#*:}" -O raw "$image" qemu.raw && cmp -s source.raw qemu.raw && echo "$image: qemu-img reads it"
  "$python" - "$image" <<'PY'
import sys, pyqcow
file = pyqcow.file()
file.open(sys.argv[1])
data = file.read_buffer_at_offset(file.get_media_size(), 0)
print(sys.argv[1] + ": libqcow reads", "it" if data == b"d" * 16384 else "something else")
PY
  if vbox-img convert --srcfilename "$image" --srcformat QCOW --dstfilename "$image.raw" --dstformat RAW 2>vbox.txt; then
    cmp -s source.raw "$image.raw" && echo "$image: vbox-img reads it"
  else
    echo "$image: vbox-img: $(grep -o 'VERR_[A-Z_]*' vbox.txt)"
  fi
done >seen
cat seen
diff - seen <<'SEEN'
version1: qemu-img reads it
version1: libqcow reads it
version1: vbox-img: VERR_ZIP_CORRUPTED
version2: qemu-img reads it
version2: libqcow reads it
version2: vbox-img reads it
SEEN
