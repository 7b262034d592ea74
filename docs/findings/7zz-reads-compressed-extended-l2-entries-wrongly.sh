#!/bin/sh
# 7-Zip sees that a qcow2 has extended L2 entries, which it says it does not support, and extracts it all the same when it is compressed,
# with other bytes and exit code 0.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
truncate -s 1M plain && printf abc | dd of=plain bs=1 seek=786431 conv=notrunc status=none || exit 2
qemu-img convert -c -O qcow2 -o extended_l2=on plain a.qcow2 || exit 2
7zz e -so -tqcow -- a.qcow2 >flat 2>/dev/null || exit 1
! cmp -s plain flat
