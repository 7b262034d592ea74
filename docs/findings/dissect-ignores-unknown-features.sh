#!/bin/sh
# dissect.hypervisor reads a qcow2 with an incompatible feature bit that there is not.
# Exits 0 when the defect shows, 1 when it does not. PYTHON names the interpreter that has it.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f qcow2 a.qcow2 1M || exit 2
printf '\100' | dd of=a.qcow2 bs=1 seek=72 conv=notrunc 2>/dev/null
qemu-img info -f qcow2 a.qcow2 >/dev/null 2>&1 && exit 2
"${PYTHON:-python3}" -c '
from pathlib import Path
from dissect.hypervisor.disk.qcow2 import QCow2
assert len(QCow2(Path("a.qcow2")).open().read()) == 1 << 20' 2>/dev/null
