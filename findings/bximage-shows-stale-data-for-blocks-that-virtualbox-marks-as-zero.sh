#!/bin/sh
# VirtualBox marks a block of a VDI as zero (0xfffffffe in the block map) where it found zeros in what it converted, and as free (0xffffffff) in a new image.
# What does a reader show of the first kind? bximage 3.1 shows the data of the block that it read before, with exit code 0; qemu-img shows zeros.
# VirtualBox, VDICore.h, VDI_IMAGE_BLOCK_ZERO: the block is not allocated and reads as zeros.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img, vbox-img 7.2 and bximage 3.1 on PATH
# (contrib/unpack-debian.sh brings the last two).
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for program in qemu-img vbox-img bximage; do command -v "$program" >/dev/null || exit 2; done
# One block of data, and one of zeros behind it.
head -c 1048576 /dev/zero | tr '\0' 'd' >source.raw || exit 2
head -c 1048576 /dev/zero >>source.raw
vbox-img convert --srcfilename source.raw --srcformat RAW --dstfilename a.vdi --dstformat VDI 2>/dev/null || exit 2
qemu-img convert -f vdi -O raw a.vdi qemu-img.raw || exit 2
bximage -func=convert -imgmode=flat -q a.vdi bximage.raw >/dev/null </dev/null || exit 2
for reader in qemu-img bximage; do
  printf '%s: %s zeros of 1048576 in the second block\n' "$reader" "$(tail -c 1048576 "$reader.raw" | tr -d 'd' | wc -c)"
done >seen
cat seen
diff - seen <<'SEEN'
qemu-img: 1048576 zeros of 1048576 in the second block
bximage: 0 zeros of 1048576 in the second block
SEEN
