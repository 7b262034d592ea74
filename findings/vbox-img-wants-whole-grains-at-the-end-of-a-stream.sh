#!/bin/sh
# A streamOptimized vmdk holds a disk in compressed grains of 64 KiB. What does the last grain of a disk hold that is no multiple of 64 KiB? qemu-img
# compresses what is left of the disk; vbox-img 7.2.22 wants 64 KiB of inflated data in each grain, and converts no such image. libvmdk reads it.
# VMware Virtual Disk Format 5.0, Stream-Optimized Compressed Sparse Extents: a marker tells the size of the compressed data, not of the grain.
#
# Exit status: 0 the behaviour is as told, 1 it is not, 2 it could not be tried. Needs qemu-img, vbox-img 7.2 (contrib/unpack-debian.sh brings it) and
# Python's pyvmdk (on Debian: python3-libvmdk).
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
for program in qemu-img vbox-img; do command -v "$program" >/dev/null || exit 2; done
python=
for each in python3 /usr/bin/python3; do "$each" -c 'import pyvmdk' 2>/dev/null && python=$each; done
[ -n "$python" ] || exit 2
for kib in 128 96; do
  head -c $((kib * 1024)) /dev/zero | tr '\0' 'd' >source.raw || exit 2
  qemu-img convert -f raw -O vmdk -o subformat=streamOptimized source.raw "$kib.vmdk" || exit 2
  if vbox-img convert --srcfilename "$kib.vmdk" --srcformat VMDK --dstfilename "$kib.raw" --dstformat RAW 2>vbox.txt; then
    cmp -s source.raw "$kib.raw" && echo "$kib KiB: vbox-img reads it"
  else
    echo "$kib KiB: vbox-img: $(grep -o 'VERR_[A-Z_]*' vbox.txt)"
  fi
  "$python" - "$kib.vmdk" <<'PY'
import sys, pyvmdk
handle = pyvmdk.handle()
handle.open(sys.argv[1])
handle.open_extent_data_files()
data = handle.read_buffer_at_offset(handle.get_media_size(), 0)
print(f"{len(data) // 1024} KiB: libvmdk reads", "it" if set(data) == {ord("d")} else "something else")
PY
done >seen
cat seen
diff - seen <<'SEEN'
128 KiB: vbox-img reads it
128 KiB: libvmdk reads it
96 KiB: vbox-img: VERR_VD_VMDK_INVALID_FORMAT
96 KiB: libvmdk reads it
SEEN
