#!/bin/sh
# qemu-img takes the block allocation table of a vhdx for one of zeros where the region table leads to the end of the file: data are
# read as zeros, and nothing is said. The copy of the region table, which leads to the table, is sound.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vhdx a.vhdx 65536 || exit 2
qemu-io -f vhdx -c 'write -q -P 1 0 512' a.vhdx || exit 2
# FileOffset of the first entry, and the checksum with it.
printf '\000\000\000\001\000\000\000\000' | dd of=a.vhdx bs=1 seek=196640 conv=notrunc 2>/dev/null
printf '\070\172\015\204' | dd of=a.vhdx bs=1 seek=196612 conv=notrunc 2>/dev/null
[ "$(wc -c <a.vhdx)" = 16777216 ] || exit 2
qemu-img convert -f vhdx -O raw a.vhdx a.raw || exit 1
[ "$(od -An -tu1 -N1 a.raw | tr -d ' ')" = 0 ]
