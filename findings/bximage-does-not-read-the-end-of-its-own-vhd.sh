#!/bin/sh
# The footer of a VHD has a current size, and a geometry whose product may be less. bximage 3.1 writes a disk that is no whole cylinders with its exact current
# size, and reads it by its geometry: what lies behind the last cylinder is lost when it converts the image back, with exit code 0. qemu-img shows all of it.
# Virtual Hard Disk Image Format Specification, Hard Disk Footer Format: Current Size is the size from the perspective of the virtual machine.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and bximage 3.1 on PATH (contrib/unpack-debian.sh brings the last).
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for program in qemu-img bximage; do command -v "$program" >/dev/null || exit 2; done
# 8 MiB are 16 cylinders of 516096 bytes and 131072 bytes.
head -c 1048576 /dev/zero | tr '\0' 'd' >source.raw || exit 2
truncate -s 8388608 source.raw || exit 2
bximage -func=convert -imgmode=vpc -q source.raw a.vhd >/dev/null </dev/null || exit 2
qemu-img convert -f vpc -O raw a.vhd qemu-img.raw || exit 2
bximage -func=convert -imgmode=flat -q a.vhd bximage.raw >/dev/null </dev/null || exit 2
for reader in qemu-img bximage; do printf '%s: %s bytes\n' "$reader" "$(wc -c <"$reader.raw")"; done >seen
cat seen
diff - seen <<'SEEN'
qemu-img: 8388608 bytes
bximage: 8257536 bytes
SEEN
