#!/bin/sh
# A sparse VMDK tells its size twice: in the header of its extent, and in its descriptor. VirtualBox rounds the first up to whole grains of 64 KiB, and not the
# second. Which one does a reader take? qemu-img 10.0 takes the header's, so that a disk grows by up to 64 KiB on its way; vbox-img itself takes the descriptor's.
# VMware Virtual Disk Format 5.0, sparse extent header, capacity: should be a multiple of the grain size; The Extents: the size of the extent in sectors. Which
# one is the size of the disk is not said.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img and vbox-img 7.2 on PATH (contrib/unpack-debian.sh brings the last).
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for program in qemu-img vbox-img; do command -v "$program" >/dev/null || exit 2; done
head -c 1049088 /dev/zero | tr '\0' 'd' >source.raw || exit 2
vbox-img convert --srcfilename source.raw --srcformat RAW --dstfilename a.vmdk --dstformat VMDK 2>/dev/null || exit 2
qemu-img convert -f vmdk -O raw a.vmdk qemu-img.raw || exit 2
vbox-img convert --srcfilename a.vmdk --srcformat VMDK --dstfilename vbox-img.raw --dstformat RAW 2>/dev/null || exit 2
{
  printf 'descriptor: %s sectors\n' "$(tr -d '\0' <a.vmdk | sed -n 's/^RW \([0-9]*\) SPARSE.*/\1/p' | head -n1)"
  printf 'header: %s sectors\n' "$(od -An -v --endian=little -tu8 -j12 -N8 a.vmdk | tr -d ' ')"
  for reader in qemu-img vbox-img; do printf '%s: %s bytes\n' "$reader" "$(wc -c <"$reader.raw")"; done
} >seen
cat seen
diff - seen <<'SEEN'
descriptor: 2049 sectors
header: 2176 sectors
qemu-img: 1114112 bytes
vbox-img: 1049088 bytes
SEEN
