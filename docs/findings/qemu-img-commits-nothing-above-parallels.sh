#!/bin/sh
# A commit into a qcow2 fails when an image further down its chain is in parallels, which the commit only reads.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f parallels base.hds 1M
qemu-img create -q -f qcow2 -b base.hds -F parallels middle.qcow2
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2
qemu-io -c 'write -q -P 65 0 4k' top.qcow2
qemu-img commit -q top.qcow2 2>&1 | grep -q 'does not support reopening files'
