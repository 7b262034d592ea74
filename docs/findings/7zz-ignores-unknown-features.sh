#!/bin/sh
# 7-Zip extracts a qcow2 with an incompatible feature bit that there is not, and exits with 0.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 1M || exit 2
printf '\100' | dd of=a.qcow2 bs=1 seek=72 conv=notrunc 2>/dev/null
qemu-img info -f qcow2 a.qcow2 >/dev/null 2>&1 && exit 2
7zz x -tqcow -so a.qcow2 >a.raw 2>/dev/null
