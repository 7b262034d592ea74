#!/bin/sh
# rqcow2 panics in info of an image of no length.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 whole.qcow2 65536 && qemu-img create -q -f qcow2 empty.qcow2 0 || exit 2
rqcow2 info whole.qcow2 >/dev/null 2>&1 || exit 2
rqcow2 info empty.qcow2 2>&1 >/dev/null | grep -q 'assertion failed: size != 0'
