#!/bin/sh
# libqcow takes bit 0 of an L2 entry (the cluster reads as zeros) for a part of the offset: of a cluster that was never allocated it
# shows the image's own header, from its second byte on.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 128k || exit 2
qemu-io -f qcow2 -c 'write -q -z 0 64k' a.qcow2 || exit 2
/usr/bin/python3 -c '
import pyqcow, sys
image = pyqcow.file()
image.open("a.qcow2")
sys.exit(not any(image.read_buffer(65536)))'
