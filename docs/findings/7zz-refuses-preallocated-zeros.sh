#!/bin/sh
# 7-Zip takes bit 0 of an L2 entry (the cluster reads as zeros) for a part of the offset: it looks for the archive's end one byte
# behind the file, and says "Unexpected end of archive".
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 256k || exit 2
qemu-io -f qcow2 -c 'write -q -P 170 0 64k' -c 'write -q -z 0 64k' a.qcow2 || exit 2
qemu-img check -q a.qcow2 || exit 2
7zz l -tqcow -- a.qcow2 2>&1 | grep -q 'Unexpected end of archive'
