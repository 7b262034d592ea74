#!/bin/sh
# qemu-img allocates as many entries of a vhd's block allocation table as its header tells of: 1 GiB for an image of 4 MiB.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vpc a.vhd 4M || exit 2
# KiB of address space.
enough=1000000
(ulimit -v $enough && qemu-img info -f vpc a.vhd >/dev/null) || exit 2
printf '\020\000\000\000' | dd of=a.vhd bs=1 seek=540 conv=notrunc 2>/dev/null
# Without the limit it reads on, or refuses; it does not die.
qemu-img info -f vpc a.vhd >/dev/null 2>free
[ $? -lt 128 ] || exit 1
(ulimit -v $enough && qemu-img info -f vpc a.vhd) >/dev/null 2>bound
! cmp -s free bound
