#!/bin/sh
# vbox-img reads the L1 table as whole clusters and refuses a qcow2 whose file ends before that: each one that qemu-img has just made. With 64 KiB of data
# behind the table it reads the image.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 1M && cp a.qcow2 b.qcow2 || exit 2
qemu-io -f qcow2 -c 'write -q -P 1 0 64k' b.qcow2 || exit 2
convert() { vbox-img convert --srcfilename "$1.qcow2" --srcformat QCOW --dstfilename "$1.raw" --dstformat RAW 2>&1; }
convert b >/dev/null || exit 2
! convert a >said && grep -q 'Reading the L1 table' said
