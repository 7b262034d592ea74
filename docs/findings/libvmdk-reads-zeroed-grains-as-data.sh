#!/bin/sh
# libvmdk takes the entry 1 of a grain table, a zeroed grain, for a grain in sector 1: it refuses to read it, or shows what lies there.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vmdk -o zeroed_grain=on a.vmdk 1M || exit 2
qemu-io -f vmdk -c 'write -q -z -u 0 64k' a.vmdk || exit 2
/usr/bin/python3 -c '
import pyvmdk, sys
image = pyvmdk.handle()
image.open("a.vmdk")
image.open_extent_data_files()
try:
    sys.exit(not any(image.read_buffer(65536)))
except OSError:
    sys.exit(0)'
