#!/bin/sh
# libqcow refuses a qcow2 with a compatible feature bit that it does not know.
# Exits 0 when the defect shows, 1 when it does not.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 1M || exit 2
/usr/bin/python3 -c 'import pyqcow; pyqcow.file().open("a.qcow2")' || exit 2
printf '\200' | dd of=a.qcow2 bs=1 seek=80 conv=notrunc 2>/dev/null
qemu-img info -f qcow2 a.qcow2 >/dev/null || exit 2
/usr/bin/python3 -c 'import pyqcow; pyqcow.file().open("a.qcow2")' 2>&1 | grep -q 'unsupported compatible features'
