#!/bin/sh
# qemu-img 7.2 aborts on a parallels image whose format extension is said to be at a negative place (parallels_read_format_extension,
# ext_off > 0); 10.0 refuses it. QEMU_IMG names a qemu-img of 7.2.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu_img=${QEMU_IMG:-qemu-img}
"$qemu_img" create -q -f parallels a.hds 1M || exit 2
printf '\377\377\377\377\377\377\377\377' | dd of=a.hds bs=1 seek=56 conv=notrunc 2>/dev/null
sh -c '"$0" info -f parallels a.hds' "$qemu_img" >/dev/null 2>said
grep -q "ext_off > 0' failed" said
