#!/bin/sh
# libvmdk looks for the one extent of a vmdk under the name that its descriptor tells, and not in the file that it was given: renamed, it is refused.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vmdk a.vmdk 1M || exit 2
qemu-io -f vmdk -c 'write -q -P 7 0 64k' a.vmdk || exit 2
mv a.vmdk b.vmdk
[ "$(qemu-io -r -f vmdk -c 'read -q -P 7 0 64k' b.vmdk)" = '' ] || exit 2
/usr/bin/python3 -c '
import pyvmdk, sys
image = pyvmdk.handle()
image.open("b.vmdk")
try:
    image.open_extent_data_files()
    sys.exit(image.read_buffer(512) != b"\x07" * 512)
except OSError:
    sys.exit(0)'
