#!/bin/sh
# An overlay in qcow forgets the format of its backing file: a fixed vpc's footer is shown to the guest.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f vpc -o subformat=fixed b.vpc 4M
qemu-img create -q -f qcow -b b.vpc -F vpc o.qcow 8M
qemu-img convert -O raw o.qcow o.raw
grep -q conectix o.raw
