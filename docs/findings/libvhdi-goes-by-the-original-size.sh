#!/bin/sh
# libvhdi takes the original size in a vhd's footer for the size of the disk; the current size is another. A letter of the creator's
# host is lowered by as much as the size is raised, so that the checksum holds.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vpc -o subformat=fixed,force_size=on a.vhd 4M || exit 2
footer=$((4 * 1024 * 1024))
# 4 MiB is 0x400000: the byte before the last becomes 2, 512 bytes more; Wi2k becomes Wi2i.
printf '\002' | dd of=a.vhd bs=1 seek=$((footer + 46)) conv=notrunc 2>/dev/null
printf 'i' | dd of=a.vhd bs=1 seek=$((footer + 39)) conv=notrunc 2>/dev/null
/usr/bin/python3 -c '
import pyvhdi, sys
image = pyvhdi.file()
image.open("a.vhd")
sys.exit(image.get_media_size() != 4 * 1024 * 1024 + 512)'
