#!/bin/sh
# qemu-img info aborts on a vmdk descriptor without a usable extent.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vmdk -o subformat=monolithicFlat d.vmdk 1M
sed -i '/FLAT/d' d.vmdk
qemu-img info -f vmdk d.vmdk >/dev/null 2>&1
[ $? -ge 128 ]
