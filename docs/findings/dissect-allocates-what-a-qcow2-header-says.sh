#!/bin/sh
# dissect.hypervisor asks for 4 GiB of memory for the name of a backing file when the header says that it is so long: a MemoryError, or
# the memory. The specification allows 1023 bytes.
# Exits 0 when the defect shows, 1 when it does not. PYTHON names the interpreter that has it.
cd "$(mktemp -d)" || exit 2
trap 'rm -rf "$PWD"' EXIT
qemu-img create -q -f raw b.raw 1M && qemu-img create -q -f qcow2 -b b.raw -F raw a.qcow2 || exit 2
printf '\377\377\377\377' | dd of=a.qcow2 bs=1 seek=16 conv=notrunc 2>/dev/null
qemu-img info -f qcow2 a.qcow2 >/dev/null 2>&1 && exit 2
ulimit -v 2097152
"${PYTHON:-python3}" -c '
import sys
from pathlib import Path
from dissect.hypervisor.disk.qcow2 import QCow2
try:
    QCow2(Path("a.qcow2"))
except MemoryError:
    sys.exit(0)
sys.exit(1)' 2>/dev/null
