#!/bin/sh
# An image whose last clusters are free cannot grow with preallocation: "Cannot use preallocation for shrinking files".
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 -o preallocation=full a.qcow2 1M
qemu-io -f qcow2 -c 'discard 0 1M' a.qcow2 >/dev/null
LC_ALL=C qemu-img resize -q -f qcow2 --preallocation=falloc a.qcow2 1088K 2>&1 | grep -q 'preallocation for shrinking'
