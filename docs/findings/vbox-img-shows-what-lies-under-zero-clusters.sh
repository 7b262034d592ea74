#!/bin/sh
# vbox-img passes over bit 0 of an L2 entry (the cluster reads as zeros): of a cluster that kept its place it shows the data from before, of one that never
# had a place the image's own header.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 256k || exit 2
qemu-io -f qcow2 -c 'write -q -z 0 64k' -c 'write -q -P 170 64k 64k' -c 'write -q -z 64k 64k' -c 'write -q -P 1 192k 64k' a.qcow2 || exit 2
qemu-img check -q a.qcow2 || exit 2
vbox-img convert --srcfilename a.qcow2 --srcformat QCOW --dstfilename a.raw --dstformat RAW 2>/dev/null || exit 2
[ "$(head -c 3 a.raw)" = QFI ] && [ "$(tail -c +65537 a.raw | head -c 1 | od -An -tx1)" = ' aa' ]
