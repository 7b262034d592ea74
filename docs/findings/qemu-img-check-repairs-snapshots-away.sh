#!/bin/sh
# qemu-img check -r removes every snapshot of a qcow2 that has a dirty bitmap.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 t.qcow2 1M
qemu-img bitmap --add t.qcow2 b
qemu-img snapshot -c s t.qcow2
qemu-img snapshot -l t.qcow2 | grep -q s || exit 2
qemu-img check -q -r leaks t.qcow2
! qemu-img snapshot -l t.qcow2 | grep -q ' s '
