#!/bin/sh
# qemu-img rebase corrupts its heap when an image between the overlay and its new backing file has smaller clusters than the overlay.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f raw base.raw 4M
qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 4M
qemu-io -f qcow2 -c 'write -q 1984k 128k' middle.qcow2
qemu-img create -q -f qcow2 -o cluster_size=2M -b middle.qcow2 -F qcow2 top.qcow2 4M
! qemu-img rebase -f qcow2 -b base.raw -F raw top.qcow2 >/dev/null 2>&1
