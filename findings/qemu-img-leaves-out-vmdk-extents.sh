#!/bin/sh
# A VMDK descriptor may name extents of the kind ZERO and of the access RDONLY beside those that are read and written. Does a reader show all of them?
# qemu-img 10.0.2 passes over both without a word: the disk is shorter, and what follows moves to another place.
# Virtual Disk Format 5.0, The Extent Description: an access is RW, RDONLY or NOACCESS, a kind may be ZERO; the extents follow each other on the disk.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img 10.0 on PATH.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
qemu-img --version | head -n1 || exit 2
for name in a b; do head -c 65536 /dev/zero | tr '\0' "$name" >"$name.raw" || exit 2; done
# descriptor LINE: a disk of three extents of 64 KiB, with LINE between two that are written
descriptor() {
  printf '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="twoGbMaxExtentFlat"\n\n# Extent description\n'
  printf 'RW 128 FLAT "a.raw" 0\n%s\nRW 128 FLAT "b.raw" 0\n\n# The Disk Data Base\n#DDB\n\n' "$1"
  printf 'ddb.virtualHWVersion = "4"\nddb.geometry.cylinders = "1"\nddb.geometry.heads = "16"\nddb.geometry.sectors = "63"\nddb.adapterType = "ide"\n'
}
for line in 'RW 128 FLAT "a.raw" 0' 'RW 128 ZERO' 'RDONLY 128 FLAT "a.raw" 0'; do
  descriptor "$line" >disk.vmdk || exit 2
  qemu-img convert -f vmdk -O raw disk.vmdk disk.raw 2>err || { printf '%s: refused\n' "$line"; continue; }
  printf '%s: %s bytes, %s at 65536\n' "$line" "$(wc -c <disk.raw)" "$(dd if=disk.raw bs=1 skip=65536 count=1 2>/dev/null)"
done >seen
cat seen
diff - seen <<'SEEN'
RW 128 FLAT "a.raw" 0: 196608 bytes, a at 65536
RW 128 ZERO: 131072 bytes, b at 65536
RDONLY 128 FLAT "a.raw" 0: 131072 bytes, b at 65536
SEEN
