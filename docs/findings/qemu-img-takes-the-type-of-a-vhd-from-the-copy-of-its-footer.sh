#!/bin/sh
# qemu-img believes the copy of a vhd's footer where it says something else than the footer: it shows a dynamic image as a fixed one,
# whose data begin with that copy. A reserved byte is raised by as much as the type is lowered, so that the checksum holds.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vpc a.vhd 4M || exit 2
qemu-io -f vpc -c 'write -q -P 17 0 512' a.vhd || exit 2
printf '\002' | dd of=a.vhd bs=1 seek=63 conv=notrunc 2>/dev/null
printf '\001' | dd of=a.vhd bs=1 seek=200 conv=notrunc 2>/dev/null
qemu-img convert -f vpc -O raw a.vhd a.raw || exit 1
[ "$(head -c 8 a.raw)" = conectix ]
