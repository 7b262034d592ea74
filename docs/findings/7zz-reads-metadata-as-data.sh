#!/bin/sh
# 7-Zip reads a qcow2 with an external data file as if the guest's data lay in the qcow2 itself: it extracts the image's own header.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 -o data_file=data.raw a.qcow2 128k || exit 2
qemu-io -f qcow2 -c 'write -q -P 0x15 0 64k' a.qcow2 || exit 2
# Incompatible feature bit 2: a reader that does not know it must refuse.
7zz e -so -tqcow -- a.qcow2 >flat 2>/dev/null || exit 1
[ "$(head -c 3 flat)" = QFI ]
