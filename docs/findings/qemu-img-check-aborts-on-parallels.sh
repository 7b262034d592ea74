#!/bin/sh
# qemu-img check aborts on a parallels image whose allocation table points beyond its end.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f parallels p.hds 4M
qemu-io -f parallels -c 'write 0 512' p.hds >/dev/null
printf '\377\377\377\077' | dd of=p.hds bs=1 seek=68 conv=notrunc 2>/dev/null
qemu-img check -f parallels p.hds >/dev/null 2>&1
[ $? -ge 128 ]
