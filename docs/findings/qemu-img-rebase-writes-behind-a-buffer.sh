#!/bin/sh
# qemu-img rebase corrupts its heap when the old backing file is shorter than the overlay and ends within a cluster.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f raw base.raw 4M
qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 512
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 4M
qemu-img rebase -f qcow2 -b base.raw -F raw top.qcow2 >/dev/null 2>&1
[ $? -ge 128 ]
