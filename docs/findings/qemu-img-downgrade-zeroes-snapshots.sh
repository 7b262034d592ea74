#!/bin/sh
# Amended to version 2, a qcow2 loses what its snapshot holds of a cluster that was set to zero after the snapshot.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 t.qcow2 1M
qemu-io -c 'write -q -P 65 0 64k' t.qcow2
qemu-img snapshot -c first t.qcow2
qemu-io -c 'write -q -z 0 64k' t.qcow2
qemu-img convert -l first -O raw t.qcow2 before.raw
qemu-img amend -f qcow2 -o compat=0.10 t.qcow2 || exit 1
qemu-img convert -l first -O raw t.qcow2 after.raw
! cmp -s before.raw after.raw
