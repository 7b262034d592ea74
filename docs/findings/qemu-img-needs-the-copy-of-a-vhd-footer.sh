#!/bin/sh
# qemu-img does not open a dynamic vhd whose copy of the footer, at its start, is damaged. The footer is at the end, and sound.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vpc a.vhd 4M || exit 2
printf '\0\0\0\0\0\0\0\0' | dd of=a.vhd bs=1 conv=notrunc 2>/dev/null
[ "$(tail -c 512 a.vhd | head -c 8)" = conectix ] || exit 2
! qemu-img info -f vpc a.vhd >/dev/null 2>&1
