#!/bin/sh
# Amended to version 2, a qcow2 forgets its bitmaps and leaks their clusters.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 t.qcow2 1M
qemu-img bitmap --add t.qcow2 b
qemu-img amend -f qcow2 -o compat=0.10 t.qcow2
! qemu-img info t.qcow2 | grep -q 'name: b' && { qemu-img check t.qcow2 >/dev/null 2>&1; [ $? -eq 3 ]; }
