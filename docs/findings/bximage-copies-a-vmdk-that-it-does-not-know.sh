#!/bin/sh
# bximage takes a streamOptimized vmdk for a flat disk and copies the file itself, with exit code 0; a guest would find the vmdk's header in its first sector.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 1M || exit 2
qemu-io -f qcow2 -c 'write -q -P 1 0 64k' a.qcow2 || exit 2
qemu-img convert -O vmdk -o subformat=streamOptimized a.qcow2 a.vmdk || exit 2
bximage -func=convert -imgmode=flat -q a.vmdk a.raw >/dev/null </dev/null || exit 1
cmp -s a.vmdk a.raw
